import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { folderHolder, lockFolder } from './lock.ts'
import { withFolder } from './sample-log.ts'

test('a held folder is refused and the message names the holder', () => withFolder((dir) => {
  const lock = lockFolder(dir)
  expect(() => lockFolder(dir)).toThrow(/held by this process itself/)
  expect(folderHolder(dir)?.pid).toBe(process.pid)
  lock.release()
}))

test('a released folder can be taken again and leaves no file behind', () => withFolder((dir) => {
  lockFolder(dir).release()
  lockFolder(dir).release()
  expect(readdirSync(dir)).toEqual([])
  expect(folderHolder(dir)).toBeNull()
}))

test('a folder is refused while another process holds it, and taken when that was killed', () =>
  withFolder(async (dir) => {
    const script = `
      import { lockFolder } from ${JSON.stringify(join(import.meta.dirname, 'lock.ts'))}
      lockFolder(${JSON.stringify(dir)})
      console.log('held')
      setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script])
    try {
      await once(child.stdout, 'data')
      expect(() => lockFolder(dir)).toThrow(`held by process ${child.pid}`)
    } finally {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    expect(folderHolder(dir)).toBeNull()
    lockFolder(dir).release()
  }))

test('a lock whose pid was given to a later process is taken over', () => withFolder((dir) => {
  lockFolder(dir)
  const holder = folderHolder(dir)!
  writeFileSync(join(dir, 'lock'), JSON.stringify({ ...holder, startTicks: 1 }))
  lockFolder(dir).release()
  expect(existsSync(join(dir, 'lock'))).toBe(false)
}))

test('a lock from before a reboot is taken over', () => withFolder((dir) => {
  lockFolder(dir)
  const holder = folderHolder(dir)!
  writeFileSync(join(dir, 'lock'), JSON.stringify({ ...holder, bootId: 'another' }))
  lockFolder(dir).release()
}))

test.each(['', 'not json', 'null', '{"pid":"1"}'])('a lock file with %j is taken over', (text) =>
  withFolder((dir) => {
    writeFileSync(join(dir, 'lock'), text)
    expect(folderHolder(dir)).toBeNull()
    lockFolder(dir).release()
    expect(readdirSync(dir)).toEqual([])
  }))
