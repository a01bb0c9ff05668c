import type { Context } from '../../detect/context.ts'
import { defineDetector } from '../../detect/detector.ts'
import type { Evidence, Severity } from '../../detect/finding.ts'
import { amount, printable } from '../../detect/words.ts'
import type { EventViews } from '../../proto/gen/events.ts'
import { actorInWords } from '../actor.ts'
import { callOf, isBeyond } from './call.ts'
import type { CallEvent } from './call.ts'
import { driverErrorExamples } from './driver-error.examples.ts'
import { shifted } from './standing.ts'

type XidEvent = EventViews['gpu_xid']

/** What happened on a node lately. */
interface State {
  calls: Asked[]
  errors: Reported[]
  /** Errors that found no room among them. */
  left: number
}

/** A sensitive call, the latest of its process and name. */
interface Asked { process: number, name: string, timeMs: number, evidence: Evidence }

/** An error that is told soon, with those like it. */
interface Reported {
  key: string
  xid: number
  isSwitch: boolean
  name: string
  category: string
  critical: boolean
  pci: string
  instance: string
  text: string
  /** Process that the driver names; 0 when it is not known. */
  process: number
  count: number
  timeMs: number
  node: string
  evidence: Evidence
  wallNs: bigint
}

const CALLS_MAX = 16
const ERRORS_MAX = 32
/** By category; those that are not here, and quiet ones, need a sensitive call before them. */
const severities: Readonly<Record<string, { critical: Severity, other: Severity | null }>> = {
  security: { critical: 'high', other: 'high' },
  confidential_computing: { critical: 'high', other: 'high' },
  firmware: { critical: 'medium', other: 'medium' },
  integrity: { critical: 'medium', other: 'low' },
  fabric: { critical: 'medium', other: null },
  hardware: { critical: 'medium', other: null },
  application: { critical: 'medium', other: null },
  information: { critical: 'low', other: null },
  '': { critical: 'medium', other: null },
}

const [fires, quiet] = driverErrorExamples

export default defineDetector({
  id: 'GPU-012',
  title: 'The driver of a GPU reports an error that may be an attack, or loses the GPU',
  severity: 'medium',
  maturity: 'experimental',
  attack: ['T1499.004', 'T1565.003', 'T1068'],
  atlas: ['AML.T0029', 'AML.T0031'],
  blindSpots: [
    'Errors that the kernel log dropped, when it is flooded.',
    'Errors of applications, unless a sensitive command came just before: every wrong pointer in a '
      + 'kernel of CUDA makes them.',
    'Which of several GPUs a command was for: what came before on the node counts.',
  ],
  runbook: 'Look the number up in NVIDIA\'s Xid catalogue, then at what was asked of the driver '
    + 'just before. Memory errors in rows of one job are broken memory, or somebody who hammers '
    + 'it; errors of the firmware after a driver or firmware change mean that it was not the '
    + 'right one. Take the GPU out when it is critical.',
  needs: ['gpu_xid', 'gpu_call'],
  settings: { before_ms: 10_000, hold_ms: 3000 },
  key: (event) => event.kind === 'gpu_xid' || isSensitive(event) ? event.node_id : null,
  state: {
    initial: (): State => ({ calls: [], errors: [], left: 0 }),
    keysMax: 20_000,
    idleMs: 60_000,
  },
  evaluate(event, state, context) {
    if (event.kind === 'gpu_call') return remember(event, state, context)
    hold(event, state, context)
    // What was asked just before may come later: it takes another way.
    context.wakeIn(context.setting('hold_ms'))
  },
  wake(state, context) {
    for (const error of state.errors) tell(error, state, context)
    state.errors = []
    state.left = 0
  },
  examples: [...fires, ...quiet],
})

function isSensitive(event: CallEvent): boolean {
  if (event.changed_underway) return true
  const call = callOf(event)
  if (call === null || call.ordinary) return false
  return ['high', 'medium', 'kernel'].includes(call.sensitivity) ||
    (isBeyond(event, call) && call.sensitivity !== 'low' && call.sensitivity !== 'telemetry')
}

