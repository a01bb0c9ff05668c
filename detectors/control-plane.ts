import type { ConnectionEvent, Context } from '../detect/context.ts'
import { defineDetector } from '../detect/detector.ts'
import type { Severity, Story } from '../detect/finding.ts'
import { endpoint, printable } from '../detect/words.ts'
import { classOf } from '../detect/names/workload-class.ts'
import type { EventViews } from '../proto/gen/events.ts'
import { actorInWords, programOf } from './actor.ts'
import { baselineInWords, isMature, learnSettings, tellBaseline } from './baseline.ts'
import type { Baseline } from './baseline.ts'
import { controlPlaneExamples } from './control-plane.examples.ts'
import { isByHand, isContained } from './programs.ts'

/** Which parts of the control plane a class of workloads talks to: `part program`. */
interface State extends Baseline { known: string[] }

type Reached = ConnectionEvent | EventViews['unix_connection']

const KNOWN_MAX = 64
/** By port of the accepting end, TCP. 443 is one only at the address of the service itself. */
const parts: Record<number, string> = {
  2379: 'etcd', 2380: 'etcd', 6443: 'the Kubernetes API server', 10250: 'a kubelet',
  10255: 'a kubelet (read-only port)', 6817: 'the Slurm controller', 6818: 'a Slurm node daemon',
  6819: 'the Slurm database',
}
const partPorts = new Set(Object.keys(parts).map(Number))
const API_SERVICE = 'service:default/kubernetes'
const apiPart = parts[6443]
/** Sockets that give the rights of root on the node. */
const runtimeSocket = /(?:^|\/)(?:docker|containerd|crio|podman|cri-dockerd|nri|buildkitd)\.sock$/
/** Programs of Slurm, which jobs run. */
const slurmPrograms = new Set(['srun', 'sbatch', 'salloc', 'sattach', 'squeue', 'sinfo', 'scontrol',
  'sacct', 'sstat', 'scancel', 'sacctmgr', 'sprio', 'sreport', 'slurmstepd', 'sbcast', 'orted',
  'prted', 'mpirun', 'mpiexec', 'hydra_pmi_proxy'])

const [fires, quiet] = controlPlaneExamples

export default defineDetector({
  id: 'NET-008',
  title: 'A workload talks to the control plane of the cluster',
  severity: 'high',
  maturity: 'stable',
  attack: ['T1613', 'T1609', 'T1610', 'T1210'],
  atlas: ['AML.TA0015'],
  blindSpots: [
    'A workload that did so from its first hour on by a program of its own: operators do.',
    'The API server behind a port other than 6443 and an address that no name is known for.',
    'What was asked: the API server has an audit log for that.',
    'Sockets of container runtimes where the probe unix_socket is missing.',
  ],
  runbook: 'Find out which token or certificate the workload used, and what it may do with it: '
    + '`kubectl auth can-i --list --as system:serviceaccount:NAMESPACE:NAME`. Read the audit log '
    + 'of the API server for it. A kubelet or a runtime socket gives every container of the node.',
  needs: ['connection_open', 'connection_failed', 'connection_repeat', 'unix_connection'],
  settings: { ...learnSettings, learn_events: 1 },
  key: (event, context) => {
    const { process } = context
    if (process === null || partOf(event, context) === '' || !isContained(process)) return null
    return classOf(process)
  },
  state: {
    initial: (event): State => ({ sinceMs: event.time_ms, events: 0, known: [] }),
    keysMax: 10_000,
    idleMs: 30 * 86_400_000,
  },
  evaluate(event, state, context) {
    const process = context.process!
    const part = partOf(event, context)
    const program = programOf(process.exe || process.comm)
    if (part.includes('Slurm') && slurmPrograms.has(program)) return
    const place = `${part} ${program}`
    const isNew = !state.known.includes(place)
    const mature = isMature(state, event.time_ms, context)
    state.events++
    if (isDeclared(event, context)) return
    if (isByHand(process)) return report(event, state, part, 'by_hand', context)
    if (isNew && mature) return report(event, state, part, 'new', context)
    if (isNew && state.known.length < KNOWN_MAX) state.known.push(place)
  },
  examples: [...fires, ...quiet],
})

/** Part of the control plane that the event is about; '' for none. */
function partOf(event: Reached, context: Context): string {
  if (event.kind === 'unix_connection') {
    return runtimeSocket.test(event.path) ? 'the container runtime of the node' : ''
  }
  const { columns, row } = event
  const port = columns.remote_port[row]
  // Most connections are none of these: ask for a name only where it can matter.
  if (port === 443) {
    const name = context.nameOf(columns.remote_addr, 16 * row, port)
    return name?.workload === API_SERVICE ? apiPart : ''
  }
  if (event.kind === 'datagram_flow' || !partPorts.has(port)) return ''
  // The accepting end of a connection has the port of the caller as the remote one.
  const accepted = event.kind === 'connection_open' || event.kind === 'connection_repeat'
    ? event.direction === 'accepted' : false
  return accepted ? '' : parts[port]
}

/** A flow of the policy, with a number, opens this port: it is meant to be. */
function isDeclared(event: Reached, context: Context): boolean {
  if (event.kind === 'unix_connection' || context.policy.learning) return false
  const exe = context.process!.exe || null
  const { flow } = context.policy.flowAllowed(context.nearZone(event), context.farZone(event, null),
    event.columns.remote_port[event.row], 'tcp', exe)
  return flow !== null && flow.ports.length > 0
}

function report(
  event: Reached, state: State, part: string, reason: 'by_hand' | 'new', context: Context,
): void {
  const failed = event.kind === 'connection_failed'
  const severity: Severity = failed ? 'medium' : 'high'
  const zone = context.zoneOf(context.process)
  context.report({
    key: `${context.process!.exe} > ${part}`, severity,
    zones: context.policy.learning || zone < 0 ? [] : [context.zoneName(zone)],
    tell: () => tell(event, state, part, reason, context),
  })
}

function tell(
  event: Reached, state: State, part: string, reason: 'by_hand' | 'new', context: Context,
): Story {
  const process = context.process!
  const place = event.kind === 'unix_connection' ? printable(event.path)
    : endpoint(event.remote_addr, event.remote_port)
  const verb = event.kind === 'connection_failed' ? 'tried to reach' : 'talks to'
  const why = reason === 'by_hand' ? 'No service is made of this program.'
    : `Its workload had not done so ${baselineInWords(state, event.time_ms)} that were seen.`
  return {
    summary: `${actorInWords(process, context)} ${verb} ${part} at ${place}. ${why}`,
    details: {
      process: context.describe(process), part, server: place, reason,
      established: event.kind !== 'connection_failed', baseline: tellBaseline(state, context),
    },
    next_steps: [
      `Look at pid ${process.pid} on ${process.node_id}, and at what started it.`,
      event.kind === 'unix_connection'
        ? 'Take the socket out of the workload: whoever has it is root on the node.'
        : 'Find out with whose rights it asked, and read what the control plane logged of it.',
      'If it is meant to be, name the port in a flow of the policy.',
    ],
  }
}
