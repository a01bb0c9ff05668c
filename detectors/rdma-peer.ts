import { OUTGOING, sideOf } from '../detect/context.ts'
import type { Context } from '../detect/context.ts'
import { defineDetector } from '../detect/detector.ts'
import type { Evidence, Json, Severity } from '../detect/finding.ts'
import type { LineageProcess } from '../detect/lineage.ts'
import { amount, printable } from '../detect/words.ts'
import { EXTERNAL } from '../policy/compile.ts'
import type { EventViews } from '../proto/gen/events.ts'
import { actorInWords } from './actor.ts'
import { nameOfFar } from './far-end.ts'
import { rdmaPeerExamples } from './rdma-peer.examples.ts'
import { tenantInWords, tenantOf } from './tenant.ts'
import type { Tenant } from './tenant.ts'

type Event = EventViews['rdma_connection']

/** A connection of a job or pod whose other end was not seen yet. */
interface State {
  process: number
  address: string
  qp: number
  /** What is known of the address; '' when nothing is. */
  name: string
  severity: Severity
  zones: string[]
  evidence: Evidence
  wallNs: bigint
}

const FIRST = 1
const [fires, quiet] = rdmaPeerExamples

export default defineDetector({
  id: 'NET-011',
  title: 'RDMA between a job and someone outside of it',
  severity: 'high',
  maturity: 'experimental',
  attack: ['T1210', 'T1570', 'T1041'],
  atlas: ['AML.TA0015', 'AML.T0025'],
  blindSpots: [
    'What passes over a queue pair passes no kernel: there are no amounts, and no contents.',
    'InfiniBand that is routed by LID alone: the two ends cannot be joined.',
    'Peers within one Kubernetes namespace, and pods of which the namespace is not known.',
    'RDMA with services of a node, such as user space storage: NET-001 judges it by zones.',
    'RDMA of the kernel itself, such as NFS and NVMe over RDMA.',
    'A peer on a node that is not watched, unless the policy has zones or its address a name.',
  ],
  runbook: 'Find out what both processes are. Two jobs of one user may work together by design; '
    + 'two users, or two namespaces, may not without a word of the operators. RDMA writes into '
    + 'the memory of the peer with nobody watching: when in doubt end the connection first.',
  needs: ['rdma_connection'],
  settings: { hold_ms: 10_000 },
  key: (event, context) => {
    const { report, qp_num } = event.columns
    const { row } = event
    if (context.process === null || report[row] !== FIRST || qp_num[row] === 0) return null
    return context.connection(event)
  },
  state: {
    initial: (event, context): State | null =>
      context.peer(event) !== null ? null : loneEnd(event, context),
    keysMax: 50_000,
    idleMs: 60_000,
  },
  evaluate(event, state, context) {
    const peer = context.peer(event)
    if (peer === null) {
      if (state !== null) context.wakeIn(context.setting('hold_ms'))
      return
    }
    context.forget()
    if (peer.process !== null) meet(event, peer.process, peer.evidence, context)
  },
  wake(state, context) {
    if (state === null) return
    context.forget()
    tellLoneEnd(state, context)
  },
  examples: [...fires, ...quiet],
})

/** Both ends are known: do they belong together? */
function meet(
  event: Event, peer: LineageProcess, evidence: Evidence, context: Context,
): void {
  const here = context.process!
  const severity = judge(tenantOf(here), tenantOf(peer))
  if (severity === null) return
  const near = context.nearZone(event)
  const far = context.farZone(event, { process: peer, evidence })
  const mixed = tenantOf(here).kind !== tenantOf(peer).kind
  // Zones say how jobs and what is no job may talk. Two jobs are apart within a zone, too.
  if (mixed && isAllowed(event, near, far, context)) return
  // The one outside of jobs is who it is about; of two jobs the same one in any order of arrival.
  const first = tenantOf(here).kind === 'session' || (tenantOf(peer).kind !== 'session' &&
    sideOf(event) === OUTGOING)
  const [who, other] = first ? [here, peer] : [peer, here]
  context.report({
    key: `${who.exe} ${context.workloadOf(who)} > ${other.exe} ${context.workloadOf(other)}`,
    subject: context.subjectOf(who), severity,
    evidence: [evidence, context.evidence],
    nodes: [...new Set([who.node_id, other.node_id])],
    workloads: [context.workloadOf(who), context.workloadOf(other)],
    zones: context.policy.learning ? [] : [context.zoneName(near), context.zoneName(far)],
    tell: () => ({
      summary: `${actorInWords(who, context)} of ${tenantInWords(tenantOf(who))} has an RDMA ` +
        `connection with ${actorInWords(other, context)} of ${tenantInWords(tenantOf(other))}.`,
      details: {
        process: context.describe(who), peer_process: context.describe(other),
        device: event.device, transport: event.transport,
        ends: [`${event.local_addr} qp ${event.qp_num}`,
          `${event.remote_addr} qp ${event.remote_qp_num}`],
      },
      next_steps: steps(who, other),
    }),
  })
}

