import { defineDetector } from '../detect/detector.ts'
import type { Context } from '../detect/context.ts'
import { flag, means } from '../detect/graph/connection-columns.ts'
import { noteHead, taint } from '../detect/graph/heads.ts'
import { ACCEPTED, sideOf } from '../detect/graph/sides.ts'
import type { LineageProcess } from '../detect/lineage.ts'
import { EXTERNAL } from '../policy/compile.ts'
import type { EventViews } from '../proto/gen/events.ts'
import { Chains } from './lateral-chains.ts'
import type { ChainState } from './lateral-chains.ts'
import { judgePath } from './lateral-score.ts'
import type { JudgedPath } from './lateral-score.ts'
import { chainExamples } from './lateral-chain.examples.ts'

type Opening = EventViews['connection_open' | 'datagram_flow' | 'rdma_connection' |
  'vsock_connection' | 'socket_received']
type Closing = EventViews['connection_close' | 'connection_totals']
type Life = EventViews['process_exec' | 'process_exit' | 'process_orphan']

/** Value of `report` in the columns. */
const FLOW_FIRST = 1
/** No port that anybody listens on. */
const ANY_PORT = 0
/** Paths that wait for the far end of their last connection. */
const HELD_MAX = 1000

const [chains, quiet] = chainExamples

export default defineDetector({
  id: 'NET-002',
  title: 'Lateral movement over several hops into a protected zone',
  severity: 'high',
  maturity: 'stable',
  attack: ['T1021', 'T1570', 'T1090', 'T1078'],
  atlas: ['AML.TA0015'],
  blindSpots: [
    'Nodes without an agent: a path begins or ends there, and is known by the address alone.',
    'A server that acts on its own more than five seconds after the connection that told it to was '
      + 'closed, without starting a process.',
    'A process that only forks, accepts nothing itself and starts no program is not in the tree.',
    'A file that is run before the node that wrote it could report: only its own hops are seen.',
    'Where the address of the client is translated (NAT, a masquerading node) the ends cannot be '
      + 'joined; where that of the server is, only for Services that Kubernetes tells of.',
    'Of a connection over vsock whose other end nobody watches, only the context id is known; who '
      + 'asked kubelet to run something in a container is one of those that it served then.',
    'A notebook or job server is a shell by design: where a flow allows the way from end to end, '
      + 'nothing is raised.',
  ],
  runbook: 'Read the hops from first to last: each names the process that connected, how it came '
    + 'to act (descendant, standard streams, handed connection, file) and what it reached. Cut the '
    + 'path at the last hop first, then at the entry. Keep memory and disks, change the '
    + 'credentials used on the way, and look at what was read at the end. If the path is part of '
    + 'the design, allow it from end to end in the flows of the policy.',
  needs: ['connection_open', 'connection_close', 'connection_totals', 'datagram_flow',
    'rdma_connection', 'vsock_connection', 'socket_received', 'process_exec', 'process_exit',
    'process_orphan'],
  afterOthers: true,
  settings: { hops_min: 2, score_min: 50, hold_ms: 1000 },
  key: (event, context) => concerns(event, context) ? 'chains' : null,
  state: {
    initial: (): ChainState =>
      ({ chains: new Map(), byConnection: new Map(), next: 1, held: new Map() }),
    keysMax: 1,
    idleMs: 365 * 24 * 3_600_000,
  },
  evaluate(event, state, context) {
    const { graph } = context
    const { current: slot, connections: { columns } } = graph
    const known = new Chains(state, context)
    if (!isConnection(event) || slot < 0) {
      againStale(state, context)
      return
    }
    if (!begins(event)) {
      // Of one that is held only its far end is news.
      if ((columns.flags.get(slot) & flag.inChain) !== 0) known.closed(slot)
      return
    }
    if ((columns.flags.get(slot) & flag.inChain) === 0) {
      if (graph.toSearch || state.held.has(slot)) evaluateOpen(event, slot, state, context)
    } else if (graph.met) for (const head of known.refresh(slot)) again(head, state, context)
    againStale(state, context)
    if (graph.met) againWaiting(slot, state, context)
  },
  wake(state, context) {
    const { columns } = context.graph.connections
    for (const [slot, { serial, actor, dueMs }] of [...state.held]) {
      if (dueMs > context.watermarkMs) continue
      if (columns.serial.get(slot) === serial) release(slot, state, context)
      else state.held.delete(slot)
      if (columns.serial.get(slot) !== serial) continue
      consider(slot, context.processOf(actor), 'raise', state, context)
    }
    wakeForHeld(state, context)
  },
  examples: [...chains, ...quiet],
})

