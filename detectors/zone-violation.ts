import { ACCEPTED, OUTGOING, milder, sideOf } from '../detect/context.ts'
import type { Context } from '../detect/context.ts'
import { defineDetector } from '../detect/detector.ts'
import { flag } from '../detect/graph/connection-columns.ts'
import { EXTERNAL, UNZONED } from '../policy/compile.ts'
import type { EventViews } from '../proto/gen/events.ts'
import { isMulticast, isPublic } from './far-end.ts'
import { judgeAgain, judgeAlone, judgeOpen } from './zone-judgement.ts'
import type { Crossing, OpenEvent } from './zone-judgement.ts'
import { crossingKey, tellCrossing } from './zone-story.ts'
import { violationExamples } from './zone-violation.examples.ts'

type Close = EventViews['connection_close' | 'datagram_flow' | 'rdma_connection']
type Alone = EventViews['connection_failed' | 'connection_repeat']

/** A connection that no flow allows, from its first end on. */
interface State {
  crossing: Crossing
  /** Bits `OUTGOING` and `ACCEPTED`: the ends that were seen to open, and to close. */
  opened: number
  closed: number
  /** As the opening end counts, up to now; by which end is in `countedBy`, 0 before. */
  bytes: { bytes_sent: number; bytes_received: number }
  countedBy: number
  reported: boolean
  /** Null also when the detector is muted. */
  incident: string | null
}

/** Values of `report` in the columns. */
const FIRST = 1
const LAST = 3

const [violations, quiet] = violationExamples

export default defineDetector({
  id: 'NET-001',
  title: 'Connection between zones that the policy does not allow',
  severity: 'high',
  maturity: 'stable',
  attack: ['T1210', 'T1570'],
  atlas: ['AML.TA0015'],
  blindSpots: [
    'Where addresses are translated between the ends (service addresses, NAT) the two ends cannot '
      + 'be joined: each is judged by the addresses that it sees, and may be a finding of its own.',
    'A process on a node that is not watched is known by its address alone.',
    'Of many short connections that are counted, not told one by one, the process at the other end '
      + 'is not known: they count where the zone of the address alone decides.',
    'Datagrams from the port of a service to one from 32768 on may be an answer: they are judged '
      + 'as one where the policy lets the peer call that port.',
    'Connections over Unix sockets and vsock are in no zones.',
    'What is sent to many at once (multicast, broadcast).',
    'RDMA has no amounts: what passes over a queue pair passes no kernel.',
  ],
  runbook: 'Read who opened the connection (process, ancestry, user) and what it reached. If the '
    + 'connection is part of the design, add the rule that the finding names to the policy. If '
    + 'not, stop the process or cut the connection, keep the evidence, and look at what the '
    + 'opening process did before and what the reached service did afterwards.',
  needs: ['connection_open', 'connection_close', 'connection_failed', 'connection_repeat',
    'datagram_flow', 'rdma_connection'],
  settings: { hold_ms: 2000 },
  key: (event, context) => {
    if (!context.mayCross(event)) return null
    if (event.kind === 'connection_failed' || event.kind === 'connection_repeat') return 'alone'
    const many = event.kind === 'datagram_flow' &&
      isMulticast(event.columns.remote_addr, 16 * event.row)
    return many || (!isOpen(event) && !isFollowed(context)) ? null : context.connection(event)
  },
  state: {
    initial: (event, context): State | null => {
      const crossing = isOpen(event) ? judgeOpen(event, context, null) : null
      return crossing === null ? null : stateOf(crossing)
    },
    keysMax: 50_000,
    idleMs: 24 * 3_600_000,
  },
  evaluate(event, state, context) {
    if (event.kind === 'connection_failed' || event.kind === 'connection_repeat') {
      evaluateAlone(event, context)
    } else if (state === null) return
    else if (isOpen(event)) evaluateOpen(event, state, context)
    else evaluateAmounts(event, state, context)
  },
  wake(state, context) {
    if (state === null || state.reported) return
    const crossing = judgeAgain(state.crossing, context)
    if (crossing === null) return context.forget()
    state.crossing = crossing
    report(state, context)
  },
  examples: [...violations, ...quiet],
})

function stateOf(crossing: Crossing): State {
  return {
    crossing, opened: 0, closed: 0, bytes: { bytes_sent: 0, bytes_received: 0 }, countedBy: 0,
    reported: false, incident: null,
  }
}

/** Most connections are allowed: what they do later is nothing to look up. */
function isFollowed({ graph: { current, connections: { columns } } }: Context): boolean {
  return current < 0 || (columns.flags.get(current) & flag.crossing) !== 0
}

function isOpen(event: OpenEvent | Close | Alone): event is OpenEvent {
  if (event.kind === 'connection_open') return true
  const flow = event.kind === 'datagram_flow' || event.kind === 'rdma_connection'
  return flow && event.columns.report[event.row] === FIRST
}

/**
 * The first end says less than both: which process is at the other end decides about its zone. So
 * it is held for a moment, and judged with the other end when that one comes.
 */
