import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openMark } from './mark.ts'
import { withFolder } from './sample-log.ts'

test('a mark is zero before it is set and survives being opened again', () =>
  withFolder(async (dir) => {
    const mark = openMark(dir)
    expect(mark.position).toBe(0)
    await mark.set(42)
    expect(mark.position).toBe(42)
    expect(openMark(dir).position).toBe(42)
    expect(readFileSync(join(dir, 'mark'), 'latin1')).toMatch(/^position 42\ncrc32 /)
  }))

test('a mark never goes back', () => withFolder(async (dir) => {
  const mark = openMark(dir)
  await mark.set(42)
  await mark.set(41)
  expect(openMark(dir).position).toBe(42)
}))

test('many marks set at once end at the highest', () => withFolder(async (dir) => {
  const mark = openMark(dir)
  await Promise.all(Array.from({ length: 100 }, (_, index) => mark.set(index + 1)))
  expect(openMark(dir).position).toBe(100)
}))

test('a damaged mark is refused with what to do', () => withFolder(async (dir) => {
  await openMark(dir).set(7)
  const text = readFileSync(join(dir, 'mark'), 'latin1')
  for (const damaged of ['', text.replace('7', '8'), text.slice(0, -1), `${text}x`]) {
    writeFileSync(join(dir, 'mark'), damaged)
    expect(() => openMark(dir)).toThrow(expect.objectContaining({ code: 'LOG_MARK_DAMAGED' }))
  }
}))

test('a mark that cannot be written rejects, keeps its old value and works again later', () =>
  withFolder(async (dir) => {
    const folder = join(dir, 'spool')
    const mark = openMark(folder)
    await expect(mark.set(1)).rejects.toMatchObject({ code: 'LOG_NOT_FOUND', operation: 'write' })
    expect(mark.position).toBe(0)
    writeFileSync(join(dir, 'file'), '')
    const other = openMark(dir)
    await other.set(3)
    rmSync(join(dir, 'mark'))
    await other.set(4)
    expect(openMark(dir).position).toBe(4)
  }))
