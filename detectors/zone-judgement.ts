/** Whether a connection crosses between zones where no flow allows it, and who is at its ends. */
import { ACCEPTED, OUTGOING, sideOf } from '../detect/context.ts'
import type { Context, Peer } from '../detect/context.ts'
import type { Evidence, Severity } from '../detect/finding.ts'
import { parseAddress } from '../proto/address.ts'
import type { EventViews } from '../proto/gen/events.ts'
import { isAnswer } from './far-end.ts'

/** A connection, or the first datagram of a flow. */
export type OpenEvent = EventViews['connection_open' | 'datagram_flow' | 'rdma_connection']

/** One end; plain data. */
export interface CrossingEnd {
  address: string
  port: number
  /** Number in the lineage; 0 when no process is known. */
  process: number
  exe: string
  /** The event of this end; null when it was not seen. */
  evidence: Evidence | null
}

/** A connection, or attempt, that no flow allows; plain data. */
export interface Crossing {
  from: string
  to: string
  severity: Severity
  protocol: string
  established: boolean
  /** It stood already when the agent started. */
  standing: boolean
  opener: CrossingEnd
  accepter: CrossingEnd
  /** Of the first end that was seen, wall clock nanoseconds. */
  wallNs: bigint
}

/**
 * Null when the policy allows it, as far as can be said now. An answer is no connection: what comes
 * in is judged as from the peer, also of datagrams.
 *
 * @param first what the first end told, when that was a crossing
 */
export function judgeOpen(
  event: OpenEvent, context: Context, first: Crossing | null,
): Crossing | null {
  const direction = event.columns.direction[event.row]
  const accepted = (direction || sideOf(event)) === ACCEPTED
  const peer = context.peer(event) ?? peerOf(accepted ? first?.opener : first?.accepter, context)
  const near = context.nearZone(event)
  const far = context.farZone(event, peer)
  if (near === far) return null
  const [from, to] = accepted ? [far, near] : [near, far]
  const opener = accepted ? peer?.process ?? null : context.process
  if (context.verdict(event, from, to, opener, accepted).allowed) return null
  // RDMA ends may agree by other means than a call: then either way will do. So it will for what
  // may be an answer.
  const mutual = (direction !== OUTGOING && direction !== ACCEPTED) || isAnswer(event)
  const other = accepted ? context.process : peer?.process ?? null
  if (mutual && context.verdict(event, to, from, other, !accepted).allowed) return null
  const here = nearEnd(event, context)
  const there: CrossingEnd = {
    address: event.remote_addr, port: event.remote_port, process: peer?.process?.number ?? 0,
    exe: peer?.process?.exe ?? '', evidence: peer?.evidence ?? null,
  }
  return {
    ...zonesOf(context, from, to), protocol: event.protocol, established: true,
    standing: event.kind === 'connection_open' && event.at_start,
    opener: accepted ? there : here, accepter: accepted ? here : there,
    wallNs: first?.wallNs ?? event.wall_ns,
  }
}

/** As it is judged by what is known by now: names of pods and zones of addresses may have come. */
export function judgeAgain(crossing: Crossing, context: Context): Crossing | null {
  const { opener, accepter, protocol } = crossing
  const [client, server] = [opener, accepter].map(({ process }) => context.processOf(process))
  // Who is forgotten cannot be judged again; RDMA ends have no certain direction.
  const gone = (opener.process !== 0 && client === null) ||
    (accepter.process !== 0 && server === null)
  if (gone || protocol === 'rdma') return crossing
  const [from, to] = [parseAddress(opener.address), parseAddress(accepter.address)]
  const { zones } = context
  const [source, target] = zones.ofEnds(client, server, from, to, 0, opener.port, accepter.port)
  if (source === target || zones.verdictOf(
    source, target, client, from, to, 0, accepter.port, protocol).allowed) return null
  return { ...crossing, ...zonesOf(context, source, target) }
}

/**
 * As `judgeOpen`, for attempts that failed and for many short connections: only one end is known.
 * Both were, or will be, told one by one too, but for the amounts.
 */
export function judgeAlone(
  event: EventViews['connection_failed' | 'connection_repeat'], context: Context,
): Crossing | null {
  const repeat = event.kind === 'connection_repeat'
  const accepted = repeat && event.columns.direction[event.row] === ACCEPTED
  const [near, far] = [context.nearZone(event), context.farZone(event, null)]
  const [from, to] = accepted ? [far, near] : [near, far]
  if (near === far) return null
  if (context.verdict(event, from, to, accepted ? null : context.process, accepted).allowed) {
    return null
  }
  const here = nearEnd(event, context)
  const there: CrossingEnd = {
    address: event.remote_addr, port: event.remote_port, process: 0, exe: '', evidence: null,
  }
  return {
    ...zonesOf(context, from, to), protocol: event.protocol,
    established: repeat && (event.opened > 0 || event.failed === 0), standing: false,
    opener: accepted ? there : here, accepter: accepted ? here : there, wallNs: event.wall_ns,
  }
}

function nearEnd(
  event: OpenEvent | EventViews['connection_failed' | 'connection_repeat'], context: Context,
): CrossingEnd {
  const { process, evidence } = context
  return {
    address: event.local_addr, port: event.local_port, process: process?.number ?? 0,
    exe: process?.exe ?? '', evidence,
  }
}

function peerOf(end: CrossingEnd | undefined, context: Context): Peer | null {
  if (end === undefined || end.evidence === null) return null
  return { process: context.processOf(end.process), evidence: end.evidence }
}

/** From the open into the protected is worst; what leaves or enters the protected is bad. */
function zonesOf(
  context: Context, from: number, to: number,
): { from: string; to: string; severity: Severity } {
  const { exposures } = context.policy
  const inward = exposures[from] === 'public' && exposures[to] === 'protected'
  const touching = exposures[from] === 'protected' || exposures[to] === 'protected'
  return {
    from: context.zoneName(from), to: context.zoneName(to),
    severity: inward ? 'critical' : touching ? 'high' : 'medium',
  }
}
