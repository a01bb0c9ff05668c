/** Events that the correlator itself makes: batches of a node called "correlator". */
import { readFileSync } from 'node:fs'
import { BatchBuilder } from '../../proto/batch-builder.ts'
import type { EventKind, EventValues } from '../../proto/gen/events.ts'

/** Node id of the correlator's own batches. No agent may take it. */
export const OWN_NODE_ID = 'correlator'

/** The kernel's boot id, 32 hex digits. */
export function ownBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim().replaceAll('-', '')
}

/**
 * One event as an encoded batch.
 *
 * @param seq number of the event: the last one stored of this boot, plus 1
 */
export function ownBatch<K extends EventKind>(
  kind: K, values: Partial<EventValues[K]>, seq: number,
): Buffer {
  const builder = new BatchBuilder({
    eventsMax: 1, factsOf: () => ({ exe: '', cgroup_path: '', workload: '' }),
  })
  // /proc/uptime counts suspended time, as event times do; hundredths of a second are enough here.
  const uptime = readFileSync('/proc/uptime', 'utf8').split(' ')[0]
  const time = BigInt(Math.round(Number(uptime) * 100)) * 10_000_000n
  const wallNs = BigInt(Date.now()) * 1_000_000n
  builder.append(kind, values, time)
  return builder.encode({
    node_id: OWN_NODE_ID, boot_id: ownBootId(), first_seq: seq, clock_offset_ns: wallNs - time,
  })
}
