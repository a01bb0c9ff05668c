/**
 * What passes between zones, as the detector of zone violations judges it: with both ends of a
 * connection joined, and all facts that the log holds. Asked with a policy without flows, it tells
 * of every connection that crosses; asked with a whole policy, of what violates it.
 */
import { detectors } from '../../detectors/index.ts'
import type { Context } from '../../detect/context.ts'
import type { Detector } from '../../detect/detector.ts'
import type { Finding, HopEnd } from '../../detect/finding.ts'
import type { Amendment } from '../../detect/incident-table.ts'
import { SLICES } from '../../policy/learn/edges.ts'
import type { Edge } from '../../policy/learn/edges.ts'

const ZONE_VIOLATION = 'NET-001'
/** Kinds of connections that are told apart; see `unlisted`. */
const EDGES_MAX = 50_000

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

  /** In an order that the log alone decides. */
  edges(): Edge[] {
    return [...this.#edges.entries()].sort(([a], [b]) => a < b ? -1 : 1).map(([, edge]) => edge)
  }

  #overheard(detector: Detector): Detector {
    return {
      ...detector,
      evaluate: (event, state, context) =>
        this.#during(context, () => detector.evaluate(event, state, context)),
      ...detector.wake === undefined ? {} : {
        wake: (state: unknown, context: Context) =>
          this.#during(context, () => detector.wake!(state, context)),
      },
    }
  }

  #during(context: Context, act: () => void): void {
    if (!this.#seen.has(context)) this.#attach(context)
    this.#listening = true
    act()
    this.#listening = false
  }

  /** Puts itself between the detectors and the incidents of one engine. */
  #attach(context: Context): void {
    this.#seen.add(context)
    const { report, amend } = context
    const { raise = false } = this.#options
    // What is amended later must find its edge again: by the key of the finding.
    context.report = (finding) => {
      if (!this.#listening) return report.call(context, finding)
      const token = this.#count(finding, context)
      return raise ? report.call(context, finding) : token
    }
    context.amend = (incident, key, amendment) => {
      if (!this.#listening || raise) amend.call(context, incident, key, amendment)
      else this.#amend(incident, amendment, context)
    }
  }

  /** The key of the edge, with the time; null when it is not counted. */
  #count(finding: Finding, context: Context): string | null {
    const wallMs = finding.wallNs === undefined ? context.watermarkMs
      : Number(finding.wallNs / 1_000_000n)
    const { fromMs, toMs, incidentOf } = this.#options
    if (wallMs < fromMs || wallMs > toMs) return null
    const [example] = finding.evidence ?? [context.evidence]
    const incident = (finding.evidence ?? [example]).map((one) => incidentOf?.(one) ?? '')
      .find((id) => id !== '') ?? ''
    const key = `${finding.key}\n${incident}`
    let edge = this.#edges.get(key)
    if (edge === undefined) {
      const fresh = this.#edges.size < (this.#options.edgesMax ?? EDGES_MAX)
        ? this.#edgeOf(finding) : null
      if (fresh === null) {
        this.unlisted++
        return null
      }
      edge = { ...fresh, first_ms: wallMs, last_ms: wallMs, example, incident }
      this.#edges.set(key, edge)
    }
    const { totals = {} } = finding
    edge.connections += countOf(totals, edge.established)
    edge.bytes_sent += totals['bytes_sent'] ?? 0
    edge.bytes_received += totals['bytes_received'] ?? 0
    edge.first_ms = Math.min(edge.first_ms, wallMs)
    edge.last_ms = Math.max(edge.last_ms, wallMs)
    edge.slices |= 1 << this.#sliceOf(wallMs)
    return `${wallMs}\n${key}`
  }

  #amend(token: string, { totals = {}, wallNs }: Amendment, context: Context): void {
    const at = token.indexOf('\n')
    const edge = this.#edges.get(token.slice(at + 1))
    if (edge === undefined) return
    edge.bytes_sent += totals['bytes_sent'] ?? 0
    edge.bytes_received += totals['bytes_received'] ?? 0
    // It stood from then until now.
    const untilMs = wallNs === undefined ? context.watermarkMs : Number(wallNs / 1_000_000n)
    const last = this.#sliceOf(untilMs)
    for (let i = this.#sliceOf(Number(token.slice(0, at))); i <= last; i++) edge.slices |= 1 << i
    edge.last_ms = Math.max(edge.last_ms, Math.min(untilMs, this.#options.toMs))
  }

  #sliceOf(ms: number): number {
    const { fromMs, toMs } = this.#options
    const part = (ms - fromMs) / Math.max(1, toMs - fromMs)
    return Math.max(0, Math.min(SLICES - 1, Math.floor(part * SLICES)))
  }

  #edgeOf(finding: Finding): Omit<Edge, 'first_ms' | 'last_ms' | 'example' | 'incident'> | null {
    const { hop } = finding.tell()
    const [from, to] = finding.zones ?? []
    if (hop === undefined || from === undefined || to === undefined) return null
    const { address: server, port = 0 } = hop.to
    return {
      from, to, protocol: hop.protocol, port, exe: hop.from.exe ?? '', opener: nameOf(hop.from),
      server, server_names: this.#options.namesOf?.(server) ?? [],
      established: hop.established, connections: 0, bytes_sent: 0, bytes_received: 0, slices: 0,
    }
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
