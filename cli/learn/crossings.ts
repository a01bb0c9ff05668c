/**
 * What passes between zones, as the detector of zone violations judges it: with both ends of a
 * connection joined, and all facts that the log holds. Asked with a policy without flows, it tells
 * of every connection that crosses; asked with a whole policy, of what violates it.
 */
import { detectors } from '../../detectors/index.ts'
import type { Context } from '../../detect/context.ts'
import type { Detector } from '../../detect/detector.ts'
import type { Evidence, Finding, Hop, HopEnd } from '../../detect/finding.ts'
import type { Amendment } from '../../detect/incident-table.ts'
import type { Event } from '../../proto/batch-cursor.ts'
import { SLICES } from '../../policy/learn/edges.ts'
import type { Edge } from '../../policy/learn/edges.ts'

const ZONE_VIOLATION = 'NET-001'
/** Kinds of connections that are told apart; see `unlisted`. */
const EDGES_MAX = 50_000
/** Connections whose end is awaited; as many as the detector keeps. Others count when they open. */
const STANDING_MAX = 50_000
/** Value of `report` in the columns. */
const LAST = 3

export interface CrossingOptions {
  /** Connections outside of it are not counted, wall clock milliseconds. */
  fromMs: number
  toMs: number
  edgesMax?: number
  /** Id of the incident that an event is part of, '' for none. */
  incidentOf?: (event: { node_id: string, boot_id: string, seq: number }) => string
  /** DNS names of an address. */
  namesOf?: (address: string) => readonly string[]
  /** Findings go on to the incidents as well. */
  raise?: boolean
}

/** Collects crossings; its `detectors` are for one engine. */
export class Crossings {
  /** Connections of kinds beyond `edgesMax`: they were seen and are in no edge. */
  unlisted = 0
  readonly #edges = new Map<string, Edge>()
  readonly #options: CrossingOptions
  readonly #seen = new WeakSet<Context>()
  /** The violation detector is being asked: what is reported comes from it. */
  #listening = false
  /** What it keeps of the connection that it is asked about. */
  #state: object | null = null
  /** When connections ended that are not reported yet, by what is kept of them. */
  readonly #ended = new WeakMap<object, number>()
  /** The edge that a connection is in, by what is kept of it. */
  readonly #edgeOf = new WeakMap<object, Edge>()
  /** Reported and not ended; the oldest first. */
  readonly #standing = new Map<object, { edge: Edge, fromMs: number }>()

  constructor(options: CrossingOptions) {
    this.#options = options
  }

  /** The detectors to give to an engine: all with `raise`, else that of zone violations alone. */
  get detectors(): Detector[] {
    return detectors.flatMap((detector) => {
      if (detector.id === ZONE_VIOLATION) return [this.#overheard(detector)]
      return this.#options.raise ? [detector] : []
    })
  }

  /** What was seen, in an order that the log alone decides. Call it once, at the end. */
  edges(): Edge[] {
    // What nobody saw end stands until the end.
    for (const { edge, fromMs } of this.#standing.values()) this.#mark(edge, fromMs, Infinity)
    this.#standing.clear()
    return [...this.#edges.entries()].sort(([a], [b]) => a < b ? -1 : 1).map(([, edge]) => edge)
      .filter(({ connections }) => connections > 0)
  }

  #overheard(detector: Detector): Detector {
    return {
      ...detector,
      evaluate: (event, state, context) => this.#during(context, state, () => {
        if (endsWith(event)) this.#end(context)
        detector.evaluate(event, state, context)
      }),
      ...detector.wake === undefined ? {} : {
        wake: (state: unknown, context: Context) =>
          this.#during(context, state, () => detector.wake!(state, context)),
      },
    }
  }

  #during(context: Context, state: unknown, act: () => void): void {
    if (!this.#seen.has(context)) this.#attach(context)
    this.#state = typeof state === 'object' ? state : null
    this.#listening = true
    act()
    this.#listening = false
  }

