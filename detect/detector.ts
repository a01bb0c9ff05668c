/** What a detector is made of. One file in `detectors/` holds one. */
import type { EventKind, EventValues, EventViews, Process } from '../proto/gen/events.ts'
import type { Context } from './context.ts'
import type { Severity } from './finding.ts'

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
  /** Of one event it is asked after the others: it judges by what they found, too. */
  afterOthers?: boolean
  /** It is asked only of events that read something of a store: few of all connections do. */
  readsOnly?: boolean
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
