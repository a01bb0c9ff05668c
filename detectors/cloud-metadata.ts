import type { ConnectionEvent, Context } from '../detect/context.ts'
import { defineDetector } from '../detect/detector.ts'
import type { Severity, Story } from '../detect/finding.ts'
import { endpoint } from '../detect/words.ts'
import { classOf } from '../detect/names/workload-class.ts'
import { parseAddress } from '../proto/address.ts'
import { actorInWords, programOf } from './actor.ts'
import { baselineInWords, isMature, learnSettings, tellBaseline } from './baseline.ts'
import type { Baseline } from './baseline.ts'
import { metadataExamples } from './cloud-metadata.examples.ts'
import { isByHand, isContained } from './programs.ts'

/** What a class of workloads asked of the metadata service. */
interface State extends Baseline {
  /** Programs of the class that asked while it was learned. */
  programs: string[]
}

const PROGRAMS_MAX = 32
/** AWS, Azure, Google and others; AWS over IPv6; tasks and pods of AWS; Alibaba. */
const services = ['169.254.169.254', 'fd00:ec2::254', '169.254.170.2', '169.254.170.23',
  'fd00:ec2::23', '100.100.100.200'].map(parseAddress)
const lastBytes = new Set(services.map((bytes) => bytes[15]))
/** Agents of the clouds, whose work it is. */
const agents = new Set(['cloud-init', 'amazon-ssm-agent', 'ssm-agent-worker', 'ssm-document-worker',
  'amazon-cloudwatch-agent', 'google_guest_agent', 'google_metadata_script_runner',
  'google_osconfig_agent', 'gce_workload_cert_refresh', 'google_authorized_keys', 'waagent',
  'WALinuxAgent', 'aliyun-service', 'ec2-net-utils', 'chronyd', 'ntpd', 'systemd-timesyncd',
  'kubelet', 'aws-k8s-agent', 'aws-node-termination-handler', 'ecr-credential-provider'])
/** The client of a drill (policy/match/drill-ranges.ts): nobody else has such an address. */
const drillSource = parseAddress('192.0.2.0')
const DRILL_PREFIX_BYTES = 15

const [fires, quiet] = metadataExamples

export default defineDetector({
  id: 'NET-007',
  title: 'A workload asks the cloud for the credentials of its node',
  severity: 'high',
  maturity: 'stable',
  attack: ['T1552.005', 'T1580'],
  atlas: ['AML.T0055', 'AML.T0090'],
  blindSpots: [
    'A workload that asks from its first hour on, by a program of its own and outside of a public '
      + 'zone: that is taken as its normal work while it is learned.',
    'Requests through a proxy on the node, which is then the one who asks.',
    'What was asked for: time and host name come from the same address as credentials.',
  ],
  runbook: 'Whoever reaches this address may act as the node: renew the credentials of its role. '
    + 'If the workload needs them, give it an identity of its own (IRSA, workload identity, pod '
    + 'identity) and block the address for pods; AWS: require IMDSv2 with a hop limit of 1.',
  needs: ['connection_open', 'connection_failed', 'connection_repeat', 'datagram_flow'],
  settings: { ...learnSettings, learn_events: 1 },
  key: (event, context) => {
    if (context.process === null || !isMetadata(event)) return null
    return isExpected(event, context) ? null : classOf(context.process)
  },
  state: {
    initial: (event): State => ({ sinceMs: event.time_ms, events: 0, programs: [] }),
    keysMax: 10_000,
    idleMs: 30 * 86_400_000,
  },
  evaluate(event, state, context) {
    const program = programOf(context.process!.exe || context.process!.comm)
    const isNew = !state.programs.includes(program)
    const reason = reasonOf(event, state, isNew, context)
    state.events++
    if (reason !== null) return report(event, state, reason, context)
    if (isNew && state.programs.length < PROGRAMS_MAX) state.programs.push(program)
  },
  examples: [...fires, ...quiet],
})

function isMetadata(event: ConnectionEvent): boolean {
  const { remote_addr } = event.columns
  const at = 16 * event.row
  // Nearly every event ends here.
  if (!lastBytes.has(remote_addr[at + 15])) return false
  return services.some((service) => startsWith(remote_addr, at, service, 16))
}

function isDrill(event: ConnectionEvent): boolean {
  return startsWith(event.columns.local_addr, 16 * event.row, drillSource, DRILL_PREFIX_BYTES)
}

function startsWith(bytes: Uint8Array, at: number, prefix: Uint8Array, length: number): boolean {
  // The end of IPv4 addresses first: their beginnings are all the same.
  for (let i = length - 1; i >= 0; i--) if (bytes[at + i] !== prefix[i]) return false
  return true
}

/** The node itself, outside of workloads, and the agents of the clouds. */
function isExpected(event: ConnectionEvent, context: Context): boolean {
  const process = context.process!
  if (isDrill(event)) return false
  if (agents.has(programOf(process.exe)) && !isContained(process)) return true
  return !isContained(process) && !isByHand(process) && !isExposed(context)
}

/** In a zone that the public reaches. */
function isExposed(context: Context): boolean {
  const zone = context.zoneOf(context.process)
  return !context.policy.learning && context.policy.exposures[zone] === 'public'
}

type Reason = 'drill' | 'exposed' | 'by_hand' | 'new'

function reasonOf(
  event: ConnectionEvent, state: State, isNew: boolean, context: Context,
): Reason | null {
  if (isDrill(event)) return 'drill'
  if (isExposed(context)) return 'exposed'
  if (isByHand(context.process!)) return 'by_hand'
  return isNew && isMature(state, event.time_ms, context) ? 'new' : null
}

function report(
  event: ConnectionEvent, state: State, reason: Reason, context: Context,
): void {
  const zone = context.zoneOf(context.process)
  context.report({
    key: `${context.process!.exe} ${event.remote_addr}`,
    severity: severityOf(event, reason),
    zones: context.policy.learning || zone < 0 ? [] : [context.zoneName(zone)],
    tell: () => tell(event, state, reason, context),
  })
}

function severityOf(event: ConnectionEvent, reason: Reason): Severity {
  const failed = event.kind === 'connection_failed'
  if (reason === 'exposed') return failed ? 'high' : 'critical'
  return failed || reason === 'new' ? 'medium' : 'high'
}

function tell(
  event: ConnectionEvent, state: State, reason: Reason, context: Context,
): Story {
  const process = context.process!
  const verb = event.kind === 'connection_failed' ? 'tried to reach' : 'reached'
  const why = {
    drill: 'This is a drill.',
    exposed: 'Its zone is open to the public.',
    by_hand: 'No service is made of this program.',
    new: `Its workload had not done so ${baselineInWords(state, event.time_ms)} that were seen.`,
  }[reason]
  return {
    summary: `${actorInWords(process, context)} ${verb} the metadata service of the cloud at ` +
      `${endpoint(event.remote_addr, event.remote_port)}, which gives away the credentials of ` +
      `the node. ${why}`,
    details: {
      process: context.describe(process), server: endpoint(event.remote_addr, event.remote_port),
      established: event.kind !== 'connection_failed', reason,
      baseline: tellBaseline(state, context),
    },
    next_steps: [
      'Renew the credentials of the role of the node, and look at what was done with them.',
      `Look at pid ${process.pid} on ${process.node_id}, and at what started it.`,
      'Block the address for workloads that do not need it.',
    ],
  }
}
