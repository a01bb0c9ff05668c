// Parts of the probe table. To load all of it takes an emulated kernel ten seconds, so a test loads
// what it looks at; the whole table is loaded by connection.test.ts and gpu-node.test.ts.

import { probeTable } from '../../agent/probes/table.ts'
import type { Probe } from '../../agent/probes/table.ts'

/** Processes and TCP: what nearly every test needs. */
const everydayNames = new Set([
  'connection_accept', 'connection_refused_locally', 'connection_state', 'connection_repeats',
  'connections_at_start', 'listeners_at_start', 'process_exec', 'process_exit', 'process_forked',
  'process_orphan', 'processes_at_start', 'cgroup_quota',
])

/** The probes of processes and TCP, and these. Throws when there is none of a name. */
export function everydayAnd(...names: string[]): Probe[] {
  for (const name of names) {
    if (!probeTable.some((probe) => probe.name === name)) throw new Error(`no probe ${name}`)
  }
  return probeTable.filter(({ name }) => everydayNames.has(name) || names.includes(name))
}

/** What a program does before it connects in other ways than TCP. */
export const datagramNames = [
  'raw_socket', 'packet_socket', 'datagram_flow', 'datagram_listen', 'datagram_totals',
  'datagram_sockets_at_start',
]

/**
 * Of the ways to attach that this kernel allows, best first, those that are tried. The environment
 * can leave some out, which is said: VEDETTE_TEST_WAYS=best tries the best alone, and `hooks` leaves
 * out what looks at all system calls, which is for kernels that allow nothing else.
 */
export function waysToTry(able: readonly string[]): string[] {
  const wanted = process.env['VEDETTE_TEST_WAYS'] ?? 'all'
  const tried = able.filter((way, i) => i === 0 || wanted === 'all' ||
    (wanted === 'hooks' && way !== 'tp_btf'))
  const left = able.filter((way) => !tried.includes(way))
  if (left.length > 0) {
    process.stderr.write(`!! SKIPPED: ${left.join(', ')} (VEDETTE_TEST_WAYS=${wanted})\n`)
  }
  return tried
}
