import { describe, expect, it } from 'vitest'
import { parsePolicy } from '../parse.ts'

const ZONES = `version: 1
zones:
  - { name: training, exposure: internal, match: { cidrs: [10.1.0.0/16] } }
  - { name: storage, exposure: protected, match: { cidrs: [10.2.0.0/16] } }
flows:
`

function problems(...flows: string[]): string[] {
  const text = ZONES + flows.map((flow) => `  - { reason: r, ${flow} }\n`).join('')
  return parsePolicy(text).problems.map((one) => {
    return `${one.severity} ${one.line}:${one.column} ${one.message} => ${one.fix}`
  })
}

describe('flows', () => {
  it('between known zones and the built-in ones are good', () => {
    expect(problems('from: training, to: storage', 'from: external, to: training',
      'from: training, to: external', 'from: unzoned, to: "any"', 'from: "any", to: "any", ports: [1]'))
      .toEqual([])
  })

  it('naming a zone that is not there point at the name and suggest one', () => {
    expect(problems('from: trainin, to: storage')).toEqual(
      ['error 6:24 there is no zone "trainin" => did you mean training?'])
    expect(problems('from: training, to: moon')).toEqual(
      [expect.stringContaining('known zones: training, storage, any, external, unzoned')])
  })

  it('with ranges upside down or ports too large are refused', () => {
    expect(problems('from: training, to: storage, ports: [90-80/tcp, 70000-70001]')).toEqual([
      expect.stringContaining('=> write 80-90/tcp'), expect.stringContaining('past the last one'),
    ])
  })

  it('are reported once when the schema has already said it', () => {
    for (const port of ['x', '1-', '70000', '0', '80/sctp', '1.5', '""']) {
      expect(problems(`from: training, to: storage, ports: [${port}]`), port).toHaveLength(1)
    }
  })

  it('that can never decide are warned about', () => {
    expect(problems('from: storage, to: storage')).toEqual(
      [expect.stringContaining('warning 6:5 this flow stays within storage')])
    expect(problems('from: unzoned, to: external')).toEqual(
      [expect.stringContaining('neither end')])
    expect(problems('from: "any", to: storage, ports: [80-90]',
      'from: training, to: storage, ports: [81/tcp], executables: [/a]'))
      .toEqual([expect.stringContaining('warning 7:5 the flow on line 6 allows all of this')])
  })

  it('that add something to an earlier one are not', () => {
    expect(problems('from: "any", to: storage, ports: [80-90], executables: [/a]',
      'from: training, to: storage, ports: [80-91], executables: [/a]',
      'from: training, to: storage, ports: [82], executables: [/a, /b]',
      'from: training, to: storage, ports: [83]',
      'from: storage, to: training, ports: [80]')).toEqual([])
  })

  it('with a source range that is none are refused', () => {
    expect(problems('from: external, to: training, from_cidrs: [10.9.0.1/16]'))
      .toEqual([expect.stringContaining('=> write 10.9.0.0/16')])
  })

  it('are narrower than one without a condition, and not than one with another', () => {
    const open = 'from: training, to: storage'
    const narrow = `${open}, service_accounts: [a/b]`
    expect(problems(open, narrow)).toEqual([expect.stringContaining('the flow on line 6 allows all of this')])
    expect(problems(narrow, open)).toEqual([])
    expect(problems(narrow, `${open}, service_accounts: [a/c]`)).toEqual([])
    expect(problems(`${open}, from_cidrs: [10.0.0.0/8]`, narrow)).toEqual([])
  })
})
