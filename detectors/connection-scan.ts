import { OUTGOING } from '../detect/context.ts'
import type { Context } from '../detect/context.ts'
import { defineDetector } from '../detect/detector.ts'
import { addressKey } from '../detect/graph/keys.ts'
import { classOf } from '../detect/names/workload-class.ts'
import type { EventViews } from '../proto/gen/events.ts'
import { isMature, learnSettings } from './baseline.ts'
import type { Baseline } from './baseline.ts'
import { scanExamples } from './connection-scan.examples.ts'
import { EPHEMERAL_PORT, farInWords, isHere, isMulticast } from './far-end.ts'
import { learn, newReach, note, PAIRS_MAX, SAMPLES_MAX } from './reach.ts'
import type { Sample, Usual } from './reach.ts'
import { dropOlder, finish, newActor, noteFailure, report } from './scan-actor.ts'
import type { Actor, What } from './scan-actor.ts'

type Kind = 'connection_failed' | 'connection_open' | 'connection_repeat' | 'datagram_flow'
type Event = EventViews[Kind]

/** What a class of workloads does, and who of it is at work. */
interface State extends Baseline {
  /** By subject; those of the last windows. */
  actors: Map<string, Actor>
  sweptMs: number
  usual: Usual
}

const ACTORS_MAX = 256
const FIRST = 1
const LAST = 3
const ICMP = new Set([1, 58])
/** So many packets without an answer are an attempt; a stream of them is meant to have none. */
const PROBE_PACKETS_MAX = 3
/** No packet left the node: no such family, no address, no route. */
const localErrors = new Set([97, 99, 101])

const [scans, quiet] = scanExamples

export default defineDetector({
  id: 'NET-003',
  title: 'Scan of many hosts or ports',
  severity: 'medium',
  maturity: 'stable',
  attack: ['T1046', 'T1018'],
  atlas: ['AML.T0075'],
  blindSpots: [
    'A scan slower than the thresholds in each window.',
    'A scan that only meets open ports, by a workload that is younger than the learning time.',
    'A scan of ports from 32768 on that are all open: training talks to such ports of everyone.',
    'A scan from a raw or packet socket, whose answers the kernel does not take for its own.',
    'A scan spread over workloads: each is counted alone.',
    'Of a class of workloads with more than 256 at work at once, those that were idle for longest '
      + 'are counted from the beginning again.',
  ],
  runbook: 'Find out what the process is and who started it (ancestry). A scanner of the site: '
    + 'mute this detector with a reason and an end, or raise its thresholds. A program that has '
    + 'lost its servers: repair it. Anything else: isolate the workload, keep image and memory, '
    + 'and look for connections of the same workload that did succeed.',
  needs: ['connection_failed', 'connection_open', 'connection_repeat', 'datagram_flow'],
  settings: {
    hosts: 20, ports: 30, window_ms: 60_000, ...learnSettings, fanout_hosts: 30, fanout_ports: 60,
    fanout_times: 3,
  },
  key: keyOf,
  state: {
    initial: (event): State => ({
      sinceMs: event.time_ms, events: 0, actors: new Map(), sweptMs: event.time_ms,
      usual: { hosts: new Map(), services: 0 },
    }),
    keysMax: 4000,
    idleMs: 30 * 86_400_000,
  },
  evaluate(event, state, context) {
    state.events++
    const nowMs = event.time_ms
    const windowMs = context.setting('window_ms')
    const actor = actorOf(context.subjectOf(context.process!), nowMs, windowMs, state, context)
    if (actor.fired !== null && nowMs - actor.fired.ms >= windowMs) finish(actor, context)
    const failures = failuresOf(event)
    if (nowMs - actor.reach.sinceMs >= windowMs) begin(actor, nowMs, state, context)
    if (failures > 0) onFailure(event, actor, failures, context)
    else onContact(event, actor, state, context)
  },
  wake(state, context) {
    const windowMs = context.setting('window_ms')
    let nextMs = Infinity
    for (const actor of state.actors.values()) {
      if (actor.fired === null) continue
      const dueMs = actor.fired.ms + windowMs
      if (dueMs <= context.watermarkMs) finish(actor, context)
      else nextMs = Math.min(nextMs, dueMs)
    }
    if (nextMs < Infinity) context.wakeIn(nextMs - context.watermarkMs)
  },
  examples: [...scans, ...quiet],
})

/** The class of who acts; null for what reaches nobody else, or says nothing new. */
function keyOf(event: Event, context: Context): string | number | null {
  if (context.process === null) return null
  const { columns, row } = event
  if (event.kind === 'connection_failed') {
    if (localErrors.has(event.columns.error[row])) return null
  } else {
    if (event.columns.direction[row] !== OUTGOING || isHere(event)) return null
    if (isMulticast(columns.remote_addr, 16 * row)) return null
    if (event.kind === 'datagram_flow' && !isNews(event)) return null
    if (event.kind === 'connection_open' && (event.columns.at_start[row] !== 0 ||
      columns.remote_port[row] >= EPHEMERAL_PORT)) return null
  }
  return classOf(context.process)
}

/** A flow that begins, or that has ended without an answer. */
function isNews(event: EventViews['datagram_flow']): boolean {
  const report = event.columns.report[event.row]
  return report === FIRST || (report === LAST && failuresOf(event) > 0)
}

