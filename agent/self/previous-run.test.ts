import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { RunMarker } from './previous-run.ts'
import { withFolder } from '../sample/spool.ts'

const boot = 'a'.repeat(32)

describe('RunMarker', () => {
  it('tells the first run of a boot, a clean end, and a run that was killed', () =>
    withFolder((dir) => {
      const first = new RunMarker(dir, boot)
      expect(first.begin()).toBe('none')
      first.end()
      const second = new RunMarker(dir, boot)
      expect(second.begin()).toBe('clean')
      expect(new RunMarker(dir, boot).begin()).toBe('unclean')
      expect(new RunMarker(dir, 'b'.repeat(32)).begin()).toBe('none')
    }))

  it('leaves the mark of another run when this one never began', () => withFolder((dir) => {
    new RunMarker(dir, boot).begin()
    const before = readFileSync(join(dir, 'run'), 'utf8')
    new RunMarker(dir, boot).end()
    expect(readFileSync(join(dir, 'run'), 'utf8')).toBe(before)
  }))

  it('takes an unreadable file for no run, and never throws', () => withFolder((dir) => {
    writeFileSync(join(dir, 'run'), '\0\0')
    expect(new RunMarker(dir, boot).begin()).toBe('none')
    expect(new RunMarker(join(dir, 'missing'), boot).begin()).toBe('none')
  }))
})
