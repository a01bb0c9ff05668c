import { execFileSync, spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { packCpio } from './cpio.ts'

const archive = packCpio([
  { path: 'bin', mode: 0o755 },
  { path: 'bin/tool', mode: 0o755, content: Buffer.from('12345') },
  { path: 'empty', mode: 0o600, content: Buffer.alloc(0) },
])

test('header, name and content each begin on a multiple of four bytes', () => {
  expect(archive.length % 4).toBe(0)
  for (let at = archive.indexOf('070701'); at !== -1; at = archive.indexOf('070701', at + 1)) {
    expect(at % 4).toBe(0)
  }
})

test('the size of the content stands in the header and the content follows the name', () => {
  const start = archive.indexOf('bin/tool') - 110
  expect(archive.toString('latin1', start, start + 6)).toBe('070701')
  expect(Number.parseInt(archive.toString('latin1', start + 54, start + 62), 16)).toBe(5)
  expect(archive.toString('latin1', start + 120, start + 125)).toBe('12345')
})

test('the archive ends with the trailer', () => {
  expect(archive.includes('TRAILER!!!\0')).toBe(true)
  expect(packCpio([]).includes('TRAILER!!!\0')).toBe(true)
})

test('the same entries give the same bytes', () => {
  const entries = [{ path: 'a', mode: 0o644, content: Buffer.from('x') }]
  expect(packCpio(entries).equals(packCpio(entries))).toBe(true)
})

test('an absolute or empty path is refused', () => {
  expect(() => packCpio([{ path: '/init', mode: 0o755 }])).toThrow(RangeError)
  expect(() => packCpio([{ path: '', mode: 0o755 }])).toThrow(RangeError)
})

// The system's own cpio reads it back, where there is one; the layout is checked above without.
test.runIf(spawnSync('cpio', ['--version']).status === 0)('cpio reads the archive', () => {
  const list = execFileSync('cpio', ['--list', '--verbose', '--quiet'], { input: archive })
  const lines = list.toString().trim().split('\n')
  expect(lines.map((line) => line.split(/\s+/).at(-1))).toEqual(['bin', 'bin/tool', 'empty'])
  expect(lines[1]).toMatch(/^-rwxr-xr-x\s+1 root\s+root\s+5 /)
})