function evaluateOpen(event: OpenEvent, state: State, context: Context): void {
  const side = sideOf(event)
  const { current, connections: { columns: { flags } } } = context.graph
  if (current >= 0) flags.set(current, flags.get(current) | flag.crossing)
  if ((state.opened & side) !== 0) {
    // An agent that starts again tells once more of what stands.
    if (event.kind === 'connection_open' && event.at_start) return
    // The same addresses and ports again: a new connection.
    if (!state.reported) report(state, context)
    const crossing = judgeOpen(event, context, null)
    if (crossing === null) return context.forget()
    Object.assign(state, stateOf(crossing))
  } else if (state.opened !== 0) return meet(event, state, context)
  state.opened |= side
  const { opener, accepter } = state.crossing
  if (opener.evidence !== null && accepter.evidence !== null) {
    state.opened = OUTGOING | ACCEPTED
    reportNamed(state, context)
  } else context.wakeIn(context.setting('hold_ms'))
}

/** At once, unless the names of a pod are still to come: then what they say counts. */
function reportNamed(state: State, context: Context): void {
  const { opener, accepter } = state.crossing
  const late = [opener, accepter].some(({ process }) =>
    context.zones.awaitsNames(context.processOf(process)))
  if (late) context.wakeIn(context.setting('hold_ms'))
  else report(state, context)
}

/** The other end of a connection that is held, or was reported after waiting in vain. */
function meet(event: OpenEvent, state: State, context: Context): void {
  state.opened = OUTGOING | ACCEPTED
  const crossing = judgeOpen(event, context, state.crossing)
  if (!state.reported) {
    if (crossing === null) return context.forget()
    state.crossing = crossing
    return reportNamed(state, context)
  }
  if (crossing === null || state.incident === null) return
  // Reported under the name of the first end: the finding stays, and learns of the second.
  const { summary, hop, details } = tellCrossing(crossing, context)
  const opener = context.processOf(crossing.opener.process)
  context.amend(state.incident, crossingKey(state.crossing), {
    summary, hop, details, evidence: [context.evidence],
    // It may have been known by its address alone.
    joins: opener === null ? [] : [context.subjectOf(opener)],
    nodes: [event.node_id], workloads: context.process ? [context.workloadOf(context.process)] : [],
  })
}

/** What passed since. Both ends count the same: the first one that tells is believed. */
function evaluateAmounts(event: Close, state: State, context: Context): void {
  const side = sideOf(event)
  const ends = event.kind === 'connection_close' || event.columns.report[event.row] === LAST
  if (event.kind !== 'rdma_connection') {
    state.countedBy ||= side
    if (state.countedBy === side) count(event, state, context, side, ends)
  }
  if (!ends) return
  state.closed |= side
  if (state.reported && (state.opened & ~state.closed) === 0) context.forget()
}

function count(
  event: Exclude<Close, EventViews['rdma_connection']>, state: State, context: Context,
  side: number, ends: boolean,
): void {
  const { bytes_sent: near, bytes_received: far } = event
  const [sent, received] = side === ACCEPTED ? [far, near] : [near, far]
  const { bytes } = state
  const totals = {
    bytes_sent: sent - bytes.bytes_sent, bytes_received: received - bytes.bytes_received,
  }
  state.bytes = { bytes_sent: sent, bytes_received: received }
  if (state.incident === null) return
  const evidence = ends ? [context.evidence] : []
  if (!ends && totals.bytes_sent === 0 && totals.bytes_received === 0) return
  context.amend(state.incident, crossingKey(state.crossing), { totals, evidence })
}

function evaluateAlone(event: Alone, context: Context): void {
  if (event.kind === 'connection_repeat' && !isTold(event, context)) return
  const crossing = judgeAlone(event, context)
  if (crossing === null) return
  const { severity, established, from, to } = crossing
  const accepted = crossing.accepter.evidence !== null
  context.report({
    key: crossingKey(crossing), severity: established ? severity : milder(severity),
    zones: [from, to],
    subject: accepted ? `address ${crossing.opener.address}` : undefined,
    totals: event.kind === 'connection_failed' ? {} : {
      connections_counted: event.opened, attempts_counted: event.failed,
      bytes_sent: accepted ? event.bytes_received : event.bytes_sent,
      bytes_received: accepted ? event.bytes_sent : event.bytes_received,
    },
    tell: () => tellCrossing(crossing, context),
  })
}

/**
 * Many short connections are counted once, by the end that opens them where it is watched, and only
 * where the address says the zone: a process there may be in another one, as those say that are
 * told one by one.
 */
function isTold(event: EventViews['connection_repeat'], context: Context): boolean {
  const { columns, row } = event
  const outside = isPublic(columns.remote_addr, 16 * row)
  const far = context.farZone(event, null)
  if (columns.direction[row] === ACCEPTED) return outside && far === EXTERNAL
  return outside || far > UNZONED
}

function report(state: State, context: Context): void {
  const { crossing } = state
  const { opener, accepter, severity, from, to, wallNs } = crossing
  const ends = [opener, accepter].filter(({ evidence }) => evidence !== null)
  const processes = [opener, accepter].map(({ process }) => context.processOf(process))
  state.reported = true
  state.incident = context.report({
    key: crossingKey(crossing),
    subject: processes[0] === null ? `address ${opener.address}` : context.subjectOf(processes[0]),
    severity, wallNs, zones: [from, to],
    evidence: ends.map(({ evidence }) => evidence!),
    nodes: ends.map(({ evidence }) => evidence!.node_id),
    workloads: processes.flatMap((one) => one === null ? [] : [context.workloadOf(one)]),
    totals: { ...state.bytes },
    tell: () => tellCrossing(crossing, context),
  })
  if (state.closed !== 0 && (state.opened & ~state.closed) === 0) context.forget()
}
