import { describe, expect, it } from 'vitest'
import { parsePolicy } from '../parse.ts'
import type { ParseResult } from '../parse.ts'

const NOW = Date.UTC(2026, 5, 1)

function muted(until: string, nowMs: number | undefined = NOW): ParseResult {
  return parsePolicy(`version: 1
detectors:
  NET-003:
    mute: { reason: move, until: ${until} }
`, { nowMs })
}

const untilOf = (until: string): number | undefined => {
  return muted(until).policy?.detectors[0].mute?.untilMs
}

describe('detector settings', () => {
  it('carry thresholds and where they stand', () => {
    const { policy } = parsePolicy(
      'version: 1\ndetectors:\n  NET-003:\n    thresholds: { hosts: 5 }\n')
    expect(policy?.detectors).toEqual([{
      id: 'NET-003', line: 3, column: 3, mute: null,
      thresholds: [{ name: 'hosts', value: 5, line: 4, column: 26 }],
    }])
  })

  it('read the end of a mute with fractions and offsets, quoted or not', () => {
    expect(untilOf('2030-01-31T12:00:00Z')).toBe(Date.UTC(2030, 0, 31, 12))
    expect(untilOf('"2030-01-31T12:00:00.2509+02:30"')).toBe(Date.UTC(2030, 0, 31, 9, 30, 0, 250))
    expect(untilOf('2028-02-29t23:59:59-01:00')).toBe(Date.UTC(2028, 2, 1, 0, 59, 59))
  })

  it('refuse a time that is not in the calendar, or is no time', () => {
    for (const until of ['2030-02-29T00:00:00Z', '2030-13-01T00:00:00Z', '2030-01-01T24:00:00Z',
      '2030-01-01T00:00:60Z', '2030-01-01T00:00:00+25:00', '2030-00-10T00:00:00Z', '2030-01-01',
      'tomorrow', '5', '2030-01-01T00:00:00', '2030-01-01 00:00:00Z']) {
      const { policy, problems } = muted(until)
      expect(policy, until).toBeNull()
      expect(problems, until).toHaveLength(1)
      expect(problems[0]).toMatchObject({ line: 4, column: 34 })
    }
  })

  it('warn of a mute that has run out, but never break a start', () => {
    const past = muted('2026-05-31T23:59:59Z')
    expect(past.policy).not.toBeNull()
    expect(past.problems).toMatchObject([{ severity: 'warning', line: 4, column: 34 }])
  })

  it('say nothing of a mute that still lasts, or without a time to judge by', () => {
    expect(muted('2026-06-02T00:00:00Z').problems).toEqual([])
    expect(parsePolicy('version: 1\ndetectors: { NET-003: { mute: ' +
      '{ reason: r, until: 2001-01-01T00:00:00Z } } }\n').problems).toEqual([])
  })
})