function remember(event: CallEvent, { calls }: State, context: Context): void {
  if (context.process === null) return
  const name = callOf(event)?.name ?? 'arguments that changed underway'
  const process = context.process.number
  const at = calls.findIndex((one) => one.process === process && one.name === name)
  if (at >= 0) calls.splice(at, 1)
  else if (calls.length >= CALLS_MAX) calls.shift()
  calls.push({ process, name, timeMs: event.time_ms, evidence: context.evidence })
}

function hold(event: XidEvent, state: State, context: Context): void {
  const { errors } = state
  const process = context.process?.number ?? 0
  const key = `${event.is_switch} ${event.pci_address} ${event.xid} ${process}`
  const known = errors.find((one) => one.key === key)
  if (known !== undefined) {
    known.count++
    return
  }
  // The first ones of a burst say what happened; the others are its consequences.
  if (errors.length >= ERRORS_MAX) {
    state.left++
    return
  }
  errors.push({
    key, xid: event.xid, isSwitch: event.is_switch, name: event.xid_name,
    category: event.xid_category, critical: event.critical, pci: event.pci_address,
    instance: [event.gpu_instance, event.compute_instance].filter((one) => one !== '').join('/'),
    text: event.text, process, count: 1, timeMs: event.time_ms, node: event.node_id,
    evidence: context.evidence, wallNs: event.wall_ns,
  })
}

/** The sensitive call that came before, of the process that the driver names when it names one. */
function causeOf(error: Reported, { calls }: State, context: Context): Asked | undefined {
  const { timeMs, process } = error
  const before = calls.filter((one) => one.timeMs <= timeMs &&
    timeMs - one.timeMs <= context.setting('before_ms'))
  return before.findLast((one) => one.process === process) ?? before.at(-1)
}

function tell(error: Reported, state: State, context: Context): void {
  const cause = causeOf(error, state, context)
  const caller = cause === undefined ? null : context.processOf(cause.process)
  const plain = severityOf(error)
  const severity = cause === undefined ? plain
    : plain === null ? (error.category === 'information' ? null : 'medium') : shifted(plain, 1)
  if (severity === null) return
  const { pci, node, category } = error
  const where = `${error.isSwitch ? 'NVSwitch' : 'GPU'} ${printable(pci || 'of unknown address')}`
  const named = context.processOf(error.process)
  const actor = caller ?? named
  context.report({
    key: `${pci} ${category || error.xid} ${cause?.process ?? ''}`, severity,
    subject: caller === null ? `${where} on ${node}` : context.subjectOf(caller),
    evidence: cause === undefined ? [error.evidence] : [error.evidence, cause.evidence],
    wallNs: error.wallNs, nodes: [node],
    workloads: actor === null ? [] : [context.workloadOf(actor)],
    joins: caller === null ? [] : [`${where} on ${node}`],
    totals: { errors: error.count },
    tell: () => ({
      summary: `${where} on ${printable(node)} reported ${inWords(error)}` +
        (error.count > 1 ? `, ${amount(error.count, 'time')}` : '') +
        (caller === null || cause === undefined ? '.'
          : `, after ${actorInWords(caller, context)} had asked its driver for ` +
            `${printable(cause.name)}.`),
      details: {
        pci_address: pci, xid: error.xid, xid_name: error.name, xid_category: category,
        is_switch: error.isSwitch, critical: error.critical, instance: error.instance,
        text: error.text, named_process: named === null ? null : context.describe(named),
        process: caller === null ? null : context.describe(caller),
        errors_not_listed: state.left, command: cause?.name ?? '',
        command_age_ms: cause ? error.timeMs - cause.timeMs : null,
      },
      next_steps: [
        `Read the kernel log of ${node} around this time, and look the number up.`,
        cause === undefined ? 'Compare the GPU with its baseline: vedette baseline check.'
          : 'Find out why that command was given; the error may be its trace.',
      ],
    }),
  })
}

function severityOf({ category, critical }: Reported): Severity | null {
  const known = severities[category] ?? severities['']
  return critical ? known.critical : known.other
}

function inWords({ xid, name, isSwitch, text }: Reported): string {
  return `${isSwitch ? 'SXid' : 'Xid'} ${xid}${name === '' ? '' : ` (${printable(name)})`}` +
    (text === '' ? '' : `, "${printable(text, 120)}"`)
}
