/** One who scans, and how NET-003 tells of it. Plain data. */
import type { Context } from '../detect/context.ts'
import type { Story } from '../detect/finding.ts'
import { addressKey } from '../detect/graph/keys.ts'
import { amount } from '../detect/words.ts'
import type { EventViews } from '../proto/gen/events.ts'
import { actorInWords } from './actor.ts'
import { baselineInWords, tellBaseline } from './baseline.ts'
import type { Baseline } from './baseline.ts'
import { farInWords } from './far-end.ts'
import { newReach, PAIRS_MAX, SAMPLES_MAX } from './reach.ts'
import type { Reach, Sample } from './reach.ts'

type Event =
  EventViews['connection_failed' | 'connection_open' | 'connection_repeat' | 'datagram_flow']

/** Someone who did not answer. */
interface Host {
  lastMs: number
  failures: number
  /** Port → time of the latest failure. */
  ports: Map<number, number>
  sample: Sample | null
}

/** A subject; maps are in the order of the latest event, so that the oldest is the first. */
export interface Actor {
  lastMs: number
  /** Those it failed to reach. */
  hosts: Map<number, Host>
  reach: Reach
  /** The finding of this window; null before. */
  fired: {
    ms: number
    what: 'failed' | 'reached'
    incident: string | null
    key: string
    /** What happened since: failures, or contacts. */
    after: number
    /** The service whose hosts, or the host whose services are told. */
    member: number
    manyHosts: boolean
  } | null
}

/** What is told. */
export interface What {
  what: 'failed' | 'reached'
  /** The service whose hosts, or the host whose services are told. */
  member: number
  /** Else it is about many ports of one host. */
  manyHosts: boolean
  hosts: number
  ports: number
  /** Failures, or distinct members. */
  amount: number
  samples: Sample[]
  /** The most that was usual, and how long it was learned. */
  usual?: number
  baseline?: Baseline
}

/** Counting failed hosts ends here: then it says "at least". */
const HOSTS_MAX = 1024

export function newActor(nowMs: number): Actor {
  return { lastMs: nowMs, hosts: new Map(), reach: newReach(nowMs), fired: null }
}

/** Null when only the amount counts any more. */
export function noteFailure(
  event: Event, actor: Actor, failures: number, context: Context,
): Host | null {
  const { hosts, fired } = actor
  if (fired !== null) {
    fired.after += failures
    if (hosts.size >= HOSTS_MAX) return null
  }
  const key = addressKey(event.columns.remote_addr, 16 * event.row)
  let host = hosts.get(key)
  if (host === undefined) {
    const sample = hosts.size >= SAMPLES_MAX ? null : {
      target: farInWords(event, context), evidence: context.evidence,
      zone: context.zoneName(context.farZone(event, null)),
    }
    host = { lastMs: 0, failures: 0, ports: new Map(), sample }
  } else hosts.delete(key)
  hosts.set(key, host)
  host.lastMs = event.time_ms
  host.failures += failures
  host.ports.delete(event.remote_port)
  host.ports.set(event.remote_port, event.time_ms)
  return host
}

/** Drops what is before `beforeMs` from the front of a map in the order of time. */
export function dropOlder<V>(
  map: Map<number, V>, beforeMs: number, timeOf: (value: V) => number,
): void {
  for (const [key, value] of map) {
    if (timeOf(value) >= beforeMs) return
    map.delete(key)
  }
}

export function report(event: Event, actor: Actor, context: Context, what: What): void {
  const { exe } = context.process!
  const kind = what.manyHosts ? 'hosts' : 'ports'
  const service = what.what === 'reached' && what.manyHosts ? event.remote_port : ''
  const key = `${what.what} ${kind} ${service} ${exe}`
  const incident = context.report({
    key,
    evidence: [...what.samples.map(({ evidence }) => evidence), context.evidence]
      .slice(-SAMPLES_MAX),
    zones: context.policy.learning ? [] : [
      context.zoneName(context.nearZone(event)), ...what.samples.map(({ zone }) => zone),
    ],
    totals: what.what === 'failed' ? { failures: what.amount } : { contacts: what.amount },
    tell: () => tell(event, context, what),
  })
  actor.fired = {
    ms: event.time_ms, what: what.what, incident, key, after: 0,
    member: what.member, manyHosts: what.manyHosts,
  }
  context.wakeIn(context.setting('window_ms'))
}

function tell(event: Event, context: Context, what: What): Story {
  const process = context.process!
  const windowS = Math.round(context.setting('window_ms') / 1000)
  const targets = what.samples.map(({ target }) => target)
  const examples = targets.length === 0 ? '' : `, such as ${targets.slice(0, 3).join(', ')}`
  const many = what.manyHosts ? amount(what.hosts, 'host')
    : `${amount(what.ports, 'port')} of one host`
  const service = `${event.remote_port === 0 ? '' : `port ${event.remote_port}/`}${event.protocol}`
  const action = what.what === 'failed' ? `failed to connect to ${many}`
    : what.manyHosts ? `talked to ${many} on ${service}` : `talked to ${many}`
  const { baseline } = what
  const before = baseline === undefined ? '' : ` At most ${what.usual} were usual ` +
    `${baselineInWords(baseline, event.time_ms)} of its workload.`
  return {
    summary:
      `${actorInWords(process, context)} ${action} within ${windowS} seconds${examples}.${before}`,
    details: {
      process: context.describe(process), targets, hosts_distinct: what.hosts,
      ports_distinct: what.ports, window_ms: context.setting('window_ms'),
      ...baseline === undefined ? {} : {
        usual: what.usual ?? 0, baseline: tellBaseline(baseline, context),
      },
    },
    next_steps: [
      `Look at pid ${process.pid} on ${process.node_id} and at what started it.`,
      'Look for connections of the same workload that did succeed, from the same time on.',
      'A scanner of the site: mute NET-003 in the policy, with a reason and an end.',
    ],
  }
}

/** The window is over: the counts of all of it are added, and a new one may fire. */
export function finish(actor: Actor, context: Context): void {
  const { fired } = actor
  if (fired === null) return
  if (fired.incident !== null) {
    const failed = fired.what === 'failed'
    const { hostsOf, servicesOf, pairs } = actor.reach
    const distinct = failed ? actor.hosts.size
      : (fired.manyHosts ? hostsOf : servicesOf).get(fired.member) ?? 0
    const atLeast = failed ? distinct >= HOSTS_MAX : pairs.size >= PAIRS_MAX
    const name = failed || fired.manyHosts ? 'hosts_distinct' : 'ports_distinct'
    context.amend(fired.incident, fired.key, {
      totals: failed ? { failures: fired.after } : { contacts: fired.after },
      details: { [name]: distinct, [`${name}_at_least`]: atLeast },
    })
  }
  actor.hosts.clear()
  actor.fired = null
}
