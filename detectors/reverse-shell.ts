import type { Context } from '../detect/context.ts'
import { defineDetector } from '../detect/detector.ts'
import type { Severity, Story } from '../detect/finding.ts'
import { endpoint, printable } from '../detect/words.ts'
import { UNZONED } from '../policy/compile.ts'
import type { EventViews } from '../proto/gen/events.ts'
import { actorInWords, programOf } from './actor.ts'
import { isPublic } from './far-end.ts'
import { isInterpreter, isShell } from './programs.ts'
import { reverseShellExamples } from './reverse-shell.examples.ts'

type Stdio = EventViews['process_stdio']

/** A connection that is the standard stream of programs. */
interface State {
  /** Null until a shell was seen, and while the detector is muted. */
  incident: string | null
  finding: string
  /** What was run over it, in order. */
  commands: string[]
}

const COMMANDS_MAX = 20
const COMMAND_CHARS_MAX = 200
/** They hand a connection to the program of a service: that is their work. */
const superServers = new Set(['systemd', 'inetd', 'xinetd', 'tcpserver', 'launchd', 's6-tcpserver'])

const [fires, quiet] = reverseShellExamples

export default defineDetector({
  id: 'NET-006',
  title: 'A shell whose standard streams are a network connection',
  severity: 'high',
  maturity: 'stable',
  attack: ['T1059.004', 'T1095'],
  atlas: ['AML.T0050', 'AML.T0072'],
  blindSpots: [
    'A shell behind a pseudo-terminal or a pipe of its parent (a script with pty.spawn, socat with '
      + 'EXEC): then the parent holds the connection. The lateral chain still follows it.',
    'A shell over a Unix socket.',
    'Nodes whose kernel refuses the probe process_exec.',
  ],
  runbook: 'Treat it as a person at the keyboard. Cut the connection at the far end, keep the '
    + 'process and its memory if you can, and read the commands in order. Then look at how the '
    + 'parent was made to start a shell, and at what it could read.',
  needs: ['process_stdio'],
  settings: {},
  key: (event, context) => context.process === null ? null : connectionOf(event),
  state: {
    initial: (): State => ({ incident: null, finding: '', commands: [] }),
    keysMax: 10_000,
    idleMs: 24 * 3_600_000,
  },
  evaluate(event, state, context) {
    const command = commandOf(context)
    if (state.commands.length < COMMANDS_MAX) state.commands.push(command)
    if (state.incident !== null) {
      return context.amend(state.incident, state.finding, {
        details: { commands: [...state.commands] }, evidence: [context.evidence],
      })
    }
    if (isShell(context.process!)) report(event, state, context)
    else if (isInterpreter(context.process!) && !isService(context)) report(event, state, context)
  },
  examples: [...fires, ...quiet],
})

/** The same for every program that has this connection as a stream. */
function connectionOf(event: Stdio): string {
  const near = endpoint(event.local_addr, event.local_port)
  return `${event.node_id} ${near} ${endpoint(event.remote_addr, event.remote_port)}`
}

function commandOf({ process }: Context): string {
  const { args, exe } = process!
  return (args === '' ? exe : args.replaceAll('\0', ' ')).slice(0, COMMAND_CHARS_MAX)
}

/** Started by a super-server, which accepted for it. */
function isService(context: Context): boolean {
  const [parent] = context.ancestry(context.process!)
  return parent !== undefined && superServers.has(programOf(parent.exe))
}

function report(event: Stdio, state: State, context: Context): void {
  const [from, to] = zonesOf(event, context)
  state.finding = connectionOf(event)
  state.incident = context.report({
    key: state.finding, severity: severityOf(event, from, context),
    zones: [from, to].filter((zone) => zone > UNZONED).map((zone) => context.zoneName(zone)),
    tell: () => tell(event, state, context),
  })
}

function zonesOf(event: Stdio, context: Context): [near: number, far: number] {
  const { policy, process } = context
  const { local_addr: near, remote_addr: far } = event.columns
  const at = 16 * event.row
  const zone = context.zoneOf(process)
  return [policy.nearZone(zone, near, at, far, at), policy.farZone(zone, near, at, far, at)]
}

/** Someone outside, or in a protected zone: there is nothing worse. */
function severityOf(event: Stdio, from: number, { policy }: Context): Severity {
  const isOutside = isPublic(event.columns.remote_addr, 16 * event.row)
  const isProtected = !policy.learning && policy.exposures[from] === 'protected'
  return isOutside || isProtected ? 'critical' : 'high'
}

function tell(event: Stdio, state: State, context: Context): Story {
  const process = context.process!
  const [parent] = context.ancestry(process)
  const far = endpoint(event.remote_addr, event.remote_port)
  const streams = ['input', 'output', 'error']
    .filter((_, bit) => (event.descriptors & (1 << bit)) !== 0).join(', ')
  const by = parent === undefined ? '' : `, started by ${printable(parent.exe || parent.comm)},`
  return {
    summary: `${actorInWords(process, context)}${by} has the connection to ${far} as its ` +
      `standard ${streams}: who is there types the commands.`,
    details: {
      process: context.describe(process), client: endpoint(event.local_addr, event.local_port),
      server: far, streams, commands: [...state.commands],
    },
    next_steps: [
      `Block ${event.remote_addr}, and look for other connections to it.`,
      `Look at the parent of pid ${process.pid} on ${process.node_id}: it was made to start a ` +
        'shell.',
      'Read the commands of the finding, and undo what they did.',
    ],
  }
}
