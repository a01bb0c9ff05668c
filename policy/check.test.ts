import { describe, expect, it } from 'vitest'
import { formatProblems } from './check.ts'
import { parsePolicy } from './parse.ts'

const checked = (text: string, file = 'vedette.yaml'): string => {
  return formatProblems(file, text, parsePolicy(text))
}

describe('the output of policy check', () => {
  it('shows file, line, column, the line with a caret, and what to write', () => {
    const text = `version: 1
zones:
  - name: a
    exposure: publik
    match: { cidrs: [10.0.0.0/8] }
`
    const where = 'vedette.yaml:4:15'
    expect(checked(text)).toBe(
      `${where}: error: "publik" is not one of public, internal, protected (zones[0].exposure)
 4 |     exposure: publik
   |               ^
   = did you mean public?
`)
  })

  it('is empty for a policy with nothing wrong', () => {
    expect(checked('version: 1\n')).toBe('')
  })

  it('keeps the caret below its place in a long line, with tabs and Windows line ends', () => {
    const pad = `{ a: [${'1, '.repeat(200)}], `
    const long = `version: 1\r\ndetectors: ${pad}b: 2}\r\n`
    const [, source, caret] = checked(long).split('\n\n')[2].split('\n')
    expect(source.length).toBeLessThan(100)
    expect(source[caret.indexOf('^')]).toBe('b')
    const tab = checked('version: 1\nx\t: 1\n').split('\n')
    expect(tab[1][tab[2].indexOf('^')]).toBe('x')
  })

  it('lets no control character of the file reach the terminal', () => {
    const output = checked('version: 1 \x1b[31m\n', 'a\x1b[2J.yaml') +
      checked('version: 1\n"\u202ezone": 1\n"\\e[2J": 1\n')
    expect(output).not.toMatch(/[\x1b\u202e]/)
    expect(output).toContain('\\u{1b}[31m')
    expect(output).toContain('\\u{202e}zone')
  })

  it('says how many problems it does not list', () => {
    const flow = '  - { from: x, to: x, reason: r }\n'
    expect(checked(`version: 1\nflows:\n${flow.repeat(40)}`)).toContain('30 more problems')
  })

  it('has a place for the problem of an empty text', () => {
    expect(checked('')).toContain('vedette.yaml:1:1: error: the policy is empty')
  })
})
