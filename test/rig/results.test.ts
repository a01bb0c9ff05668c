import { describe, expect, it } from 'vitest'
import { parseVitestResults } from '../../tools/vitest-results.ts'
import type { Verdict } from './perform.ts'
import { table, vitestResults } from './results.ts'

const well: Verdict = {
  name: 'benign', title: 'nothing', problems: [], took_s: 12.3, raised_after_s: null, incidents: [],
  events: 4711, connections: 99, kept: null,
}
const ill: Verdict = { ...well, name: 'intrusion', problems: ['no hop'], raised_after_s: Infinity }

describe('the results of the rig', () => {
  it('are a line per scenario', () => {
    expect(table([well, ill]).slice(2)).toEqual([
      'ok      benign     12 s  4711    99           0',
      'FAILED  intrusion  12 s  4711    99           0          never',
    ])
  })

  it('are counted by the summary of all tests like any others', () => {
    const verdicts = new Map([['benign', well], ['intrusion', ill], ['scan', null]])
    expect(parseVitestResults(vitestResults(verdicts))).toEqual([{
      name: 'cluster-rig', passed: 1, failed: 1, skipped: 1, skips: ['scan'],
      failures: [{ test: 'intrusion', message: 'no hop' }],
    }])
  })
})
