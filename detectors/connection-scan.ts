import { defineDetector } from '../detect/detector.ts'
import type { Evidence, Story } from '../detect/finding.ts'
import type { Context } from '../detect/context.ts'
import { addressKey } from '../detect/pairing.ts'
import { amount, endpoint, printable } from '../detect/words.ts'
import type { EventViews } from '../proto/gen/events.ts'
import { scanExamples } from './connection-scan.examples.ts'

interface Sample {
  target: string
  zone: string
  evidence: Evidence
}

interface Host {
  lastMs: number
  failures: number
  /** Port → time of the latest failure. */
  ports: Map<number, number>
  sample: Sample | null
}

/** Maps are kept in the order of the latest failure, so that the oldest is the first. */
interface State {
  hosts: Map<number, Host>
  /** Since the finding of this window; 0 before. */
  firedMs: number
  incident: string | null
  key: string
  failuresAfter: number
}

const SAMPLES_MAX = 10
/** Counting distinct hosts after the finding ends here: then it says "at least". */
const HOSTS_COUNTED_MAX = 1024
/** No packet left the node: no such family, no address, no route. */
const localErrors = new Set([97, 99, 101])

const [scans, quiet] = scanExamples

export default defineDetector({
  id: 'NET-003',
  title: 'Failed connections to many hosts or ports',
  severity: 'medium',
  maturity: 'stable',
  attack: ['T1046', 'T1018'],
  atlas: ['AML.T0075'],
  blindSpots: [
    'A scan slower than the thresholds in each window.',
    'A scan that only meets open ports: its connections succeed.',
    'A scan without connections, such as raw packets or UDP.',
    'A scan spread over workloads: each is counted alone.',
  ],
  runbook: 'Find out what the process is and who started it (ancestry). A scanner of the site: '
    + 'mute this detector with a reason and an end, or raise its thresholds. A program that has '
    + 'lost its servers: repair it. Anything else: isolate the workload, keep image and memory, '
    + 'and look for connections of the same workload that did succeed.',
  needs: ['connection_failed'],
  settings: { hosts: 20, ports: 30, window_ms: 60_000 },
  key: (event, context) => {
    if (context.process === null || localErrors.has(event.error)) return null
    return context.subjectOf(context.process)
  },
  state: {
    initial: (): State =>
      ({ hosts: new Map(), firedMs: 0, incident: null, key: '', failuresAfter: 0 }),
    keysMax: 10_000,
    idleMs: 300_000,
  },
  evaluate(event, state, context) {
    const nowMs = event.time_ms
    const windowMs = context.setting('window_ms')
    if (state.firedMs !== 0 && nowMs - state.firedMs >= windowMs) finish(state, context)
    if (state.firedMs !== 0) {
      state.failuresAfter++
      if (state.hosts.size < HOSTS_COUNTED_MAX) noteHost(event, state, context, nowMs)
      return
    }
    dropOlder(state.hosts, nowMs - windowMs, ({ lastMs }) => lastMs)
    const host = noteHost(event, state, context, nowMs)
    dropOlder(host.ports, nowMs - windowMs, (lastMs) => lastMs)
    host.ports.delete(event.remote_port)
    host.ports.set(event.remote_port, nowMs)
    const manyHosts = state.hosts.size >= context.setting('hosts')
    if (manyHosts || host.ports.size >= context.setting('ports')) {
      fire(event, state, context, manyHosts ? null : host)
    }
  },
  wake: finish,
  examples: [...scans, ...quiet],
})

function noteHost(
  event: EventViews['connection_failed'], state: State, context: Context, nowMs: number,
): Host {
  const key = addressKey(event.columns.remote_addr, 16 * event.row)
  let host = state.hosts.get(key)
  if (host === undefined) {
    const sampled = state.hosts.size < SAMPLES_MAX
    const sample = sampled ? {
      target: endpoint(event.remote_addr, event.remote_port),
      zone: context.zoneName(context.farZone(event, null)), evidence: context.evidence,
    } : null
    host = { lastMs: nowMs, failures: 0, ports: new Map(), sample }
  } else state.hosts.delete(key)
  state.hosts.set(key, host)
  host.lastMs = nowMs
  host.failures++
  return host
}

function dropOlder<V>(map: Map<number, V>, beforeMs: number, timeOf: (value: V) => number): void {
  for (const [key, value] of map) {
    if (timeOf(value) >= beforeMs) return
    map.delete(key)
  }
}

/** @param host the one with many ports; null when it is about many hosts */
function fire(
  event: EventViews['connection_failed'], state: State, context: Context, host: Host | null,
): void {
  const hosts = host === null ? [...state.hosts.values()] : [host]
  const samples = hosts.flatMap(({ sample }) => sample === null ? [] : [sample])
  const failures = hosts.reduce((sum, one) => sum + one.failures, 0)
  state.firedMs = event.time_ms
  state.key = `${host === null ? 'hosts' : 'ports'} ${context.process?.exe ?? ''}`
  state.incident = context.report({
    key: state.key,
    evidence: [...samples.map(({ evidence }) => evidence), context.evidence].slice(-SAMPLES_MAX),
    zones: context.policy.learning ? [] : [
      context.zoneName(context.nearZone(event)), ...samples.map(({ zone }) => zone),
    ],
    totals: { failures },
    tell: () => tell(context, hosts, samples, host),
  })
  context.wakeIn(context.setting('window_ms'))
}

function tell(context: Context, hosts: Host[], samples: Sample[], host: Host | null): Story {
  const process = context.process!
  const windowS = Math.round(context.setting('window_ms') / 1000)
  const name = printable(process.exe || process.comm || 'a process')
  const targets = samples.map(({ target }) => target)
  const what = host === null ? amount(hosts.length, 'host')
    : `${amount(host.ports.size, 'port')} of one host`
  const examples = targets.length === 0 ? '' : `, such as ${targets.slice(0, 3).join(', ')}`
  return {
    summary: `${name} (pid ${process.pid}, uid ${process.uid}, workload ` +
      `${printable(context.workloadOf(process))} on ${printable(process.node_id)}) failed to ` +
      `connect to ${what} within ${windowS} seconds${examples}.`,
    details: {
      process: context.describe(process), targets,
      hosts_distinct: hosts.length, ports_distinct: Math.max(...hosts.map((one) => one.ports.size)),
      window_ms: context.setting('window_ms'),
    },
    next_steps: [
      `Look at pid ${process.pid} on ${printable(process.node_id)} and at what started it.`,
      'Look for connections of the same workload that did succeed, from the same time on.',
      'A scanner of the site: mute NET-003 in the policy, with a reason and an end.',
    ],
  }
}

/** The window is over: the counts of all of it are added, and a new one may fire. */
function finish(state: State, context: Context): void {
  if (state.incident !== null) {
    context.amend(state.incident, state.key, {
      totals: { failures: state.failuresAfter },
      details: {
        hosts_distinct: state.hosts.size,
        hosts_distinct_at_least: state.hosts.size >= HOSTS_COUNTED_MAX,
      },
    })
  }
  state.hosts.clear()
  state.firedMs = 0
  state.incident = null
  state.key = ''
  state.failuresAfter = 0
}
