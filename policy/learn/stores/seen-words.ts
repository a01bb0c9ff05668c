/** What was seen, in words. */
import { spanOf } from '../told.ts'
import { bytes, count, some } from '../yaml-lines.ts'
import type { Sum } from './access.ts'

/** How much, when, by whom, and an event that shows it. */
export function seenInWords(seen: Sum): string {
  const { days, programs, workloads, nodes, example } = seen
  return `${amountsInWords(seen)}, ${spanOf(seen)}, on ${count(days, 'day', 'days')}. By ` +
    `${some(programs)} of ${some(workloads)} on ${count(nodes, 'node', 'nodes')}; such as event ` +
    `${example.seq} of ${example.node_id}.`
}

/** `12.0 GiB in 40 reports`, `3 changes`. */
export function amountsInWords({ bytes: read, reports, changes }: Sum): string {
  return changes > 0 ? count(changes, 'change', 'changes')
    : `${bytes(read)} in ${count(reports, 'report', 'reports')}`
}
