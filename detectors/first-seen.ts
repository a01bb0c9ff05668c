import type { Context } from '../detect/context.ts'
import { ACCEPTED } from '../detect/context.ts'
import { flag } from '../detect/graph/connection-columns.ts'
import { defineDetector } from '../detect/detector.ts'
import type { Severity, Story } from '../detect/finding.ts'
import { endpoint } from '../detect/words.ts'
import { classOf, isJobClass } from '../detect/names/workload-class.ts'
import type { EventViews } from '../proto/gen/events.ts'
import { actorInWords } from './actor.ts'
import { baselineInWords, isMature, learnSettings, tellBaseline } from './baseline.ts'
import type { Baseline } from './baseline.ts'
import { domainOf } from './dns-names.ts'
import {
  EPHEMERAL_PORT, farInWords, isAnswer, isHere, isMulticast, isPublic, nameOfFar,
} from './far-end.ts'
import { firstSeenExamples } from './first-seen.examples.ts'
import { familyOf, nameKey, networkKey } from './peer-key.ts'

type Kind = 'connection_open' | 'datagram_flow' | 'rdma_connection'
type Event = EventViews[Kind]

/** What a class of workloads talks to. */
interface State extends Baseline {
  /** Programs of the class, numbered in the order in which they were seen. */
  programs: Map<string, number>
  /** Edge → when it was seen last, exact to an hour. */
  edges: Map<number, number>
  /** It talks to more than can be kept: nothing is new any more. */
  wide: boolean
  /** Findings since `dayMs`, and what the last of them needs to be amended. */
  told: number
  dayMs: number
  incident: string | null
  key: string
}

const PROGRAMS_MAX = 64
const EDGES_MAX = 256
const HOUR_MS = 3_600_000
const FIRST = 1
const [fires, quiet] = firstSeenExamples

export default defineDetector({
  id: 'NET-004',
  title: 'A workload talks to what it never talked to before',
  severity: 'low',
  maturity: 'experimental',
  attack: ['T1021', 'T1570', 'T1210'],
  atlas: ['AML.TA0015', 'AML.T0091'],
  blindSpots: [
    'A workload that is younger than the learning time, or of which little was seen.',
    'An attacker who was there while it learned.',
    'A peer in a network that the workload talks to anyway, on a port that it uses there: '
      + 'without names, the /24 (IPv6: /64) is the peer, and all of the Internet is one.',
    'Ports from 32768 on count as one.',
    'Programs of Slurm jobs are not told apart: their paths change with every environment.',
    `A workload with more than ${PROGRAMS_MAX} programs or ${EDGES_MAX} peers is not judged.`,
  ],
  runbook: 'Ask whether the workload has changed: a new version, a new server, a new setting. If '
    + 'so there is nothing to do, the peer is known from now on. If not, look at the process and '
    + 'what started it, and at what the peer holds.',
  needs: ['connection_open', 'datagram_flow', 'rdma_connection'],
  settings: { ...learnSettings, forget_ms: 30 * 86_400_000, findings_per_day: 10 },
  key: (event, context) => {
    const { columns, row } = event
    if (context.process === null || isHere(event) || isAnswer(event)) return null
    if (event.kind !== 'connection_open' && event.columns.report[row] !== FIRST) return null
    // Who calls is judged there; but callers from the Internet are not watched anywhere.
    const accepted = columns.direction[row] === ACCEPTED
    if (accepted && !isPublic(columns.remote_addr, 16 * row)) return null
    return isMulticast(columns.remote_addr, 16 * row) ? null : classOf(context.process)
  },
  state: {
    initial: (event): State => ({
      sinceMs: event.time_ms, events: 0, programs: new Map(), edges: new Map(), wide: false,
      told: 0, dayMs: 0, incident: null, key: '',
    }),
    keysMax: 2000,
    idleMs: 30 * 86_400_000,
  },
  evaluate(event, state, context) {
    const nowMs = event.time_ms
    state.events++
    if (state.wide) return
    const edge = edgeOf(event, state, context)
    const seenMs = state.edges.get(edge)
    if (seenMs !== undefined && nowMs - seenMs < HOUR_MS) return
    if (seenMs === undefined && !makeRoom(state, nowMs - context.setting('forget_ms'))) return
    state.edges.set(edge, nowMs)
    if (seenMs !== undefined || !isMature(state, nowMs, context)) return
    if (event.kind === 'connection_open' && event.at_start) return
    const severity = severityOf(event, context)
    if (severity === null) return
    noteFirst(context)
    report(event, state, context, severity)
  },
  examples: [...fires, ...quiet],
})