  /** The connection that the detector is asked about has ended, at one of its ends. */
  #end({ watermarkMs }: Context): void {
    const state = this.#state
    if (state === null) return
    const stood = this.#standing.get(state)
    if (stood === undefined) this.#ended.set(state, watermarkMs)
    else this.#mark(stood.edge, stood.fromMs, watermarkMs)
    this.#standing.delete(state)
  }

  /** Puts itself between the detectors and the incidents of one engine. */
  #attach(context: Context): void {
    this.#seen.add(context)
    const { report, amend } = context
    const { raise = false } = this.#options
    // What is amended later must find its edge again: the id of the incident is the edge's key.
    context.report = (finding) => {
      if (!this.#listening) return report.call(context, finding)
      const token = this.#count(finding, context)
      return raise ? report.call(context, finding) : token
    }
    context.amend = (incident, key, amendment) => {
      if (!this.#listening || raise) amend.call(context, incident, key, amendment)
      else this.#amend(incident, amendment)
    }
  }

  /** The key of the edge; null when it is not counted. */
  #count(finding: Finding, context: Context): string | null {
    const wallMs = finding.wallNs === undefined ? context.watermarkMs
      : Number(finding.wallNs / 1_000_000n)
    const { fromMs, toMs, incidentOf } = this.#options
    if (wallMs < fromMs || wallMs > toMs) return null
    const [example] = finding.evidence ?? [context.evidence]
    const incident = (finding.evidence ?? [example]).map((one) => incidentOf?.(one) ?? '')
      .find((id) => id !== '') ?? ''
    const key = `${finding.key}\n${incident}`
    // To tell costs much more than to count: once for each kind.
    const edge = this.#edges.get(key) ??
      this.#add(key, finding.tell().hop, { wallMs, example, incident })
    if (edge === null) return null
    const { totals = {} } = finding
    edge.connections += countOf(totals, edge.established)
    edge.bytes_sent += totals['bytes_sent'] ?? 0
    edge.bytes_received += totals['bytes_received'] ?? 0
    edge.first_ms = Math.min(edge.first_ms, wallMs)
    if (this.#state !== null) this.#edgeOf.set(this.#state, edge)
    this.#stand(edge, wallMs)
    return key
  }

  #add(
    key: string, hop: Hop | undefined,
    { wallMs, example, incident }: { wallMs: number, example: Evidence, incident: string },
  ): Edge | null {
    if (hop === undefined || this.#edges.size >= (this.#options.edgesMax ?? EDGES_MAX)) {
      this.unlisted++
      return null
    }
    const { address: server, port = 0 } = hop.to
    const edge: Edge = {
      from: hop.from.zone, to: hop.to.zone, protocol: hop.protocol, port,
      exe: hop.from.exe ?? '', opener: nameOf(hop.from), server,
      server_names: this.#options.namesOf?.(server) ?? [], established: hop.established,
      connections: 0, bytes_sent: 0, bytes_received: 0, slices: 0,
      first_ms: wallMs, last_ms: wallMs, example, incident,
    }
    this.#edges.set(key, edge)
    return edge
  }

  #amend(key: string, { totals = {}, hop }: Amendment): void {
    const state = this.#state
    let edge = (state === null ? undefined : this.#edgeOf.get(state)) ?? this.#edges.get(key)
    if (edge === undefined) return
    if (hop !== undefined && state !== null) edge = this.#move(edge, hop, state)
    edge.bytes_sent += totals['bytes_sent'] ?? 0
    edge.bytes_received += totals['bytes_received'] ?? 0
  }

  /** The other end came late: now it is known who, and perhaps that it is another kind. */
  #move(edge: Edge, hop: Hop, state: object): Edge {
    const { zone, exe = '' } = hop.from
    if (exe === edge.exe && zone === edge.from && hop.to.zone === edge.to) return edge
    const { server, port, protocol, incident, example, established } = edge
    const key = JSON.stringify(
      [zone, hop.to.zone, exe, nameOf(hop.from), server, port, protocol, established, incident])
    const wallMs = this.#standing.get(state)?.fromMs ?? edge.first_ms
    const better = this.#edges.get(key) ?? this.#add(key, hop, { wallMs, example, incident })
    if (better === null) return edge
    edge.connections--
    better.connections++
    better.first_ms = Math.min(better.first_ms, wallMs)
    this.#mark(better, wallMs, wallMs)
    const stood = this.#standing.get(state)
    if (stood !== undefined) stood.edge = better
    this.#edgeOf.set(state, better)
    return better
  }

  /** It is there from then on, until it is seen to end, or was seen already. */
  #stand(edge: Edge, fromMs: number): void {
    const state = this.#state
    const endedMs = state === null ? fromMs : this.#ended.get(state)
    this.#mark(edge, fromMs, endedMs ?? fromMs)
    if (state === null) return
    this.#ended.delete(state)
    this.#standing.delete(state)
    if (endedMs !== undefined) return
    this.#standing.set(state, { edge, fromMs })
    if (this.#standing.size <= STANDING_MAX) return
    const [oldest] = this.#standing.keys()
    this.#standing.delete(oldest)
  }

  #mark(edge: Edge, fromMs: number, untilMs: number): void {
    const last = this.#sliceOf(untilMs)
    for (let i = this.#sliceOf(fromMs); i <= last; i++) edge.slices |= 1 << i
    edge.last_ms = Math.max(edge.last_ms, Math.min(untilMs, this.#options.toMs))
  }

  #sliceOf(ms: number): number {
    const { fromMs, toMs } = this.#options
    const part = (ms - fromMs) / Math.max(1, toMs - fromMs)
    return Math.max(0, Math.min(SLICES - 1, Math.floor(part * SLICES)))
  }
}

function endsWith(event: Event): boolean {
  switch (event.kind) {
    case 'connection_close': return true
    case 'datagram_flow':
    case 'rdma_connection': return event.columns.report[event.row] === LAST
    default: return false
  }
}

/** Connections of a finding: one, but for those that were counted instead of told one by one. */
function countOf(totals: Record<string, number>, established: boolean): number {
  const { connections_counted: opened, attempts_counted: failed = 0 } = totals
  return opened === undefined ? 1 : established ? opened : failed
}

function nameOf({ workload, exe, address }: HopEnd): string {
  return workload || exe || address
}
