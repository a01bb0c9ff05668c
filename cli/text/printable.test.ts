import { describe, expect, it } from 'vitest'
import { fit, printable, shellWord } from './printable.ts'

describe('text of a workload on a screen', () => {
  it('cannot send an escape sequence, a bell, a backspace or a line break', () => {
    expect(printable('a\x1b[2Jb')).toBe('a\\u{1b}[2Jb')
    expect(printable('\x07\b\r\n\t\x7f\x9b31m')).toBe(
      '\\u{7}\\u{8}\\u{d}\\u{a}\\u{9}\\u{7f}\\u{9b}31m')
  })

  it('cannot turn a line around or hide in it', () => {
    expect(printable('exe\u202Etxt')).toBe('exe\\u{202e}txt')
    expect(printable('a\u200bb\u2028c\ufeff')).toBe('a\\u{200b}b\\u{2028}c\\u{feff}')
    expect(printable('\ud800x')).toBe('\\u{d800}x')
  })

  it('stays as it is when it is harmless, in any script', () => {
    for (const text of ['/usr/bin/nc', 'größe', '日本語', '🚀 launch', '']) {
      expect(printable(text)).toBe(text)
    }
  })

  it('is cut between characters, never within one', () => {
    expect(fit('abcdef', 4)).toBe('abc…')
    expect(fit('abcd', 4)).toBe('abcd')
    expect(fit('🚀🚀🚀🚀', 3)).toBe('🚀🚀…')
    expect(fit('abc', 0)).toBe('…')
  })

  it('is quoted as a shell would need it', () => {
    expect(['-l', 'a b', "it's", '', '$(x)'].map(shellWord)).toEqual(
      ['-l', "'a b'", String.raw`'it'\''s'`, "''", "'$(x)'"])
  })
})
