import type { Context } from '../detect/context.ts'
import { defineDetector } from '../detect/detector.ts'
import type { Severity, Story } from '../detect/finding.ts'
import type { LineageProcess } from '../detect/lineage.ts'
import { endpoint } from '../detect/words.ts'
import { classOf, isJobClass } from '../detect/names/workload-class.ts'
import type { EventViews } from '../proto/gen/events.ts'
import { actorInWords, programOf } from './actor.ts'
import { baselineInWords, isMature, learnSettings, tellBaseline } from './baseline.ts'
import type { Baseline } from './baseline.ts'
import { EPHEMERAL_PORT } from './far-end.ts'
import { listenerExamples } from './listener.examples.ts'

/** Where a class of workloads listens. */
interface State extends Baseline {
  /** `program port/protocol`, or `program packet socket` → when it began to listen there last. */
  places: Map<string, number>
  /** Programs of the class that listen. */
  programs: Set<string>
  /** It listens in more places than can be kept: nothing is new any more. */
  wide: boolean
}

const PLACES_MAX = 128
const UNPRIVILEGED_PORT = 1024
/** AF_PACKET. */
const PACKET_FAMILY = 17
const ICMP = new Set([1, 58])
/** No service is made of these: they give a shell, or a way around a border. */
const TOOLS = new Set(['nc', 'nc.openbsd', 'nc.traditional', 'ncat', 'netcat', 'socat', 'ssh',
  'sh', 'ash', 'bash', 'zsh', 'ksh', 'dash', 'chisel', 'gost', 'frps', 'iodined', 'telnetd',
  'in.telnetd', 'pwncat', 'powercat', 'pwsh', 'ptunnel', 'rinetd', 'cryptcat'])

const [fires, quiet] = listenerExamples

export default defineDetector({
  id: 'NET-012',
  title: 'A workload listens where it is not expected to',
  severity: 'medium',
  maturity: 'experimental',
  attack: ['T1571', 'T1205', 'T1090', 'T1040'],
  atlas: ['AML.TA0014'],
  blindSpots: [
    'A listener that was there before the agent started, unless its program is a known tool.',
    'A workload that is younger than the learning time, unless the program is a known tool.',
    'Ports from 32768 on of jobs: training listens on random ports all the time. Elsewhere they '
      + 'count as one port; of UDP all ports from 1024 on do.',
    'A server on loopback.',
    'A raw or packet socket of a program that has had one before, such as ping.',
    'A backdoor that uses the port of a server that is there anyway, or needs none.',
    `A workload that listens in more than ${PLACES_MAX} places is not judged.`,
  ],
  runbook: 'Find out what the program is and who started it. A service that is meant to be: add a '
    + 'flow to its port to the policy, or wait, it is known from now on. Otherwise stop the '
    + 'program, and look at who connected to the port since.',
  needs: ['listen', 'raw_socket', 'process_exec'],
  settings: { ...learnSettings, learn_events: 1, forget_ms: 30 * 86_400_000 },
  key: (event, context) => {
    if (context.process === null) return null
    return event.kind === 'listen' && isLoopback(event.local_addr) ? null : classOf(context.process)
  },
  state: {
    initial: (event): State => ({
      sinceMs: event.time_ms, events: 0, places: new Map(), programs: new Set(), wide: false,
    }),
    keysMax: 4000,
    idleMs: 30 * 86_400_000,
  },
  evaluate(event, state, context) {
    state.events++
    if (event.kind === 'process_exec') return
    const { exe, comm } = context.process!
    const job = isJobClass(classOf(context.process!))
    const program = job ? programOf(exe || comm) : exe || comm
    const knownProgram = state.programs.has(program)
    const place = event.kind === 'listen' ? placeOf(event) : socketOf(event)
    const knownPlace = note(`${program} ${place}`, event.time_ms, state, context)
    if (event.kind === 'raw_socket') {
      // Packet sockets are found by looking again and again: all of them were there at some start.
      const quietly = knownPlace || state.wide || !isMature(state, event.time_ms, context)
      return quietly ? undefined : reportSocket(event, state, context)
    }
    state.programs.add(program)
    if (isTool(context.process!)) {
      return report(event, state, context, 'tool', toolSeverity(event, context))
    }
    if (knownPlace || event.at_start || state.wide || !isMature(state, event.time_ms, context)) {
      return
    }
    if (job && event.local_port >= EPHEMERAL_PORT) return
    if (isDeclared(event, context)) return
    if (knownProgram) report(event, state, context, 'port', 'low')
    else report(event, state, context, 'program', 'medium')
  },
  examples: [...fires, ...quiet],
})

/** A box of many tools is the one that it is called as. */
function isTool({ exe, comm }: LineageProcess): boolean {
  const program = programOf(exe || comm)
  return TOOLS.has(program === 'busybox' || program === 'toybox' ? comm : program)
}

