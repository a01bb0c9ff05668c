/** Query.Batches: the batches of a range as they stand in the log. */
import type { ServerWritableStream } from '@grpc/grpc-js'
import { setImmediate } from 'node:timers/promises'
import { BatchError, decodeEnvelope } from '../../proto/batch.ts'
import type { BatchEnvelope } from '../../proto/batch.ts'
import { kindInfos } from '../../proto/gen/events.ts'
import type { EventLog } from '../event-log.ts'
import type { BatchesRequest, EventId, StoredBatch } from '../grpc.ts'
import { writeMessage } from './follow.ts'

/** Every batch is compared with every one of them. */
const EVENTS_MAX = 64

/** Why the request cannot be answered, in words; null when it can. */
export function batchesRequestProblem(request: BatchesRequest): string | null {
  const { from_ms, to_ms, kinds_before, events } = request
  if (events.length > EVENTS_MAX) return `at most ${EVENTS_MAX} events can be asked for at once`
  const unknown = kinds_before.filter((kind) => !kindInfos.some((info) => info.kind === kind))
  if (unknown.length > 0) return `no such kind: ${unknown.join(', ').slice(0, 200)}`
  return to_ms > 0 && to_ms < from_ms ? 'the range ends before it begins' : null
}

/**
 * Answers a request that was checked, with what is durable now. Resolves when all is written or
 * nobody reads any longer.
 */
export async function answerBatches(
  call: ServerWritableStream<BatchesRequest, StoredBatch>, log: EventLog,
): Promise<void> {
  const { from_ms: fromMs, to_ms, kinds_before, events } = call.request
  const toMs = to_ms === 0 ? Infinity : to_ms
  const kinds = new Set(kindInfos.filter(({ kind }) => kinds_before.includes(kind))
    .map(({ number }) => number))
  /** Events that may still come: each is there once, unless any boot will do. */
  const sought = new Set(events)
  const missed: StoredBatch[] = []
  const onProblem = ({ what, position }: { what: string, position: number }): void => {
    missed.push({ position, payload: Buffer.alloc(0), missed: what })
  }
  for (const { position, payload } of log.read({ to: log.synced, onProblem })) {
    for (const one of missed.splice(0)) if (!await writeMessage(call, one)) return
    const envelope = envelopeOf(payload)
    const held = envelope === null ? [] : events.filter((one) => holds(envelope, one))
    if (envelope !== null && (!isWanted(envelope, fromMs, toMs, kinds)
      || (events.length > 0 && held.length === 0))) {
      // Ingest must go on while years are passed over.
      if (position % 64 === 0) await setImmediate()
      continue
    }
    if (!await writeMessage(call, { position, payload, missed: '' })) return
    for (const one of held) if (one.boot_id !== '') sought.delete(one)
    if (events.length > 0 && sought.size === 0) break
    await setImmediate()
  }
  for (const one of missed) if (!await writeMessage(call, one)) return
}

/** Null: not even the envelope can be read, which the reader shall see. */
function envelopeOf(payload: Uint8Array): BatchEnvelope | null {
  try {
    return decodeEnvelope(payload)
  } catch (error) {
    if (error instanceof BatchError) return null
    throw error
  }
}

function holds({ node_id, boot_id, first_seq, count }: BatchEnvelope, event: EventId): boolean {
  return event.node_id === node_id && (event.boot_id === '' || event.boot_id === boot_id)
    && event.seq >= first_seq && event.seq < first_seq + count
}

function isWanted(
  envelope: BatchEnvelope, fromMs: number, toMs: number, kinds: ReadonlySet<number>,
): boolean {
  const { first_time: first, last_time: last, clock_offset_ns: offset } = envelope
  if (Number(first + offset) / 1e6 > toMs) return false
  return Number(last + offset) / 1e6 >= fromMs || envelope.kinds.some((kind) => kinds.has(kind))
}