function isConnection(event: Opening | Closing | Life): event is Opening | Closing {
  return 'local_addr' in event.columns || 'local_cid' in event.columns
}

/** Most events change nothing about any path. */
function concerns(event: Opening | Closing | Life, context: Context): boolean {
  const { graph } = context
  const { current: slot, connections: { columns } } = graph
  if (!isConnection(event) || slot < 0) return graph.stale.length > 0
  if ((columns.flags.get(slot) & (flag.inChain | flag.held)) !== 0) return true
  if (!begins(event)) return false
  if (graph.met && isAccepted(event) && isKnownZone(slot, context)) {
    return graph.waiting.has(slot, columns.serial.get(slot))
  }
  // What no flow allows makes others stale: so this comes first.
  graph.toSearch = mayEnd(slot, actorOf(event, slot, context), context)
  return graph.toSearch || graph.stale.length > 0 ||
    (graph.met && graph.waiting.has(slot, columns.serial.get(slot)))
}

function isAccepted(event: Opening | Closing): boolean {
  if (event.kind === 'socket_received' || event.kind === 'vsock_connection') return false
  return sideOf(event) === ACCEPTED
}

/** The server says of its zone what the client's end was judged by: nothing is new. */
function isKnownZone(slot: number, context: Context): boolean {
  const { columns } = context.graph.connections
  const zone = columns.zone.get(slot)
  return zone !== 0 && zone === zoneNumber(context.zoneOfServer(slot), context)
}

function zoneNumber(to: number, { policyNumber }: Context): number {
  return ((policyNumber << 16) | (to + 1)) >>> 0
}

/** It is about the beginning of a connection, not about its course and end. */
function begins(event: Opening | Closing): event is Opening {
  if (event.kind === 'connection_close' || event.kind === 'connection_totals') return false
  return !('report' in event.columns) || event.columns.report[event.row] === FLOW_FIRST
}

/** The process that connects, or acts on the connection from now on. */
function actorOf(event: Opening | Closing, slot: number, context: Context): LineageProcess | null {
  if (event.kind === 'socket_received') return context.process
  return context.processOf(context.graph.connections.columns.client.get(slot))
}

/**
 * Most connections are the end of no path: nothing led to who connects but plain requests, or what
 * it reaches is not protected. One that no flow allows is remembered where it arrives.
 */
function mayEnd(slot: number, actor: LineageProcess | null, context: Context): boolean {
  const { graph, policy } = context
  const { columns } = graph.connections
  const { clientAddr, clientMs, serverAddr, serverPort } = columns
  const at = columns.addressAt(slot)
  if (!policy.mayCross(clientAddr, at, serverAddr, at)) return false
  const [from, to] = context.zonesOfConnection(slot, actor)
  columns.zone.set(slot, actor === null ? 0 : zoneNumber(to, context))
  const isNetwork = columns.means.get(slot) === means.network
  const forbidden = isNetwork && from !== to &&
    !context.verdictOfConnection(slot, from, to, actor).allowed
  if (forbidden) taint(graph, slot)
  if (actor === null || policy.exposures[to] !== 'protected') return false
  noteHead(graph.connections.columns, actor, slot)
  if (!actor.settled) graph.settle(actor)
  const { origins } = actor
  if (origins === null) return false
  if (!forbidden && !graph.rules.isInteresting(origins, actor, clientMs.get(slot))) return false
  const { quiet } = origins
  if (!forbidden && quiet.length > 0 && (quiet.includes(quietNumber(to, ANY_PORT, context)) ||
    quiet.includes(quietNumber(to, serverPort.get(slot), context)))) return false
  const isCertain = forbidden || graph.rules.actsForOthers(origins, actor)
  return graph.searches.take(isCertain, context.watermarkMs)
}

/** Stands for what a process reaches: the same again is judged the same, until more leads to it. */
function quietNumber(to: number, port: number, { policyNumber }: Context): number {
  return (policyNumber * 4096 + to) * 65_536 + (port & 0xffff)
}

/** One event can make many stale: not all of them may be searched. */
function againStale(state: ChainState, context: Context): void {
  const { graph } = context
  for (const head of graph.stale) {
    if (graph.searches.isSpent(context.watermarkMs)) break
    const actor = context.processOf(graph.connections.columns.client.get(head))
    const origins = actor?.origins
    if (!actor || !origins) continue
    const isCertain = graph.rules.actsForOthers(origins, actor)
    if (graph.searches.take(isCertain, context.watermarkMs)) again(head, state, context)
  }
}

