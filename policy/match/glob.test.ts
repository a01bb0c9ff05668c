import { describe, expect, it } from 'vitest'
import { compareSpecificity, compileGlob } from './glob.ts'

const matches = (glob: string, text: string): boolean => compileGlob(glob).matches(text)

/** The same meaning by plain recursion: slow, and obviously right. */
function oracle(glob: string, text: string, start = true): boolean {
  if (glob === '') return text === ''
  const stars = /^\*+/.exec(glob)?.[0] ?? ''
  const rest = glob.slice(stars.length)
  if (stars === '') {
    return text[0] === glob[0] && oracle(glob.slice(1), text.slice(1), glob[0] === '/')
  }
  if (stars.length > 1 && start && rest[0] === '/') {
    if (oracle(rest.slice(1), text, true)) return true
    return [...text].some((char, i) => {
      return char === '/' && oracle(rest.slice(1), text.slice(i + 1), true)
    })
  }
  for (let i = 0; i <= text.length; i++) {
    if (oracle(rest, text.slice(i), false)) return true
    if (stars.length === 1 && text[i] === '/') return false
  }
  return false
}

describe('a glob', () => {
  it('matches the same text when it holds no star', () => {
    expect(matches('/usr/bin/nc', '/usr/bin/nc')).toBe(true)
    expect(matches('/usr/bin/nc', '/usr/bin/nca')).toBe(false)
    expect(matches('/usr/bin/n.', '/usr/bin/nc')).toBe(false)
  })

  it('keeps one star within a level', () => {
    expect(matches('/opt/*/bin', '/opt/tool/bin')).toBe(true)
    expect(matches('/opt/*/bin', '/opt/a/b/bin')).toBe(false)
    expect(matches('ssh*.service', 'sshd@1.service')).toBe(true)
    expect(matches('*.service', '.service')).toBe(true)
  })

  it('lets two stars cross levels, also over no level at all', () => {
    expect(matches('/kubepods.slice/**', '/kubepods.slice/a/b')).toBe(true)
    expect(matches('/kubepods.slice/**', '/kubepods.slice')).toBe(false)
    expect(matches('/a/**/b', '/a/b')).toBe(true)
    expect(matches('/a/**/b', '/a/x/y/b')).toBe(true)
    expect(matches('/a/**/b', '/a/xb')).toBe(false)
    expect(matches('**/curl', '/usr/bin/curl')).toBe(true)
    expect(matches('**/curl', '/usr/bin/xcurl')).toBe(false)
    expect(matches('**', '')).toBe(true)
  })

  it('takes brackets, dots and backslashes as they are', () => {
    expect(matches('/a[b]\\x2d*', '/a[b]\\x2dc')).toBe(true)
    expect(matches('/a[b]*', '/abc')).toBe(false)
  })

  it('agrees with a recursive matcher on every small pattern and text', () => {
    const words = (alphabet: string, length: number): string[] => {
      let all = ['']
      for (let i = 0; i < length; i++) {
        all = [...new Set(all.flatMap((word) => ['', ...alphabet].map((c) => word + c)))]
      }
      return all
    }
    const texts = words('a/', 6)
    let agreed = 0
    for (const glob of words('a*/', 5)) {
      const compiled = compileGlob(glob)
      for (const text of texts) {
        if (compiled.matches(text) !== oracle(glob, text)) {
          expect.fail(`glob ${glob} and text ${text} disagree`)
        }
        agreed++
      }
    }
    expect(agreed).toBeGreaterThan(40_000)
  })

  it('needs no more steps than pattern times text on input made to backtrack', () => {
    expect(matches('*a'.repeat(100) + 'b', 'a'.repeat(4000))).toBe(false)
    expect(matches('**a*a'.repeat(50) + 'b', 'a'.repeat(4000))).toBe(false)
  })

  it('is more specific the more of it is literal, and the narrower its stars', () => {
    const order = ['/a/**', '/a/b', '/**', '/a/*', '/a/b*'].map(compileGlob)
    const sorted = order.sort(compareSpecificity).map((glob) => glob.text)
    expect(sorted).toEqual(['/a/b', '/a/b*', '/a/*', '/a/**', '/**'])
  })
})
