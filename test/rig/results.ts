// What the verdicts say, for a person as a table and for tools/test-summary.ts as vitest says it.

import type { Verdict } from './perform.ts'

/** A line per scenario. */
export function table(verdicts: readonly Verdict[]): string[] {
  const rows = verdicts.map(({ name, problems, took_s: took, raised_after_s: after, ...more }) => [
    problems.length === 0 ? 'ok' : 'FAILED', name, `${took.toFixed(0)} s`,
    String(more.events), String(more.connections), String(more.incidents.length),
    after === null ? '' : Number.isFinite(after) ? `${after.toFixed(1)} s` : 'never',
  ])
  const head = ['', 'scenario', 'took', 'events', 'connections', 'incidents', 'told after']
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)))
  return ['', ...[head, ...rows].map((row) =>
    row.map((cell, i) => cell.padEnd(widths[i]!)).join('  ').trimEnd())]
}

/** JSON in the shape of vitest's json reporter: a scenario is a test; null: it was skipped. */
export function vitestResults(verdicts: ReadonlyMap<string, Verdict | null>): string {
  const tests = [...verdicts].map(([fullName, verdict]) => {
    const failureMessages = verdict?.problems ?? []
    const status = verdict === null ? 'skipped' : failureMessages.length > 0 ? 'failed' : 'passed'
    return { fullName, status, failureMessages }
  })
  const status = tests.some((test) => test.status === 'failed') ? 'failed' : 'passed'
  return JSON.stringify({
    testResults: [{ name: 'cluster-rig', status, message: '', assertionResults: tests }],
  })
}
