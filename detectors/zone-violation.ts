import { ACCEPTED, OUTGOING, milder } from '../detect/context.ts'
import type { Context } from '../detect/context.ts'
import { defineDetector } from '../detect/detector.ts'
import { judgeAttempt, judgeOpen } from './zone-judgement.ts'
import type { Crossing } from './zone-judgement.ts'
import { crossingKey, tellCrossing } from './zone-story.ts'
import { violationExamples } from './zone-violation.examples.ts'
import type { EventViews } from '../proto/gen/events.ts'

type Open = EventViews['connection_open']
type Close = EventViews['connection_close']

/** A connection that no flow allows, from its first end on. */
interface State {
  crossing: Crossing
  /** Bits `OUTGOING` and `ACCEPTED`: the ends that were seen to open, and to close. */
  opened: number
  closed: number
  /** As the opening end counts; null until one end has closed. */
  bytes: { bytes_sent: number; bytes_received: number } | null
  reported: boolean
  /** Null also when the detector is muted. */
  incident: string | null
}

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
    'Connections that were open before the agent started.',
    'UDP, RDMA and other protocols without connections.',
  ],
  runbook: 'Read who opened the connection (process, ancestry, user) and what it reached. If the '
    + 'connection is part of the design, add the rule that the finding names to the policy. If '
    + 'not, stop the process or cut the connection, keep the evidence, and look at what the '
    + 'opening process did before and what the reached service did afterwards.',
  needs: ['connection_open', 'connection_close', 'connection_failed'],
  settings: { hold_ms: 2000 },
  key: (event, context) => {
    if (!context.mayCross(event)) return null
    return event.kind === 'connection_failed' ? 'attempt' : context.connection(event)
  },
  state: {
    initial: (event, context): State | null => {
      const crossing = event.kind === 'connection_open' ? judgeOpen(event, context, null) : null
      return crossing === null ? null : stateOf(crossing)
    },
    keysMax: 50_000,
    idleMs: 24 * 3_600_000,
  },
  evaluate(event, state, context) {
    if (event.kind === 'connection_failed') evaluateAttempt(event, context)
    else if (state === null) return
    else if (event.kind === 'connection_close') evaluateClose(event, state, context)
    else evaluateOpen(event, state, context)
  },
  wake(state, context) {
    if (state !== null && !state.reported) report(state, context)
  },
  examples: [...violations, ...quiet],
})

function stateOf(crossing: Crossing): State {
  return { crossing, opened: 0, closed: 0, bytes: null, reported: false, incident: null }
}

/**
 * The first end says less than both: which process is at the other end decides about its zone. So
 * it is held for a moment, and judged with the other end when that one comes.
 */
function evaluateOpen(event: Open, state: State, context: Context): void {
  const direction = event.columns.direction[event.row]
  if ((state.opened & direction) !== 0) {
    // The same addresses and ports again: a new connection.
    if (!state.reported) report(state, context)
    const crossing = judgeOpen(event, context, null)
    if (crossing === null) return context.forget()
    Object.assign(state, stateOf(crossing))
  } else if (state.opened !== 0) return meet(event, state, context)
  state.opened |= direction
  const { opener, accepter } = state.crossing
  if (opener.evidence !== null && accepter.evidence !== null) {
    state.opened = OUTGOING | ACCEPTED
    report(state, context)
  } else context.wakeIn(context.setting('hold_ms'))
}

/** The other end of a connection that is held, or was reported after waiting in vain. */
function meet(event: Open, state: State, context: Context): void {
  state.opened = OUTGOING | ACCEPTED
  const crossing = judgeOpen(event, context, state.crossing)
  if (!state.reported) {
    if (crossing === null) return context.forget()
    state.crossing = crossing
    return report(state, context)
  }
  if (crossing === null || state.incident === null) return
  // Reported under the name of the first end: the finding stays, and learns of the second.
  const { summary, hop, details } = tellCrossing(crossing, context)
  context.amend(state.incident, crossingKey(state.crossing), {
    summary, hop, details, evidence: [context.evidence],
    nodes: [event.node_id], workloads: context.process ? [context.workloadOf(context.process)] : [],
  })
}

function evaluateClose(event: Close, state: State, context: Context): void {
  const direction = event.columns.direction[event.row]
  const { bytes_sent: sent, bytes_received: received } = event
  if (state.bytes === null) {
    state.bytes = direction === ACCEPTED
      ? { bytes_sent: received, bytes_received: sent }
      : { bytes_sent: sent, bytes_received: received }
    if (state.incident !== null) {
      context.amend(state.incident, crossingKey(state.crossing), {
        totals: state.bytes, evidence: [context.evidence],
      })
    }
  }
  state.closed |= direction
  if (state.reported && (state.opened & ~state.closed) === 0) context.forget()
}

function evaluateAttempt(event: EventViews['connection_failed'], context: Context): void {
  const crossing = judgeAttempt(event, context)
  if (crossing === null) return
  const { severity, from, to } = crossing
  context.report({
    key: crossingKey(crossing), severity: milder(severity), zones: [from, to],
    tell: () => tellCrossing(crossing, context),
  })
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
    totals: { bytes_sent: 0, bytes_received: 0, ...state.bytes },
    tell: () => tellCrossing(crossing, context),
  })
  if (state.closed !== 0 && (state.opened & ~state.closed) === 0) context.forget()
}
