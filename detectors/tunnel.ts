import { ACCEPTED } from '../detect/context.ts'
import type { Context } from '../detect/context.ts'
import { defineDetector } from '../detect/detector.ts'
import type { Severity, Story } from '../detect/finding.ts'
import { amount, bytesInWords, endpoint, printable } from '../detect/words.ts'
import { classOf } from '../detect/names/workload-class.ts'
import { EXTERNAL } from '../policy/compile.ts'
import type { EventViews } from '../proto/gen/events.ts'
import { actorInWords, programOf } from './actor.ts'
import { isMature, learnSettings, tellBaseline } from './baseline.ts'
import type { Baseline } from './baseline.ts'
import { beat, keepTrack, newTrack, rhythmOf } from './beacon.ts'
import type { Rhythm, Track } from './beacon.ts'
import { domainOf, noteName } from './dns-names.ts'
import type { Domain } from './dns-names.ts'
import { farInWords, isHere, isPublic, nameOfFar } from './far-end.ts'
import { tunnelExamples } from './tunnel.examples.ts'

type Flow = EventViews['connection_open' | 'datagram_flow']

/** What a class of workloads does with the outside. */
interface State extends Baseline {
  tracks: Map<string, Track>
  /** Peers left because there were too many: one that comes again seems new. */
  wide: boolean
  domains: Map<string, Domain>
  /** Who was told to speak ICMP with whom. */
  icmpTold: Set<string>
}

const FIRST = 1
const LAST = 3
const ICMP = new Set([1, 58])
const ICMP_PACKETS_MIN = 10
const ICMP_TOLD_MAX = 64
/** Name servers and clocks are asked regularly by everyone. */
const REGULAR_PORTS = new Set([53, 123, 853])
/** Programs that people and intruders run by hand: regular flows of theirs are told at once. */
const TOOLS = new Set(['sh', 'bash', 'dash', 'zsh', 'ksh', 'busybox', 'curl', 'wget', 'nc', 'ncat',
  'netcat', 'nc.openbsd', 'nc.traditional', 'socat', 'openssl', 'perl', 'pwsh'])

const [fires, quiet] = tunnelExamples

export default defineDetector({
  id: 'NET-010',
  title: 'A tunnel, or a beacon to the outside',
  severity: 'medium',
  maturity: 'experimental',
  attack: ['T1071.001', 'T1071.004', 'T1095', 'T1572'],
  atlas: ['AML.TA0014'],
  blindSpots: [
    'A beacon within one connection that stays open, or over one UDP socket: only the beginning '
      + 'and the amounts are visible.',
    'A beacon with more jitter than the threshold, or fewer than 17 beats.',
    'A beacon of a workload that is younger than the learning time, unless it is a tool such as '
      + 'curl or a shell.',
    'A beacon behind a name or proxy that the workload uses anyway.',
    'Name servers that are asked over TLS or HTTPS; flows to ports 53, 123 and 853.',
    'A domain of which fewer names are asked within a window, or short ones.',
  ],
  runbook: 'Find out what the process is, who started it, and what the peer or domain is. '
    + 'Monitoring and licence checks are as regular as a beacon: allow those with a flow that '
    + 'names the executable. Otherwise cut the way out first, and keep the process for evidence.',
  needs: ['connection_open', 'connection_close', 'datagram_flow', 'dns_answer'],
  settings: {
    ...learnSettings, interval_ms_min: 5000, jitter_percent_max: 20, flow_bytes_max: 65_536,
    dns_names: 50, dns_label_bytes: 24, dns_window_ms: 300_000,
    icmp_packet_bytes: 128, icmp_bytes: 16_384,
  },
  key: (event, context) => {
    if (context.process === null) return null
    if (event.kind === 'dns_answer') return classOf(context.process)
    const { columns, row } = event
    const at = 16 * row
    if (ICMP.has(columns.protocol[row])) return isHere(event) ? null : classOf(context.process)
    if (columns.direction[row] === ACCEPTED || !isPublic(columns.remote_addr, at)) return null
    return REGULAR_PORTS.has(columns.remote_port[row]) ? null : classOf(context.process)
  },
  state: {
    initial: (event): State => ({
      sinceMs: event.time_ms, events: 0, tracks: new Map(), wide: false, domains: new Map(),
      icmpTold: new Set(),
    }),
    keysMax: 2000,
    idleMs: 30 * 86_400_000,
  },
  evaluate(event, state, context) {
    if (event.kind === 'dns_answer') return onName(event, state, context)
    if (event.kind === 'connection_close') return onEnd(event, state, context)
    if (event.kind === 'datagram_flow') {
      if (ICMP.has(event.columns.protocol[event.row])) return onIcmp(event, state, context)
      const report = event.columns.report[event.row]
      if (report === LAST) onEnd(event, state, context)
      if (report !== FIRST) return
    }
    state.events++
    if (context.farZone(event, null) === EXTERNAL) onFlow(event, state, context)
  },
  examples: [...fires, ...quiet],
})

/** By name where it has one: addresses behind a name change. */
function peerOf(event: Flow | EventViews['connection_close'], context: Context): string {
  const name = nameOfFar(event, context)
  return `${domainOf(name) ?? (name || event.remote_addr)} ${event.remote_port}/${event.protocol}`
}

function onEnd(
  event: EventViews['connection_close' | 'datagram_flow'], state: State, context: Context,
): void {
  const track = state.tracks.get(peerOf(event, context))
  if (track === undefined) return
  track.ended++
  track.bytes += event.bytes_sent + event.bytes_received
}

