import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MountNamespaces } from './namespaces.ts'

const line = (id: number, point: string) => `${id} 1 0:${id} / ${point} rw - tmpfs tmpfs rw\n`
let procDir: string
const add = (pid: string, namespace: number, text: string) => {
  mkdirSync(join(procDir, pid, 'ns'), { recursive: true })
  mkdirSync(join(procDir, pid, 'root'), { recursive: true })
  rmSync(join(procDir, pid, 'ns/mnt'), { force: true })
  symlinkSync(`mnt:[${namespace}]`, join(procDir, pid, 'ns/mnt'))
  writeFileSync(join(procDir, pid, 'mountinfo'), text)
}
const idsOf = (seen: { namespaces: { id: number }[] }) => seen.namespaces.map(({ id }) => id)

beforeEach(() => {
  procDir = mkdtempSync(join(tmpdir(), 'vedette-proc-'))
  add('self', 20, line(1, '/'))
  add('1', 10, line(1, '/'))
  add('77', 20, line(1, '/'))
  add('300', 30, line(2, '/') + line(3, '/data'))
})
afterEach(() => rmSync(procDir, { recursive: true, force: true }))

describe('mount namespaces', () => {
  it('are looked at once each: first that of process 1, then that of the agent', async () => {
    const seen = await new MountNamespaces({ procDir }).look()
    expect(idsOf(seen)).toEqual([10, 20, 30])
    expect(seen.namespaces.map(({ home, root }) => [home, root])).toEqual([
      [true, join(procDir, '1/root')], [true, '/'], [false, join(procDir, '300/root')]])
    expect(seen.namespaces[2].mounts.map(({ point }) => point)).toEqual(['/', '/data'])
    expect(seen).toMatchObject({ changed: true, refused: 0, left: 0 })
  })

  it('tell whether a mount or a namespace came or went', async () => {
    const watched = new MountNamespaces({ procDir })
    await watched.look()
    expect((await watched.look()).changed).toBe(false)
    writeFileSync(join(procDir, '300/mountinfo'), line(2, '/'))
    expect((await watched.look()).changed).toBe(true)
    add('301', 31, line(2, '/'))
    expect(await watched.look()).toMatchObject({ changed: true, namespaces: { length: 4 } })
    rmSync(join(procDir, '301'), { recursive: true })
    expect(await watched.look()).toMatchObject({ changed: true, namespaces: { length: 3 } })
  })

  it('are reached through another process when one ends or lets nobody in', async () => {
    const watched = new MountNamespaces({ procDir })
    add('302', 30, line(2, '/'))
    await watched.look()
    rmSync(join(procDir, '300/root'), { recursive: true })
    rmSync(join(procDir, '300/mountinfo'))
    expect((await watched.look()).namespaces[2]).toMatchObject({ id: 30, root: join(procDir, '302/root') })
  })

  it('that may not be seen are counted, and those beyond the bound', async () => {
    mkdirSync(join(procDir, '400'))
    expect(await new MountNamespaces({ procDir, namespacesMax: 2 }).look()).toMatchObject({ refused: 1, left: 1 })
  })
})

const canUnshare = (() => {
  try {
    execFileSync('unshare', ['-m', 'true'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

it.skipIf(!canUnshare)('a mount that another namespace makes for itself is seen there, and nowhere else', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'vedette-ns-'))
  const child = spawn('unshare', ['-m', 'sh', '-c', `mount -t tmpfs vedette-mount ${folder} && echo up && read x`])
  try {
    await new Promise((resolve) => child.stdout.once('data', resolve))
    const { namespaces } = await new MountNamespaces().look()
    const holders = namespaces.filter(({ mounts }) => mounts.some(({ source }) => source === 'vedette-mount'))
    expect(holders).toHaveLength(1)
    expect(holders[0].home).toBe(false)
    expect(`mnt:[${holders[0].id}]`).not.toBe(readlinkSync('/proc/self/ns/mnt'))
    expect(holders[0].mounts.find(({ point }) => point === folder)).toMatchObject({ type: 'tmpfs', root: '/' })
  } finally {
    child.stdin.end('\n')
    await new Promise((resolve) => child.once('exit', resolve))
    rmSync(folder, { recursive: true, force: true })
  }
})