function placeOf({ local_port, protocol }: EventViews['listen']): string {
  const namesNothing = protocol === 'udp' ? UNPRIVILEGED_PORT : EPHEMERAL_PORT
  return `${local_port >= namesNothing ? 'any' : local_port}/${protocol}`
}

/** Which traffic a raw or packet socket can read. */
function socketOf({ family, protocol_number }: EventViews['raw_socket']): string {
  if (family === PACKET_FAMILY) return 'packet socket'
  return ICMP.has(protocol_number) ? 'raw socket for ICMP' : 'raw socket'
}

/** True when the class was seen there before; the place is known from here on. */
function note(place: string, nowMs: number, state: State, context: Context): boolean {
  if (state.wide) return true
  const { places } = state
  const known = places.has(place)
  if (!known && places.size >= PLACES_MAX) {
    const beforeMs = nowMs - context.setting('forget_ms')
    for (const [old, seenMs] of places) if (seenMs < beforeMs) places.delete(old)
    if (places.size >= PLACES_MAX) {
      state.wide = true
      places.clear()
      state.programs.clear()
      return true
    }
  }
  places.set(place, nowMs)
  return known
}

/** A flow of the policy names this port of the zone, with a number: it is meant to be there. */
function isDeclared(event: EventViews['listen'], context: Context): boolean {
  const { policy } = context
  const zone = nearZone(event, context)
  return policy.zones.some((_, from) => {
    const { flow } = policy.flowAllowed(from, zone, event.local_port, event.protocol, null)
    return from !== zone && flow !== null && flow.ports.length > 0
  })
}

/** Zone of the process, else of the address that it listens on. */
function nearZone(event: EventViews['listen'], context: Context): number {
  const { local_addr } = event.columns
  return context.policy.nearZone(context.zoneOf(context.process), local_addr, 16 * event.row)
}

function toolSeverity(event: EventViews['listen'], context: Context): Severity {
  const { learning, exposures } = context.policy
  return !learning && exposures[nearZone(event, context)] !== 'internal' ? 'high' : 'medium'
}

function report(
  event: EventViews['listen'], state: State, context: Context, reason: 'tool' | 'program' | 'port',
  severity: Severity,
): void {
  const { local_port, protocol } = event
  context.report({
    key: `${context.process!.exe} ${local_port}/${protocol}`, severity,
    zones: context.policy.learning ? [] : [context.zoneName(nearZone(event, context))],
    tell: () => tell(event, state, context, reason),
  })
}

function tell(
  event: EventViews['listen'], state: State, context: Context, reason: 'tool' | 'program' | 'port',
): Story {
  const process = context.process!
  const { local_addr, local_port, protocol, at_start } = event
  const since = baselineInWords(state, event.time_ms)
  const before = at_start ? ', and did so already when the agent started' : ''
  const why = {
    tool: 'No service is made of this program.',
    program: `No such program of its workload had listened ${since} that were seen of it.`,
    port: `It had not listened on this port ${since} that were seen of its workload.`,
  }[reason]
  return {
    summary: `${actorInWords(process, context)} listens on ` +
      `${endpoint(local_addr, local_port)}/${protocol}${before}. ${why}`,
    details: {
      process: context.describe(process), listens_on: endpoint(local_addr, local_port), protocol,
      reason, at_start, baseline: tellBaseline(state, context),
    },
    next_steps: [
      `Look at pid ${process.pid} on ${process.node_id}, and at what started it.`,
      `Look at who connected to port ${local_port} since.`,
      'If it is meant to be, name the port in a flow of the policy.',
    ],
  }
}

/** A socket that reads what others send and receive; not those of ping. */
function reportSocket(event: EventViews['raw_socket'], state: State, context: Context): void {
  const process = context.process!
  const socket = socketOf(event)
  if (event.family !== PACKET_FAMILY && ICMP.has(event.protocol_number)) return
  const zone = context.zoneOf(process)
  context.report({
    key: `${process.exe} ${socket}`, severity: 'medium',
    zones: zone < 0 ? [] : [context.zoneName(zone)],
    tell: () => ({
      summary: `${actorInWords(process, context)} opened a ${socket}: it can read what others ` +
        'send, and send what it likes. Its workload had not done so ' +
        `${baselineInWords(state, event.time_ms)} that were seen of it.`,
      details: {
        process: context.describe(process), socket, protocol_number: event.protocol_number,
        reason: 'socket', baseline: tellBaseline(state, context),
      },
      next_steps: [
        `Look at pid ${process.pid} on ${process.node_id}, and at what started it.`,
        'Take CAP_NET_RAW from the workload, unless it needs it.',
      ],
    }),
  })
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1'
}
