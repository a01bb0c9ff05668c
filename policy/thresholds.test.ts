import { describe, expect, it } from 'vitest'
import { parsePolicy } from './parse.ts'
import type { Problem } from './policy.ts'
import { checkThresholds } from './thresholds.ts'

const DETECTORS = new Map([
  ['NET-003', { hosts: 20, window_ms: 60_000, strict: true, mode: 'hosts' }],
  ['NET-001', {}],
])

function problems(detectors: string): Problem[] {
  const { policy } = parsePolicy(`version: 1\ndetectors:\n${detectors}`)
  return checkThresholds(policy!, DETECTORS)
}

describe('detector thresholds', () => {
  it('that the detector has, with its type, are good', () => {
    expect(problems('  NET-003: { thresholds: { hosts: 5, strict: false, mode: ports } }\n'))
      .toEqual([])
    expect(problems('  NET-001: { thresholds: {} }\n')).toEqual([])
  })

  it('of a detector that is not there are refused with a near one', () => {
    expect(problems('  NET-033: {}\n')).toMatchObject([
      { severity: 'error', line: 3, column: 3, fix: 'did you mean NET-003?' }])
    expect(problems('  GPU-900: {}\n')).toMatchObject([{ fix: 'known: NET-003, NET-001' }])
  })

  it('that are unknown, of another type, or below zero point at their value', () => {
    expect(problems('  NET-003:\n    thresholds: { host: 1 }\n')).toMatchObject([{
      line: 4, column: 25, path: 'detectors.NET-003.thresholds.host', fix: 'did you mean hosts?',
    }])
    expect(problems('  NET-003: { thresholds: { hosts: "5" } }\n'))
      .toMatchObject([{ message: 'hosts must be a number', fix: 'write a value such as 20' }])
    expect(problems('  NET-003: { thresholds: { hosts: -1 } }\n')).toHaveLength(1)
    expect(problems('  NET-003: { thresholds: { toString: 1 } }\n')).toHaveLength(1)
    expect(problems('  NET-001: { thresholds: { a: 1 } }\n'))
      .toMatchObject([{ fix: 'remove it: none can be set' }])
  })
})
