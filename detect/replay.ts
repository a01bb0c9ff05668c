/** The detectors over the log again (stage 12), and the comparison with what was told live. */
import type { Policy } from '../policy/policy.ts'
import { BatchError, decodeEnvelope, openBatch } from '../proto/batch.ts'
import type { BatchEnvelope } from '../proto/batch.ts'
import type { Detector } from './detector.ts'
import { Engine } from './engine.ts'
import type { EngineOptions } from './engine.ts'
import type { EngineCounters } from './engine-counters.ts'
import { canonicalJson } from './incident.ts'
import type { Incident, IncidentUpdate } from './incident.ts'

export interface ReplayOptions {
  detectors: readonly Detector[]
  /** Asks what another policy would have done; default: the policies in the log. */
  policy?: Policy
  /** The baselines that it names, in the place of those of the log. */
  baselines?: EngineOptions['baselines']
  /** Only incidents that have something in this range, wall clock milliseconds. */
  fromMs?: number
  /** Batches that begin later are left out. */
  toMs?: number
  /** Engine snapshot of the batch before the first frame; without it the engine starts empty. */
  snapshot?: Uint8Array
  /** Bounds of the live engine, if it had others than the default. */
  engine?: Pick<EngineOptions, 'lineage' | 'incidents' | 'connections'>
  /** Called with every update in order, as the live engine gave it. */
  onUpdate?: (update: IncidentUpdate) => void
}

export interface ReplayResult {
  /** As they were last told, in the order in which they opened. */
  incidents: Incident[]
  batches: number
  events: number
  /** Frames that hold no batch, and why. */
  malformed: { position: number; message: string }[]
  /** Time of the last event, wall clock milliseconds. */
  watermarkMs: number
  counters: EngineCounters
}

/**
 * Runs over frames of the log in order. What it gives was told live for the same frames, snapshot
 * or not: only what `ingest` returned counts, not what the engine knows beyond.
 *
 * @throws SnapshotError
 */
export function replay(
  frames: Iterable<{ position: number; payload: Uint8Array }>, options: ReplayOptions,
): ReplayResult {
  const engineOptions: EngineOptions = {
    ...options.engine, detectors: options.detectors, policyOverride: options.policy,
    baselines: options.baselines,
  }
  const engine = options.snapshot === undefined
    ? new Engine(engineOptions) : Engine.restore(options.snapshot, engineOptions)
  const { fromMs = -Infinity, toMs = Infinity } = options
  const incidents = new Map<string, Incident>()
  const malformed: ReplayResult['malformed'] = []
  let batches = 0
  let events = 0
  for (const { position, payload } of frames) {
    try {
      const envelope = decodeEnvelope(payload)
      if (startMs(envelope) > toMs) continue
      const batch = openBatch(envelope)
      batches++
      events += envelope.count
      for (const update of engine.ingest(batch, position)) {
        incidents.set(update.incident.incident_id, update.incident)
        options.onUpdate?.(update)
      }
    } catch (error) {
      if (!(error instanceof BatchError)) throw error
      malformed.push({ position, message: error.message })
    }
  }
  return {
    incidents: [...incidents.values()].filter((one) => touches(one, fromMs, toMs)),
    batches, events, malformed, watermarkMs: engine.watermarkMs, counters: engine.counters(),
  }
}

function startMs({ first_time, clock_offset_ns }: BatchEnvelope): number {
  return Number(first_time + clock_offset_ns) / 1e6
}

function touches(incident: Incident, fromMs: number, toMs: number): boolean {
  return Date.parse(incident.updated_at) >= fromMs && Date.parse(incident.opened_at) <= toMs
}

export interface IncidentDiff {
  identical: boolean
  same: number
  only_live: Incident[]
  only_replayed: Incident[]
  /** `keys`: the parts of the incident that differ. */
  different: { incident_id: string; keys: string[]; live: Incident; replayed: Incident }[]
}

/** Compares incidents byte by byte, in their canonical form, by id. The last of each id counts. */
export function diffIncidents(
  live: Iterable<Incident>, replayed: Iterable<Incident>,
): IncidentDiff {
  const left = new Map([...live].map((incident) => [incident.incident_id, incident]))
  const right = new Map([...replayed].map((incident) => [incident.incident_id, incident]))
  const different: IncidentDiff['different'] = []
  let same = 0
  for (const [id, one] of left) {
    const other = right.get(id)
    if (other === undefined) continue
    if (canonicalJson(one) === canonicalJson(other)) same++
    else different.push({ incident_id: id, keys: keysOf(one, other), live: one, replayed: other })
  }
  const onlyLive = [...left.values()].filter(({ incident_id: id }) => !right.has(id))
  const onlyReplayed = [...right.values()].filter(({ incident_id: id }) => !left.has(id))
  return {
    identical: different.length + onlyLive.length + onlyReplayed.length === 0,
    same, only_live: onlyLive, only_replayed: onlyReplayed, different,
  }
}

function keysOf(one: Incident, other: Incident): string[] {
  const keys = new Set([...Object.keys(one), ...Object.keys(other)]) as Set<keyof Incident>
  return [...keys].filter((key) => canonicalJson(one[key]) !== canonicalJson(other[key]))
}
