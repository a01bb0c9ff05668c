/** A range of the event log for the passes that learn a policy or compare two. */
import { Engine } from '../../detect/engine.ts'
import type { Detector } from '../../detect/detector.ts'
import type { EngineCounters } from '../../detect/engine-counters.ts'
import type { IncidentUpdate } from '../../detect/incident.ts'
import type { Policy } from '../../policy/policy.ts'
import { FACT_KINDS } from '../../policy/learn/census.ts'
import { BatchError, decodeEnvelope, openBatch } from '../../proto/batch.ts'
import type { Batch, BatchEnvelope } from '../../proto/batch.ts'
import { BatchBuilder } from '../../proto/batch-builder.ts'
import { kindInfos } from '../../proto/gen/events.ts'

/** Frames of the event log in order; can be asked for again. */
export type Frames = () => Iterable<{ position: number, payload: Uint8Array }>

/** A batch that has something in the range, or facts from before it. */
interface Part { position: number, batch: Batch }

/** First and last time of what a log holds of a range, wall clock milliseconds. */
export interface Extent {
  fromMs: number
  toMs: number
  events: number
  /** Positions of batches that could not be read, by whichever pass came upon them. */
  malformed: Set<number>
}

const FACT_NUMBERS = new Set(kindInfos.filter(({ kind }) => FACT_KINDS.has(kind))
  .map(({ number }) => number))
/** Longer than any detector holds an event back. */
const SETTLE_MS = 60_000
const SETTLE_BOOT = 'f'.repeat(32)

/** The times that the log holds of a range; from envelopes alone. `events` 0: nothing. */
export function extentOf(frames: Frames, fromMs: number, toMs: number): Extent {
  const extent = { fromMs: Infinity, toMs: -Infinity, events: 0, malformed: new Set<number>() }
  for (const { position, payload } of frames()) {
    const envelope = envelopeOf(payload)
    if (envelope === null) {
      extent.malformed.add(position)
      continue
    }
    const { beginsMs, endsMs } = timesOf(envelope)
    if (endsMs < fromMs || beginsMs > toMs) continue
    extent.fromMs = Math.min(extent.fromMs, Math.max(fromMs, beginsMs))
    extent.toMs = Math.max(extent.toMs, Math.min(toMs, endsMs))
    extent.events += envelope.count
  }
  return extent
}

/**
 * Batches that touch the range, and from before it those that hold facts: names, workloads, nodes,
 * policies. Those that cannot be read are passed over, and noted in the extent.
 */
export function* partsOf(frames: Frames, { fromMs, toMs, malformed }: Extent): Generator<Part> {
  for (const { position, payload } of frames()) {
    const envelope = envelopeOf(payload)
    if (envelope === null) continue
    const { beginsMs, endsMs } = timesOf(envelope)
    if (beginsMs > toMs) continue
    if (endsMs < fromMs && !envelope.kinds.some((kind) => FACT_NUMBERS.has(kind))) continue
    try {
      yield { position, batch: openBatch(envelope) }
    } catch (error) {
      if (!(error instanceof BatchError)) throw error
      malformed.add(position)
    }
  }
}

/** Runs detectors over a range under a policy, until all is settled. */
export function judge(
  frames: Frames, policy: Policy, { detectors }: { detectors: readonly Detector[] }, extent: Extent,
): { updates: IncidentUpdate[], counters: EngineCounters } {
  const engine = new Engine({ detectors, policyOverride: policy })
  const updates = new Map<string, IncidentUpdate>()
  const keep = (list: IncidentUpdate[]): void => {
    for (const update of list) updates.set(update.incident.incident_id, update)
  }
  let last = 0
  for (const { position, batch } of partsOf(frames, extent)) {
    keep(engine.ingest(batch, position))
    last = position
  }
  if (last > 0) keep(engine.ingest(settling(engine.watermarkMs), last))
  return { updates: [...updates.values()], counters: engine.counters() }
}

/** A sign of life from after the range: what was held back for the other end is told. */
function settling(watermarkMs: number): Batch {
  const builder = new BatchBuilder({
    eventsMax: 1, factsOf: () => ({ exe: '', cgroup_path: '', workload: '' }),
  })
  builder.append('heartbeat', {}, 0n)
  const envelope = decodeEnvelope(builder.encode({
    node_id: 'learn', boot_id: SETTLE_BOOT, first_seq: 1,
    clock_offset_ns: BigInt(Math.ceil(watermarkMs + SETTLE_MS)) * 1_000_000n,
  }))
  return openBatch(envelope)
}

function envelopeOf(payload: Uint8Array): BatchEnvelope | null {
  try {
    return decodeEnvelope(payload)
  } catch (error) {
    if (error instanceof BatchError) return null
    throw error
  }
}

function timesOf(envelope: BatchEnvelope): { beginsMs: number, endsMs: number } {
  const { first_time: first, last_time: last, clock_offset_ns: offset } = envelope
  return { beginsMs: Number(first + offset) / 1e6, endsMs: Number(last + offset) / 1e6 }
}
