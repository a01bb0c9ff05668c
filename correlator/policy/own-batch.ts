/** Events that the correlator itself makes: batches of a node called "correlator". */
import { readFileSync } from 'node:fs'
import { BatchBuilder } from '../../proto/batch-builder.ts'
import { decodeBatch } from '../../proto/batch.ts'
import type { EventKind, EventValues } from '../../proto/gen/events.ts'
import type { EventLog } from '../event-log.ts'
import type { SequenceTable } from '../ingest/sequences.ts'

/** Node id of the correlator's own batches. No agent may take it. */
export const OWN_NODE_ID = 'correlator'

/** An event of the correlator. */
export type OwnEvent = {
  [K in EventKind]: { kind: K, values: Partial<EventValues[K]> }
}[EventKind]

/** The kernel's boot id, 32 hex digits. */
function ownBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim().replaceAll('-', '')
}

/**
 * Writes events into the event log, as one batch, and gives its position. Throws LogError when it
 * cannot be written.
 *
 * @param wallMs when they happened, wall clock milliseconds
 */
export function appendOwn(
  { log, sequences }: { log: EventLog, sequences: SequenceTable }, events: readonly OwnEvent[],
  wallMs = Date.now(),
): number {
  const bootId = ownBootId()
  const seq = (sequences.of(OWN_NODE_ID, bootId)?.appended_seq ?? 0) + 1
  const bytes = ownBatch(events, bootId, seq, wallMs)
  const batch = decodeBatch(bytes)
  const position = log.append(bytes, batch)
  sequences.noteAppended(batch.envelope)
  return position
}

/** @param seq number of the first event: the last one stored of this boot, plus 1 */
function ownBatch(
  events: readonly OwnEvent[], bootId: string, seq: number, wallMs: number,
): Buffer {
  const builder = new BatchBuilder({
    eventsMax: events.length, factsOf: () => ({ exe: '', cgroup_path: '', workload: '' }),
  })
  // /proc/uptime counts suspended time, as event times do; hundredths of a second are enough here.
  const uptime = readFileSync('/proc/uptime', 'utf8').split(' ')[0]
  const time = BigInt(Math.round(Number(uptime) * 100)) * 10_000_000n
  const wallNs = BigInt(Math.round(wallMs)) * 1_000_000n
  for (const { kind, values } of events) builder.append(kind, values, time)
  return builder.encode({
    node_id: OWN_NODE_ID, boot_id: bootId, first_seq: seq, clock_offset_ns: wallNs - time,
  })
}
