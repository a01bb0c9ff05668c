/** How NET-002 tells of a chain. */
import type { Context } from '../detect/context.ts'
import type {
  Evidence, Hop, HopEnd, HopProcess, Severity, Story,
} from '../detect/finding.ts'
import { means } from '../detect/graph/connection-columns.ts'
import { isLogin } from '../detect/graph/logins.ts'
import type { Step } from '../detect/graph/walk.ts'
import { processIdentity } from '../detect/lineage.ts'
import type { LineageProcess } from '../detect/lineage.ts'
import { amount, endpoint, printable } from '../detect/words.ts'
import { DRILL_ZONES } from '../policy/zone-names.ts'
import { formatAddress } from '../proto/address.ts'
import { formatTime } from '../proto/event-json.ts'
import { protocolNames } from '../proto/gen/events.ts'
import { processesBetween } from './lateral-score.ts'
import type { JudgedPath } from './lateral-score.ts'

/** By `means`. */
const nameOfMeans = ['', 'unix', 'file', 'vsock', 'exec']
const ANY_CID = 0xffffffff
const ARGS_CHARS_MAX = 240
/** In the summary; all are in the list of hops. */
const HOPS_TOLD_MAX = 6

/**
 * One hop of a path as people and scripts read it.
 *
 * @param before the step that it follows from; null for the first one
 */
export function tellHop(
  step: Step, before: Step | null, [from, to]: readonly [from: number, to: number],
  context: Context,
): Hop {
  const { connections } = context.graph
  const { columns } = connections
  const { connection: slot } = step
  const clientEnd = endOf(slot, true, context.processOf(columns.client.get(slot)), from, context)
  const serverEnd = endOf(slot, false, context.processOf(columns.server.get(slot)), to, context)
  // A process that was handed the connection acts in the place of the one that opened it.
  const actor = context.processOf(step.actor)
  if (actor !== null) Object.assign(clientEnd, processFacts(actor, context))
  const how = columns.means.get(slot)
  const protocol = how === means.network ? protocolNames[columns.protocol.get(slot)] ?? ''
    : nameOfMeans[how]
  const hop: Hop = {
    time: formatTime(wallNsOf(slot, context)), protocol, established: true,
    from: step.reverse ? serverEnd : clientEnd, to: step.reverse ? clientEnd : serverEnd,
    evidence: evidenceOf(slot, context),
  }
  const [sent, received] = [columns.bytesSent.get(slot), columns.bytesReceived.get(slot)]
  if (connections.isClosed(slot) || sent + received > 0) {
    hop.bytes_sent = sent
    hop.bytes_received = received
  }
  if (before === null || step.link === null) return hop
  hop.link = step.link
  if (step.of > 1) hop.link_of = step.of
  const { via } = processesBetween(before, step, context)
  if (via.length > 0) hop.via = via.map(viaOf)
  return hop
}

function viaOf(process: LineageProcess): HopProcess {
  const { pid, exe, uid, args } = process
  return {
    pid, process_id: processIdentity(process), exe, uid,
    args: args === '' ? [] : args.slice(0, ARGS_CHARS_MAX).split('\0'),
  }
}

/** The events of the ends that were seen. */
export function evidenceOf(slot: number, context: Context): Evidence[] {
  const { columns } = context.graph.connections
  const ends = [true, false].flatMap((client) => {
    const seen = (columns.flags.get(slot) & (client ? 1 : 2)) !== 0
    const evidence = seen ? context.evidenceOf(slot, client) : null
    return evidence === null ? [] : [evidence]
  })
  return ends
}

/** When the connection was opened, as the end says that opened it, if it was seen. */
export function wallNsOf(slot: number, context: Context): bigint {
  const { flags, clientMs, clientOffset, serverMs, serverOffset } =
    context.graph.connections.columns
  const ms = (flags.get(slot) & 1) !== 0 ? clientMs.get(slot) + clientOffset.get(slot)
    : serverMs.get(slot) + serverOffset.get(slot)
  return BigInt(Math.round(ms * 1000)) * 1000n
}

/** The story of a whole chain; `path` is the one that is scored, `unlisted` counts more hops. */
export function tellChain(
  path: JudgedPath, hops: readonly Hop[], unlisted: number, context: Context,
): Story {
  const from = hops[0].from.zone
  const to = hops[hops.length - 1].to.zone
  const last = context.processOf(path.steps[path.steps.length - 1].actor)
  const why = path.reasons.slice(0, 3).join('; ')
  const way = hops.slice(0, HOPS_TOLD_MAX).map(hopInWords).join(', then ')
  return {
    summary: `A path of ${amount(hops.length, 'hop')} leads from zone ${from} into zone ${to}: ` +
      `${way}${hops.length > HOPS_TOLD_MAX ? ', and further' : ''}. It looks like an intrusion: ` +
      `${why}.`,
    details: {
      from_zone: from, to_zone: to, score: path.score, score_reasons: path.reasons,
      hops: hops.length, hops_unlisted: unlisted,
      process: last === null ? null : context.describe(last),
    },
    hops: [...hops],
    next_steps: nextSteps(hops),
  }
}

