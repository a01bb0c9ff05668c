import type { Context } from '../detect/context.ts'
import { defineDetector } from '../detect/detector.ts'
import type { Severity, Story } from '../detect/finding.ts'
import { printable } from '../detect/words.ts'
import { classOf } from '../detect/names/workload-class.ts'
import type { EventViews } from '../proto/gen/events.ts'
import { actorInWords, programOf } from './actor.ts'
import { baselineInWords, isMature, learnSettings, tellBaseline } from './baseline.ts'
import type { Baseline } from './baseline.ts'
import { isByHand, isContained } from './programs.ts'
import { tokenExamples } from './service-account-token.examples.ts'

/** Programs of a class of workloads that read their token. */
interface State extends Baseline { programs: string[] }

type Reason = 'by_hand' | 'outside' | 'new'

const PROGRAMS_MAX = 32
/** They put the tokens there, and start the containers that have them. */
const nodePrograms = new Set(['kubelet', 'containerd', 'containerd-shim-runc-v', 'runc', 'crun',
  'crio', 'conmon', 'dockerd', 'k3s', 'k3s-server', 'k3s-agent', 'rke'])

const [fires, quiet] = tokenExamples

export default defineDetector({
  id: 'NET-009',
  title: 'A program reads the token of a service account that it has no use for',
  severity: 'high',
  maturity: 'stable',
  attack: ['T1528', 'T1552.001'],
  atlas: ['AML.T0055'],
  blindSpots: [
    'A program that has the token already: in its memory, its environment, or by a descriptor.',
    'Tokens at other places than kubelet mounts them, such as in a Secret that is a volume.',
    'Nodes whose kernel refuses the probe secret_read.',
  ],
  runbook: 'Whoever reads the token acts as the service account: delete the pod, so that its token '
    + 'ends with it, and read the audit log of the API server for what was done with it. Pods that '
    + 'need none get `automountServiceAccountToken: false`.',
  needs: ['secret_read'],
  settings: { ...learnSettings, learn_events: 1 },
  key: (_, context) => context.process === null ? null : classOf(context.process),
  state: {
    initial: (event): State => ({ sinceMs: event.time_ms, events: 0, programs: [] }),
    keysMax: 10_000,
    idleMs: 30 * 86_400_000,
  },
  evaluate(event, state, context) {
    const process = context.process!
    const program = programOf(process.exe || process.comm)
    const isNew = !state.programs.includes(program)
    const mature = isMature(state, event.time_ms, context)
    state.events++
    if (!isContained(process) && nodePrograms.has(program)) return
    if (!isContained(process)) return report(event, state, 'outside', context)
    if (isByHand(process)) return report(event, state, 'by_hand', context)
    if (isNew && mature) return report(event, state, 'new', context)
    if (isNew && state.programs.length < PROGRAMS_MAX) state.programs.push(program)
  },
  examples: [...fires, ...quiet],
})

function report(
  event: EventViews['secret_read'], state: State, reason: Reason, context: Context,
): void {
  const severity: Severity = reason === 'new' ? 'medium' : 'high'
  context.report({
    key: `${context.process!.exe} ${reason}`, severity,
    tell: () => tell(event, state, reason, context),
  })
}

function tell(
  event: EventViews['secret_read'], state: State, reason: Reason, context: Context,
): Story {
  const process = context.process!
  const why = {
    by_hand: 'No service is made of this program.',
    outside: 'It is in no pod: the token of a pod is no business of it.',
    new: `No such program had done so ${baselineInWords(state, event.time_ms)} that were seen.`,
  }[reason]
  return {
    summary: `${actorInWords(process, context)} opened the token of a service account at ` +
      `${printable(event.path)}. ${why}`,
    details: {
      process: context.describe(process), path: event.path, reason,
      baseline: tellBaseline(state, context),
    },
    next_steps: [
      `Look at pid ${process.pid} on ${process.node_id}, and at what started it.`,
      'Delete the pod whose token it is, and read what the API server logged of the account.',
    ],
  }
}
