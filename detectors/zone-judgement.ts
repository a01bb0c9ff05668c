/** Whether a connection crosses between zones where no flow allows it, and who is at its ends. */
import { ACCEPTED } from '../detect/context.ts'
import type { Context, Peer } from '../detect/context.ts'
import type { Evidence, Severity } from '../detect/finding.ts'
import type { EventViews } from '../proto/gen/events.ts'

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
  opener: CrossingEnd
  accepter: CrossingEnd
  /** Of the first end that was seen, wall clock nanoseconds. */
  wallNs: bigint
}

/**
 * Null when the policy allows it, as far as can be said now.
 *
 * @param first what the first end told, when that was a crossing
 */
export function judgeOpen(
  event: EventViews['connection_open'], context: Context, first: Crossing | null,
): Crossing | null {
  const accepted = event.columns.direction[event.row] === ACCEPTED
  const peer = context.peer(event) ?? peerOf(accepted ? first?.opener : first?.accepter, context)
  const near = context.nearZone(event)
  const far = context.farZone(event, peer)
  if (near === far) return null
  const [from, to] = accepted ? [far, near] : [near, far]
  const opener = accepted ? peer?.process ?? null : context.process
  if (context.verdict(event, from, to, opener, accepted).allowed) return null
  const here: CrossingEnd = {
    address: event.local_addr, port: event.local_port, process: context.process?.number ?? 0,
    exe: context.process?.exe ?? '', evidence: context.evidence,
  }
  const there: CrossingEnd = {
    address: event.remote_addr, port: event.remote_port, process: peer?.process?.number ?? 0,
    exe: peer?.process?.exe ?? '', evidence: peer?.evidence ?? null,
  }
  return {
    ...zonesOf(context, from, to), protocol: event.protocol, established: true,
    opener: accepted ? there : here, accepter: accepted ? here : there,
    wallNs: first?.wallNs ?? event.wall_ns,
  }
}

/** As `judgeOpen`, for an attempt that failed: only the opening end knows of it. */
export function judgeAttempt(
  event: EventViews['connection_failed'], context: Context,
): Crossing | null {
  const from = context.nearZone(event)
  const to = context.farZone(event, null)
  if (from === to) return null
  const { remote_port: port, protocol } = event
  const exe = context.process?.exe || null
  if (context.verdict(event, from, to, context.process, false).allowed) return null
  return {
    ...zonesOf(context, from, to), protocol, established: false,
    opener: {
      address: event.local_addr, port: event.local_port, process: context.process?.number ?? 0,
      exe: exe ?? '', evidence: context.evidence,
    },
    accepter: { address: event.remote_addr, port, process: 0, exe: '', evidence: null },
    wallNs: event.wall_ns,
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