function onFlow(event: Flow, state: State, context: Context): void {
  const peer = peerOf(event, context)
  const nowMs = event.time_ms
  const track = state.tracks.get(peer)
  if (track === undefined) {
    state.wide = !keepTrack(state.tracks, peer, newTrack(nowMs)) || state.wide
    return
  }
  beat(track, nowMs, context.setting('interval_ms_min') / 2)
  if (track.told) return
  const rhythm = rhythmOf(track)
  if (rhythm === null || rhythm.meanMs < context.setting('interval_ms_min')) return
  if (rhythm.jitterPercent > context.setting('jitter_percent_max')) return
  if (track.ended > 0 && track.bytes / track.ended > context.setting('flow_bytes_max')) return
  const severity = severityOf(track, state, event, context)
  if (severity === null) return
  track.told = true
  context.report({
    key: `beacon ${context.process!.exe} ${peer}`, severity,
    zones: zonesOf(event, context),
    tell: () => tellBeacon(event, track, rhythm, state, context),
  })
}

/** Null when it is usual, expected, or not known well enough. */
function severityOf(
  track: Track, state: State, event: Flow, context: Context,
): Severity | null {
  const { policy } = context
  const { exe, comm } = context.process!
  const near = context.nearZone(event)
  if (!policy.learning) {
    const { flow, identityUnknown } =
      context.verdict(event, near, EXTERNAL, context.process, false)
    const named = flow !== null && flow.executables.length + flow.toDns.length > 0
    if (named && !identityUnknown) return null
  }
  const learned = isMature(state, event.time_ms, context) && !state.wide
  const isNew = track.firstMs - state.sinceMs >= context.setting('learn_ms')
  if (learned) return !isNew ? null : policy.exposures[near] === 'protected' ? 'high' : 'medium'
  return TOOLS.has(programOf(exe || comm)) ? 'low' : null
}

function zonesOf(event: Flow, context: Context): string[] {
  if (context.policy.learning) return []
  return [context.nearZone(event), context.farZone(event, null)].map((one) => context.zoneName(one))
}

function onName(event: EventViews['dns_answer'], state: State, context: Context): void {
  const { name } = event
  const domain = domainOf(name)
  if (domain === null) return
  const windowMs = context.setting('dns_window_ms')
  const known = noteName(state.domains, domain, name, event.time_ms, windowMs)
  if (known.told || known.names.size < context.setting('dns_names')) return
  const labelBytes = known.labelBytes / known.names.size
  if (labelBytes < context.setting('dns_label_bytes')) return
  known.told = true
  context.report({
    key: `dns ${context.process!.exe} ${domain}`,
    tell: () => ({
      summary: `${actorInWords(context.process!, context)} asked for ` +
        `${amount(known.names.size, 'name')} under ${printable(domain)} within ` +
        `${Math.ceil((event.time_ms - known.sinceMs) / 1000)} seconds, with labels of ` +
        `${Math.round(labelBytes)} characters, as data in names has.`,
      details: {
        process: context.describe(context.process!), domain, sample: name,
        names_distinct: known.names.size, label_characters: Math.round(labelBytes),
        name_server: event.server_addr,
      },
      next_steps: steps(context, `the domain ${printable(domain)}`),
    }),
  })
}

function onIcmp(event: EventViews['datagram_flow'], state: State, context: Context): void {
  const packets = event.packets_sent + event.packets_received
  const bytes = event.bytes_sent + event.bytes_received
  if (packets < ICMP_PACKETS_MIN || bytes < context.setting('icmp_bytes')) return
  if (bytes / packets < context.setting('icmp_packet_bytes')) return
  const { remote_addr } = event
  const key = `icmp ${context.process!.exe} ${remote_addr}`
  if (state.icmpTold.has(key)) return
  // The oldest is forgotten first: it may be told again.
  if (state.icmpTold.size >= ICMP_TOLD_MAX) state.icmpTold.delete([...state.icmpTold][0])
  state.icmpTold.add(key)
  context.report({
    key, zones: zonesOf(event, context), totals: { bytes },
    tell: () => ({
      summary: `${actorInWords(context.process!, context)} exchanged ${bytesInWords(bytes)} with ` +
        `${remote_addr} over ICMP, ${Math.round(bytes / packets)} bytes in a ` +
        'packet. A ping has 64.',
      details: {
        process: context.describe(context.process!), peer: remote_addr, packets,
        packet_bytes: Math.round(bytes / packets),
      },
      next_steps: steps(context, remote_addr),
    }),
  })
}

function tellBeacon(
  event: Flow, track: Track, rhythm: Rhythm, state: State, context: Context,
): Story {
  const everyS = rhythm.meanMs / 1000
  const pace = everyS < 120 ? `${Math.round(everyS)} seconds` : `${Math.round(everyS / 60)} minutes`
  const size = track.ended === 0 ? '' : ` of about ${bytesInWords(track.bytes / track.ended)}`
  return {
    summary: `${actorInWords(context.process!, context)} connects to ` +
      `${farInWords(event, context)} every ${pace}${size}, ${amount(track.flows, 'time')} so ` +
      'far, as a beacon does.',
    details: {
      process: context.describe(context.process!),
      peer: endpoint(event.remote_addr, event.remote_port), peer_name: nameOfFar(event, context),
      flows: track.flows, interval_ms: Math.round(rhythm.meanMs),
      jitter_percent: Math.round(rhythm.jitterPercent),
      first_seen: new Date(track.firstMs).toISOString(), baseline: tellBaseline(state, context),
    },
    next_steps: [
      ...steps(context, event.remote_addr),
      'A monitor or licence check of the site: allow it with a flow that names the executable.',
    ],
  }
}

function steps(context: Context, peer: string): string[] {
  const { pid, node_id } = context.process!
  return [
    `Look at pid ${pid} on ${printable(node_id)} and at what started it.`,
    `Find out what ${peer} is, and who else in the cluster talks to it.`,
  ]
}