/** Direction, program, port and peer as one exact number: 1, 6, 16 and 29 bits. */
function edgeOf(event: Event, state: State, context: Context): number {
  const { columns, row } = event
  const accepted = columns.direction[row] === ACCEPTED
  const exe = context.process!.exe || context.process!.comm
  const name = isJobClass(classOf(context.process!)) ? '' : exe
  let program = state.programs.get(name)
  if (program === undefined) {
    program = state.programs.size
    if (program >= PROGRAMS_MAX) state.wide = true
    else state.programs.set(name, program)
  }
  const port = accepted ? columns.local_port[row] : columns.remote_port[row]
  const peerName = accepted ? '' : nameOfFar(event, context)
  const peer = peerName === '' ? networkKey(columns.remote_addr, 16 * row)
    : nameKey(familyOf(domainOf(peerName) ?? peerName))
  return ((Number(accepted) * PROGRAMS_MAX + program) * 65_536 + Math.min(port, EPHEMERAL_PORT)) *
    2 ** 29 + peer
}

/** False when the class has no room for one more edge: it is wide from here on. */
function makeRoom(state: State, forgetBeforeMs: number): boolean {
  if (state.edges.size >= EDGES_MAX) {
    for (const [edge, seenMs] of state.edges) {
      if (seenMs < forgetBeforeMs) state.edges.delete(edge)
    }
  }
  if (state.edges.size >= EDGES_MAX) state.wide = true
  if (!state.wide) return true
  state.edges.clear()
  state.programs.clear()
  return false
}

/** It says more where it is part of a chain. */
function noteFirst({ graph }: Context): void {
  const { current: slot, connections: { columns: { flags } } } = graph
  if (slot >= 0) flags.set(slot, flags.get(slot) | flag.firstSeen)
}

/** Null when the policy forbids it, which NET-001 tells, or allows just this program. */
function severityOf(event: Event, context: Context): Severity | null {
  const { policy } = context
  if (policy.learning) return 'low'
  const accepted = event.columns.direction[event.row] === ACCEPTED
  const [near, far] = [context.nearZone(event), context.farZone(event, null)]
  const [from, to] = accepted ? [far, near] : [near, far]
  if (from === to) return 'low'
  const { allowed, flow, identityUnknown } =
    context.verdict(event, from, to, accepted ? null : context.process, accepted)
  if (!allowed) return null
  if (flow !== null && flow.executables.length > 0 && !identityUnknown) return null
  const inward = policy.exposures[from] !== 'protected' && policy.exposures[to] === 'protected'
  return inward ? 'high' : 'medium'
}

function report(event: Event, state: State, context: Context, severity: Severity): void {
  if (event.time_ms - state.dayMs >= 24 * HOUR_MS) {
    state.dayMs = event.time_ms
    state.told = 0
  }
  if (++state.told > context.setting('findings_per_day')) {
    // It has changed as a whole, and the first findings say so.
    if (state.incident !== null) {
      context.amend(state.incident, state.key, { totals: { further_edges: 1 } })
    }
    return
  }
  const { remote_addr, remote_port, local_port, protocol } = event
  const accepted = event.columns.direction[event.row] === ACCEPTED
  const peer = accepted ? remote_addr : endpoint(remote_addr, remote_port)
  state.key = `${context.process!.exe} ${peer} ${accepted ? local_port : ''}/${protocol}`
  state.incident = context.report({
    key: state.key, severity,
    zones: context.policy.learning ? [] : [
      context.zoneName(context.nearZone(event)), context.zoneName(context.farZone(event, null)),
    ],
    tell: () => tell(event, state, context),
  })
}

function tell(event: Event, state: State, context: Context): Story {
  const process = context.process!
  const { remote_addr, remote_port, local_port, protocol } = event
  const accepted = event.columns.direction[event.row] === ACCEPTED
  const action = accepted ? `was called from the Internet, by ${remote_addr} on its port ` +
    `${local_port}/${protocol}` : `talked to ${farInWords(event, context)}`
  return {
    summary: `${actorInWords(process, context)} ${action}. Its workload had not done so ` +
      `${baselineInWords(state, event.time_ms)} that were seen of it.`,
    details: {
      process: context.describe(process), direction: event.direction, protocol,
      peer: endpoint(remote_addr, accepted ? 0 : remote_port), peer_name: nameOfFar(event, context),
      local_port: accepted ? local_port : 0,
      baseline: tellBaseline(state, context),
    },
    next_steps: [
      'Ask whether the workload has changed. If so there is nothing to do: it is known now.',
      `If not, look at pid ${process.pid} on ${process.node_id}, and at what started it.`,
    ],
  }
}
