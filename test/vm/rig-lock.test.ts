import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { takeLock } from './rig-lock.ts'

let dir: string
let path: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'vedette-rig-lock-'))
  path = join(dir, 'made/for/it.lock')
})

afterEach(() => rmSync(dir, { recursive: true, force: true }))

test('a lock that is let go can be taken again', () => {
  takeLock(path)()
  expect(existsSync(path)).toBe(false)
  takeLock(path)()
})

test('a lock whose owner is alive is refused, and the owner is named', () => {
  const letGo = takeLock(path)
  expect(() => takeLock(path)).toThrow(new RegExp(`pid ${process.pid}`))
  letGo()
})

test('a lock left by a process that is gone is taken over', () => {
  takeLock(path)()
  writeFileSync(path, `${spawnSync('true').pid}\n`)
  takeLock(path)()
})

test('a lock file with no pid in it is taken over', () => {
  takeLock(path)()
  writeFileSync(path, 'not a pid')
  takeLock(path)()
})
