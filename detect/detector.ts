/** What a detector is made of. One file in `detectors/` holds one. */
import type { EventKind, EventValues, EventViews, Process } from '../proto/gen/events.ts'
import type { Context } from './context.ts'

export type Severity = 'low' | 'medium' | 'high' | 'critical'

/** Names one event for ever. */
export interface Evidence {
  node_id: string
  boot_id: string
  seq: number
}

/** One end of a hop. What is not known is left out. */
export interface HopEnd {
  zone: string
  address: string
  port?: number
  node_id?: string
  workload?: string
  pid?: number
  exe?: string
  uid?: number
}

/** One connection, or attempt, of a story. */
export interface Hop {
  time: string
  from: HopEnd
  to: HopEnd
  protocol: string
  /** False for an attempt that was never established. */
  established: boolean
}

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json }

/** What people read of a finding. Texts of workloads in it go through `printable`. */
export interface Story {
  summary: string
  /** Facts by name, for people and scripts. */
  details: Record<string, Json>
  hop?: Hop
  /** What to do, in the order in which to do it. */
  next_steps: string[]
}

/** What a detector reports. */
export interface Finding {
  /** Findings of one incident with the same key are one finding that happened several times. */
  key: string
  /** Who it is about. Default: the workload or process tree of the event's process. */
  subject?: string
  /** Default: the severity of the detector. */
  severity?: Severity
  /** Default: the event that is being evaluated. */
  evidence?: Evidence[]
  /** When it happened, wall clock nanoseconds. Default: the time of the event. */
  wallNs?: bigint
  /** Names of the zones that it touches. */
  zones?: string[]
  /** Default: that of the event's process. */
  workloads?: string[]
  /** Default: that of the event. */
  nodes?: string[]
  /** Amounts that add up over the times it happened, such as bytes. */
  totals?: Record<string, number>
  /** Asked once, the first time: what happens often must not be told each time. */
  tell(): Story
}

/** An event as an example writes it; what is left out is absent. */
export type ExampleEvent = {
  [K in EventKind]: {
    kind: K
    /** Milliseconds after the start of the example. */
    at_ms: number
    values: Partial<EventValues[K]>
    process?: Partial<Process>
    /** Default: `node-1`. */
    node_id?: string
  }
}[EventKind]

/** Proof of what a detector does, run by the generic test. At least one fires, one stays quiet. */
export interface Example {
  /** A sentence. */
  name: string
  /** Text of the policy in force; none: learning. */
  policy?: string
  events: ExampleEvent[]
  /** Parts of the summaries of the findings of this detector, in order; empty: it stays quiet. */
  fires: string[]
}

/**
 * `K` are the kinds that it sees, `S` its state per key. The state is plain data (objects, arrays,
 * Map, Set, numbers, strings, null): it goes into snapshots. Pure: no clock, no module state.
 */
export interface DetectorDefinition<K extends EventKind, S> {
  /** Such as `NET-001`. Never used again for another one. */
  id: string
  title: string
  severity: Severity
  maturity: 'experimental' | 'stable'
  /** ATT&CK technique ids. */
  attack: readonly string[]
  /** ATLAS technique or tactic ids. */
  atlas: readonly string[]
  /** What it cannot see, a sentence each. */
  blindSpots: readonly string[]
  /** What to do when it fires, in plain words. */
  runbook: string
  needs: readonly K[]
  /** Thresholds with their defaults; the policy may change them. Units end the names. */
  settings: Readonly<Record<string, number>>
  state: {
    /** State of a key that has none. Null: evaluate sees null, and nothing is kept. */
    initial(event: EventViews[K], context: Context): S
    /** Most keys; the ones that were seen least recently leave, counted. */
    keysMax: number
    /** A key that was not seen for so long (by the watermark) is forgotten. */
    idleMs: number
  }
  /** What the state belongs to. Null: the event is of no interest. */
  key(event: EventViews[K], context: Context): string | number | null
  evaluate(event: EventViews[K], state: S, context: Context): void
  /** Called when a time asked for with `context.wakeIn` has come. */
  wake?(state: S, context: Context): void
  examples: readonly Example[]
}

/** Any detector. */
export type Detector = DetectorDefinition<EventKind, unknown>

/** Checks the types of a detector at its definition. */
export function defineDetector<const K extends EventKind, S>(
  definition: DetectorDefinition<K, S>,
): Detector {
  return definition as unknown as Detector
}