/** Null when two ends may talk, or nothing can be said. */
function judge(a: Tenant, b: Tenant): Severity | null {
  const apart = (one: Tenant): boolean => one.kind === 'job' || one.kind === 'pod'
  if (!apart(a) && !apart(b)) return null
  if (a.kind === 'service' || b.kind === 'service' || a.name === b.name) return null
  if (a.kind === 'job' && b.kind === 'job') return a.uid === b.uid ? 'medium' : 'high'
  if (a.kind === 'pod' && b.kind === 'pod') return a.name && b.name ? 'high' : null
  return 'medium'
}

function isAllowed(event: Event, near: number, far: number, context: Context): boolean {
  return !context.policy.learning && near !== far &&
    (context.verdict(event, near, far, null, false).allowed ||
      context.verdict(event, far, near, null, true).allowed)
}

/** What will be said if the other end never comes; null when that is nothing. */
function loneEnd(event: Event, context: Context): State | null {
  const process = context.process!
  const tenant = tenantOf(process)
  if (tenant.kind !== 'job' && tenant.kind !== 'pod') return null
  const { columns, row } = event
  const known = context.nameOf(columns.remote_addr, 16 * row)
  const [near, far] = [context.nearZone(event), context.farZone(event, null)]
  const stranger = known !== null && known.kind === 'pod' && tenant.kind === 'pod' &&
    tenant.name !== '' && known.namespace !== tenant.name
  const outside = !context.policy.learning && far === EXTERNAL && near !== far &&
    !isAllowed(event, near, far, context)
  if (!stranger && !outside) return null
  return {
    process: process.number, address: event.remote_addr, qp: event.remote_qp_num,
    name: nameOfFar(event, context), severity: stranger ? 'high' : 'medium',
    zones: context.policy.learning ? [] : [context.zoneName(near), context.zoneName(far)],
    evidence: context.evidence, wallNs: event.wall_ns,
  }
}

function tellLoneEnd(state: State, context: Context): void {
  const process = context.processOf(state.process)
  if (process === null) return
  const { address, qp, name, evidence } = state
  const who = name === '' ? `${address}, which is in no zone of the policy`
    : `${address} (${printable(name)})`
  const waitS = Math.round(context.setting('hold_ms') / 1000)
  context.report({
    key: `${process.exe} > ${address}`, subject: context.subjectOf(process),
    severity: state.severity, wallNs: state.wallNs, evidence: [evidence], zones: state.zones,
    nodes: [process.node_id], workloads: [context.workloadOf(process)],
    tell: () => ({
      summary: `${actorInWords(process, context)} of ${tenantInWords(tenantOf(process))} has an ` +
        `RDMA connection with ${who}. The other end was not seen within ` +
        `${amount(waitS, 'second')}: its node is not watched, or its agent cannot see RDMA.`,
      details: {
        process: context.describe(process), peer: address, peer_name: name, peer_qp: qp,
      } satisfies Record<string, Json>,
      next_steps: [
        `Find out who has the address ${address}, and why no agent runs there.`,
        `Look at pid ${process.pid} on ${printable(process.node_id)} and at what started it.`,
      ],
    }),
  })
}

function steps(who: LineageProcess, other: LineageProcess): string[] {
  const place = ({ pid, node_id }: LineageProcess): string => `pid ${pid} on ${printable(node_id)}`
  return [
    `Look at ${place(who)} and at ${place(other)}, and at what started them.`,
    'Ask the owners of both whether they work together.',
    'If not, end one of the processes: that takes the queue pair with it.',
  ]
}