/** The other end of a connection came: those that waited for it may go on before it. */
function againWaiting(slot: number, state: ChainState, context: Context): void {
  const { waiting, connections: { columns: { serial } } } = context.graph
  const heads = waiting.take(slot, serial.get(slot))
  for (let i = 0; i < heads.length; i += 2) {
    if (serial.get(heads[i]) === heads[i + 1]) again(heads[i], state, context)
  }
}

/** What leads to a connection has changed. */
function again(head: number, state: ChainState, context: Context): void {
  const actor = context.processOf(context.graph.connections.columns.client.get(head))
  consider(head, actor, state.held.has(head) ? 'hold' : 'raise', state, context)
}

function evaluateOpen(
  event: Opening | Closing, slot: number, state: ChainState, context: Context,
): void {
  const actor = actorOf(event, slot, context)
  const waited = release(slot, state, context)
  const { flags } = context.graph.connections.columns
  const complete = waited || (flags.get(slot) & flag.serverSeen) !== 0
  consider(slot, actor, complete ? 'raise' : 'hold', state, context)
}

/**
 * Judges the ways to a connection. Its zone may become another one when its far end is known: so
 * what would be raised is held for a moment until that comes.
 */
function consider(
  slot: number, actor: LineageProcess | null, then: 'raise' | 'hold', state: ChainState,
  context: Context,
): void {
  const paths = context.pathsTo(slot, actor)
  let best: JudgedPath | null = null
  let permitted = false
  for (const steps of paths) {
    waitForMore(steps[0].connection, slot, context)
    const judged = judgePath(steps, context)
    if (judged === null || judged.score < context.setting('score_min')) continue
    if (judged.permitted) {
      permitted = true
      continue
    }
    // The likeliest come first. The score of a guess says nothing of how good the guess is.
    best ??= judged
  }
  if (best === null) return noteQuiet(slot, actor, permitted, context)
  if (then === 'raise') new Chains(state, context).raise(best)
  else hold(slot, actor, state, context)
}

/** @param permitted only a flow from end to end, which is for some ports, made it so */
function noteQuiet(
  slot: number, actor: LineageProcess | null, permitted: boolean, context: Context,
): void {
  const origins = actor?.origins
  if (!origins) return
  const { rules, connections: { columns } } = context.graph
  const [, to] = context.zonesOfConnection(slot, actor)
  const port = permitted ? columns.serverPort.get(slot) : ANY_PORT
  rules.noteQuiet(origins, quietNumber(to, port, context))
}

/** A path whose first connection has no known client yet may go on when that one comes. */
function waitForMore(first: number, head: number, context: Context): void {
  const { graph } = context
  const { columns } = graph.connections
  if (first === head || (columns.flags.get(first) & flag.clientSeen) !== 0) return
  const [from] = context.zonesOfConnection(first, null)
  if (from === EXTERNAL) return
  graph.waiting.add(first, columns.serial.get(first), head, columns.serial.get(head))
}

function hold(
  slot: number, actor: LineageProcess | null, state: ChainState, context: Context,
): void {
  const { serial, flags } = context.graph.connections.columns
  for (const [oldest, held] of state.held) {
    if (state.held.size < HELD_MAX) break
    // What was being held back is better said too early than never.
    if (serial.get(oldest) === held.serial) release(oldest, state, context)
    else state.held.delete(oldest)
    if (serial.get(oldest) !== held.serial) continue
    consider(oldest, context.processOf(held.actor), 'raise', state, context)
  }
  const holdMs = context.setting('hold_ms')
  flags.set(slot, flags.get(slot) | flag.held)
  state.held.set(slot, {
    serial: serial.get(slot), actor: actor?.number ?? 0, dueMs: context.watermarkMs + holdMs,
  })
  if (state.held.size === 1) wakeForHeld(state, context)
}

/** True when it was held. */
function release(slot: number, state: ChainState, context: Context): boolean {
  const { flags } = context.graph.connections.columns
  flags.set(slot, flags.get(slot) & ~flag.held)
  return state.held.delete(slot)
}

function wakeForHeld(state: ChainState, context: Context): void {
  for (const { dueMs } of state.held.values()) {
    context.wakeIn(Math.max(0, dueMs - context.watermarkMs))
    return
  }
}