/** Attempts of an event that met nobody. Many who watch ping what may be down: it counts not. */
function failuresOf(event: Event): number {
  if (event.kind === 'connection_failed') return 1
  if (event.kind === 'connection_repeat') return event.failed
  if (event.kind === 'connection_open') return 0
  const { report, packets_received, packets_sent, protocol } = event.columns
  const { row } = event
  const unanswered = report[row] === LAST && packets_received[row] === 0 &&
    packets_sent[row] <= PROBE_PACKETS_MAX && !ICMP.has(protocol[row])
  return unanswered ? 1 : 0
}

function actorOf(
  subject: string, nowMs: number, windowMs: number, state: State, context: Context,
): Actor {
  const { actors } = state
  if (nowMs - state.sweptMs >= windowMs) {
    state.sweptMs = nowMs
    for (const [name, { lastMs }] of actors) {
      if (nowMs - lastMs >= windowMs) leave(name, state, context)
    }
  }
  let actor = actors.get(subject)
  if (actor === undefined) {
    if (actors.size >= ACTORS_MAX) leave(idlestOf(actors), state, context)
    actors.set(subject, actor = newActor(nowMs))
  }
  actor.lastMs = nowMs
  return actor
}

function leave(name: string, state: State, context: Context): void {
  const actor = state.actors.get(name)!
  finish(actor, context)
  begin(actor, actor.lastMs, state, context)
  state.actors.delete(name)
}

/** Another window. */
function begin(actor: Actor, nowMs: number, state: State, context: Context): void {
  const hostsMin = context.setting('fanout_hosts') / Math.max(1, context.setting('fanout_times'))
  learn(state.usual, actor.reach, hostsMin)
  actor.reach = newReach(nowMs)
}

function idlestOf(actors: Map<string, Actor>): string {
  let [idlest, sinceMs] = ['', Infinity]
  for (const [name, { lastMs }] of actors) if (lastMs < sinceMs) [idlest, sinceMs] = [name, lastMs]
  return idlest
}

function onFailure(event: Event, actor: Actor, failures: number, context: Context): void {
  const nowMs = event.time_ms
  const windowMs = context.setting('window_ms')
  if (actor.fired !== null) {
    if (actor.fired.what === 'failed') noteFailure(event, actor, failures, context)
    return
  }
  dropOlder(actor.hosts, nowMs - windowMs, ({ lastMs }) => lastMs)
  const host = noteFailure(event, actor, failures, context)!
  dropOlder(host.ports, nowMs - windowMs, (lastMs) => lastMs)
  const manyHosts = actor.hosts.size >= context.setting('hosts')
  if (!manyHosts && host.ports.size < context.setting('ports')) return
  const hosts = manyHosts ? [...actor.hosts.values()] : [host]
  const failuresAll = hosts.reduce((sum, one) => sum + one.failures, 0)
  report(event, actor, context, {
    what: 'failed', member: 0, manyHosts, amount: failuresAll,
    hosts: hosts.length, ports: Math.max(...hosts.map(({ ports }) => ports.size)),
    samples: hosts.flatMap(({ sample }) => sample === null ? [] : [sample]).slice(0, SAMPLES_MAX),
  })
}

/** It reached someone, or said something to someone: is that more than is usual? */
function onContact(event: Event, actor: Actor, state: State, context: Context): void {
  const { columns, row } = event
  const { reach, fired } = actor
  const port = columns.remote_port[row]
  if (port >= EPHEMERAL_PORT) return
  if (fired?.what === 'reached') fired.after++
  if (reach.pairs.size >= PAIRS_MAX) return
  // Of the protocols that there are, the lower three bits differ where ports are the same.
  const service = port * 8 + (columns.protocol[row] & 7)
  const host = addressKey(columns.remote_addr, 16 * row) | 0
  if (!note(reach, host, service) || fired !== null) return
  const hosts = reach.hostsOf.get(service)!
  const services = reach.servicesOf.get(host)!
  const times = context.setting('fanout_times')
  const [hostsMax, servicesMax] = [context.setting('fanout_hosts'), context.setting('fanout_ports')]
  // Most have few: nothing below is asked for them.
  const manyHosts = hosts >= hostsMax / 2
  if (!manyHosts && services < servicesMax / 2) return
  const samples = takeSample(event, actor, manyHosts ? service : host, context)
  const usual = manyHosts ? state.usual.hosts.get(service) ?? 0 : state.usual.services
  const amount = manyHosts ? hosts : services
  if (amount < Math.max(manyHosts ? hostsMax : servicesMax, times * usual)) return
  if (!isMature(state, event.time_ms, context) || isNamed(event, context)) return
  report(event, actor, context, {
    what: 'reached', amount, samples, usual, baseline: state, manyHosts,
    hosts: manyHosts ? amount : 1, ports: manyHosts ? 1 : amount,
    member: manyHosts ? service : host,
  } satisfies What)
  reach.sinceMs = event.time_ms
}

/** The latest ones; `of` is the service or host of which there are many. */
function takeSample(event: Event, { reach }: Actor, of: number, context: Context): Sample[] {
  const samples = reach.samples.get(of) ?? []
  reach.samples.set(of, samples)
  if (samples.length < SAMPLES_MAX) {
    samples.push({
      target: farInWords(event, context), evidence: context.evidence,
      zone: context.zoneName(context.farZone(event, null)),
    })
  }
  return samples
}

/** A flow of the policy names the port, or the program: it is meant to go there. */
function isNamed(event: Event, context: Context): boolean {
  const { learning } = context.policy
  if (learning) return false
  const [near, far] = [context.nearZone(event), context.farZone(event, null)]
  const { flow } = context.verdict(event, near, far, context.process, false)
  return flow !== null && flow.ports.length + flow.executables.length > 0
}
