import type { Context } from '../detect/context.ts'
import { defineDetector } from '../detect/detector.ts'
import type { Severity, Story } from '../detect/finding.ts'
import { isRuntime } from '../detect/graph/entries.ts'
import type { LineageProcess } from '../detect/lineage.ts'
import { printable } from '../detect/words.ts'
import { classOf } from '../detect/names/workload-class.ts'
import type { EventViews } from '../proto/gen/events.ts'
import { actorInWords, programOf } from './actor.ts'
import { baselineInWords, isMature, learnSettings, tellBaseline } from './baseline.ts'
import type { Baseline } from './baseline.ts'
import { isContained, isShell } from './programs.ts'
import { remoteExecutionExamples } from './remote-execution.examples.ts'

type Exec = EventViews['process_exec']
type Reason = 'exposed' | 'new' | 'entered'

/** What a class of workloads runs elsewhere, and what others run in it. */
interface State extends Baseline {
  /** Programs, and commands that came in from outside. */
  known: string[]
  /** It runs too many different commands for any to be new. */
  wide: boolean
}

const KNOWN_MAX = 64
const COMMAND_CHARS_MAX = 80
/** They run something on another machine, or in another container. */
const clients = new Set(['ssh', 'scp', 'sftp', 'rsync', 'pdsh', 'pdcp', 'clush', 'parallel-ssh',
  'pssh', 'dsh', 'ansible', 'ansible-playbook', 'salt', 'salt-ssh', 'rsh', 'rexec', 'rlogin',
  'mosh-client', 'telnet', 'dbclient', 'plink', 'sshpass', 'nsenter', 'winexe', 'psexec.py',
  'wmiexec.py', 'evil-winrm'])
/** They do so with one of these words. */
const withWord: Record<string, RegExp> = {
  kubectl: /\0(?:exec|cp|attach|debug|port-forward)(?:\0|$)/,
  oc: /\0(?:exec|rsh|cp|debug)(?:\0|$)/,
  docker: /\0exec(?:\0|$)/, podman: /\0exec(?:\0|$)/, nerdctl: /\0exec(?:\0|$)/,
  crictl: /\0exec(?:\0|$)/, ctr: /\0exec(?:\0|$)/, runc: /\0exec(?:\0|$)/,
}

const [fires, quiet] = remoteExecutionExamples

export default defineDetector({
  id: 'NET-005',
  title: 'A workload runs commands on other machines or in other containers',
  severity: 'medium',
  maturity: 'stable',
  attack: ['T1021.004', 'T1609', 'T1570'],
  atlas: ['AML.TA0015'],
  blindSpots: [
    'A client that goes by another name, or a library inside of the program (paramiko, libssh): '
      + 'its connection is judged by NET-001 and NET-004.',
    'What a workload outside of a public zone runs in its first week: that is learned.',
    'What is run over the connection of another one (ControlMaster).',
  ],
  runbook: 'Find out who started it and with which key or token. From a service that the public '
    + 'reaches there is no good reason: cut it off, and look at the far end for what was run there '
    + '(`vedette incidents show` follows the chain). Then renew the key.',
  needs: ['process_exec'],
  settings: { ...learnSettings, learn_events: 20 },
  key: (event, context) => {
    if (context.process === null || event.at_start) return null
    return isContained(context.process) || isClient(event, context.process)
      ? classOf(context.process) : null
  },
  state: {
    initial: (event): State => ({ sinceMs: event.time_ms, events: 0, known: [], wide: false }),
    keysMax: 10_000,
    idleMs: 30 * 86_400_000,
  },
  evaluate(event, state, context) {
    const process = context.process!
    const mature = isMature(state, event.time_ms, context)
    state.events++
    if (isClient(event, process)) {
      const isNew = learn(state, programOf(event.exe))
      if (exposureOf(process, context) === 'public') report(event, state, 'exposed', context)
      else if (isNew && mature) report(event, state, 'new', context)
    } else if (isEntered(process, context)) {
      // Probes of kubelet come in the same way, always with the same words.
      const isNew = learn(state, process.args.slice(0, COMMAND_CHARS_MAX))
      if (isNew && mature) report(event, state, 'entered', context)
    }
  },
  examples: [...fires, ...quiet],
})

function isClient(event: Exec, { args }: LineageProcess): boolean {
  const program = programOf(event.exe)
  return clients.has(program) || withWord[program]?.test(args) === true
}

/** True when it is new; it is known from here on. */
function learn(state: State, what: string): boolean {
  if (state.wide || state.known.includes(what)) return false
  if (state.known.length < KNOWN_MAX) state.known.push(what)
  else state.wide = true
  return !state.wide
}

/** Put into a container that runs already, by its runtime, as `kubectl exec` does. */
function isEntered(process: LineageProcess, context: Context): boolean {
  const [parent] = context.ancestry(process)
  return parent !== undefined && isRuntime(parent)
}

function exposureOf(process: LineageProcess, context: Context): string {
  const zone = context.zoneOf(process)
  return context.policy.learning || zone < 0 ? '' : context.policy.exposures[zone]
}

function report(event: Exec, state: State, reason: Reason, context: Context): void {
  const process = context.process!
  const zone = context.zoneOf(process)
  context.report({
    key: `${event.exe} ${reason}`, severity: severityOf(process, reason),
    zones: context.policy.learning || zone < 0 ? [] : [context.zoneName(zone)],
    tell: () => tell(event, state, reason, context),
  })
}

function severityOf(process: LineageProcess, reason: Reason): Severity {
  if (reason === 'exposed') return 'high'
  return reason === 'entered' && !isShell(process) ? 'low' : 'medium'
}

function tell(event: Exec, state: State, reason: Reason, context: Context): Story {
  const process = context.process!
  const command = printable(process.args.replaceAll('\0', ' ') || event.exe)
  const since = baselineInWords(state, event.time_ms)
  const summary = {
    exposed: 'to run something elsewhere. Its zone is open to the public.',
    new: `to run something elsewhere. Its workload had not done so ${since} that were seen.`,
    entered: 'after it was put into a running container from outside, as `kubectl exec` does. '
      + `That had not been done with these words ${since} that were seen.`,
  }[reason]
  return {
    summary: `${actorInWords(process, context)} was started as "${command}" ${summary}`,
    details: {
      process: context.describe(process), command, reason, baseline: tellBaseline(state, context),
    },
    next_steps: [
      `Look at pid ${process.pid} on ${process.node_id}, and at what started it.`,
      reason === 'entered' ? 'Ask the audit log of the API server who did it.'
        : 'Look at the far end for what was run there, and renew the key that was used.',
    ],
  }
}