/** By where the path begins, and by its score. */
export function severityOf({ score, zones, steps }: JudgedPath, context: Context): Severity {
  const [[from, first]] = zones
  const isPublic = context.policy.exposures[steps[0].reverse ? first : from] === 'public'
  if (score >= 100) return isPublic ? 'critical' : 'high'
  return isPublic ? 'high' : 'medium'
}

function nextSteps(hops: readonly Hop[]): string[] {
  const acting = hops.filter(({ from }) => from.pid !== undefined)
  const names = acting.map(({ from }) => `pid ${from.pid} on ${printable(from.node_id ?? '')}`)
  const drill = DRILL_ZONES.includes(hops[0].from.zone)
  return [
    ...(drill ? ['This is a drill: a person made it, to see this incident raised.'] : []),
    `Cut the path: stop ${[...new Set(names)].join(', ')}.`,
    'Keep memory and disk of every workload of the path before they are restarted.',
    'Change the credentials that were used on the way: keys, tokens and passwords of these users.',
    `Look at what was read or changed at the end: ${endText(hops[hops.length - 1].to)}.`,
  ]
}

function hopInWords({ from, to, link_of: of, protocol }: Hop): string {
  const one = of === undefined ? '' : ` (one of ${of} that it could have come of)`
  const how = protocol === 'exec' ? 'by exec through the container runtime, ' : ''
  return `${how}${endText(from)} → ${endText(to)}${one}`
}

function endText({ exe, pid, uid, node_id, address, port, zone }: HopEnd): string {
  if (pid === undefined) return `${address === '' ? zone : endpoint(address, port ?? 0)}`
  return `${printable(exe || 'a process')} (pid ${pid}, uid ${uid} on ${printable(node_id ?? '')})`
}

function endOf(
  slot: number, client: boolean, process: LineageProcess | null, zone: number, context: Context,
): HopEnd {
  const { columns } = context.graph.connections
  const address = client ? columns.clientAddr : columns.serverAddr
  const port = (client ? columns.clientPort : columns.serverPort).get(slot)
  const how = columns.means.get(slot)
  const at = columns.addressAt(slot)
  const text = how === means.network ? formatAddress(address, at)
    : how === means.vsock ? cidText(address, at) : ''
  const place: HopEnd = { zone: context.zoneName(zone), address: text }
  if (port !== 0) place.port = port
  return process === null ? place : { ...place, ...processFacts(process, context) }
}

/** `cid 3`. That of a machine that does not know its own is not told. */
function cidText(address: Uint8Array, at: number): string {
  const cid = new DataView(address.buffer, address.byteOffset).getUint32(at + 12)
  return cid === ANY_CID ? '' : `cid ${cid}`
}

function processFacts(process: LineageProcess, context: Context): Partial<HopEnd> {
  const { node_id, pid, exe, uid } = process
  const workload = context.workloadOf(process)
  return { node_id, workload, pid, process_id: processIdentity(process), exe, uid }
}

/** Those whose findings belong to the story: who acts, and whom the way leads through. */
export function subjectsOf(path: JudgedPath, context: Context): string[] {
  const { columns } = context.graph.connections
  const subjects: string[] = []
  path.steps.forEach((step, i) => {
    const actor = context.processOf(step.actor)
    const opener = context.processOf(columns.client.get(step.connection))
    // A runtime, or kubelet, acts for everybody on its node.
    if (columns.means.get(step.connection) === means.exec) return
    if (actor !== null) subjects.push(context.subjectOf(actor))
    if (opener !== null) subjects.push(context.subjectOf(opener))
    else if (i === 0 && !step.reverse && columns.means.get(step.connection) === means.network) {
      const at = columns.addressAt(step.connection)
      subjects.push(`address ${formatAddress(columns.clientAddr, at)}`)
    }
    if (i === 0) return
    const { reached } = processesBetween(path.steps[i - 1], step, context)
    if (reached !== null && !isLogin(reached)) subjects.push(context.subjectOf(reached))
  })
  return [...new Set(subjects)]
}

/** Two steps of one shape say the same: the same program of a node reaches the same service. */
export function shapeOf(step: Step, context: Context): string {
  const { columns } = context.graph.connections
  const actor = context.processOf(step.actor)
  const address = formatAddress(columns.serverAddr, columns.addressAt(step.connection))
  const port = columns.serverPort.get(step.connection)
  return `${actor?.node_id ?? ''} ${actor?.exe ?? ''} ${address} ${port}`
}
