import type { Context } from '../../../detect/context.ts'
import { defineDetector } from '../../../detect/detector.ts'
import type { Severity, Story } from '../../../detect/finding.ts'
import { className, classOf } from '../../../detect/names/workload-class.ts'
import { actorInWords } from '../../actor.ts'
import { baselineInWords, isMature, learnSettings, tellBaseline } from '../../baseline.ts'
import type { Baseline } from '../../baseline.ts'
import { shifted } from '../../gpu/standing.ts'
import {
  changeInWords, changeOf, isOfArtifacts, writeVerdict, writeVerdictInWords,
} from './changes.ts'
import type { Change, WriteEvent } from './changes.ts'
import { tamperingExamples } from './tampering.examples.ts'

/** What was told of a writer. */
interface Told {
  /** Null while the detector is muted. */
  incident: string | null
  operations: Record<string, number>
}

/** Of a store. */
interface State extends Baseline {
  /** Classes of workloads that changed it → when last, exact to an hour. */
  writers: Map<string, number>
  /** More than can be kept change it: none is new any more. */
  wide: boolean
  /** By subject; the oldest leaves. */
  told: Map<string, Told>
}

const WRITERS_MAX = 64
const TOLD_MAX = 64
const HOUR_MS = 3_600_000
const [fires, quiet] = tamperingExamples

export default defineDetector({
  id: 'STO-009',
  title: 'A store is changed by others than those who make it',
  severity: 'high',
  maturity: 'experimental',
  attack: ['T1565.001', 'T1554', 'T1525'],
  atlas: ['AML.T0018', 'AML.T0010.003', 'AML.T0020'],
  blindSpots: [
    'A pipeline that was taken over: it may write. STO-010 sees what it wrote, where a manifest is '
      + 'signed elsewhere.',
    'Changes on the server of a network file system, or by a node without an agent.',
    'What the kernel writes for others, such as a server of NFS.',
    'A store of which the policy names no writers, in its first week: who changes it is learned.',
    'Changes through a mapping that was made before the agent began.',
  ],
  runbook: 'Find out who started the process, and compare what it changed with a copy that is '
    + 'known to be good, before anything loads it: a file of weights can run code. A new pipeline '
    + 'belongs into writers of the store.',
  needs: ['store_write'],
  settings: { ...learnSettings, learn_events: 20, forget_ms: 90 * 86_400_000 },
  key: (event, context) => changeOf(event, context)?.store.name ?? null,
  state: {
    initial: (event): State => ({
      sinceMs: event.time_ms, events: 0, writers: new Map(), wide: false, told: new Map(),
    }),
    keysMax: 1000,
    idleMs: 365 * 86_400_000,
  },
  evaluate(event, state, context) {
    const change = changeOf(event, context)!
    const { allowed } = writeVerdict(change, context)
    const mature = isMature(state, event.time_ms, context)
    const isNew = learn(state, change, event.time_ms, context)
    state.events++
    if (allowed === true) return
    const known = state.told.get(context.subjectOf(change.process))
    if (known !== undefined && (known.incident === null || context.isOpen(known.incident))) {
      return more(event, change, known, context)
    }
    if (allowed === false || (isNew && mature && isOfArtifacts(change.store))) {
      report(event, state, change, context)
    }
  },
  examples: [...fires, ...quiet],
})

/** True when the class never changed the store; it is known from here on. */
function learn(state: State, { process }: Change, nowMs: number, context: Context): boolean {
  const { writers } = state
  const name = className(classOf(process))
  const seenMs = writers.get(name)
  if (seenMs !== undefined && nowMs - seenMs < HOUR_MS) return false
  if (seenMs === undefined && writers.size >= WRITERS_MAX) {
    for (const [one, lastMs] of writers) {
      if (lastMs < nowMs - context.setting('forget_ms')) writers.delete(one)
    }
    state.wide = writers.size >= WRITERS_MAX
    if (state.wide) return false
  }
  writers.set(name, nowMs)
  return seenMs === undefined && !state.wide
}

function more(event: WriteEvent, { store }: Change, known: Told, context: Context): void {
  const { operations, incident } = known
  operations[event.operation] = (operations[event.operation] ?? 0) + event.count
  if (incident === null) return
  context.amend(incident, store.name, {
    totals: { changes: event.count }, details: { operations: { ...operations } },
  })
}

function report(event: WriteEvent, state: State, change: Change, context: Context): void {
  const { process, store } = change
  const subject = context.subjectOf(process)
  const told: Told = { incident: null, operations: { [event.operation]: event.count } }
  told.incident = context.report({
    key: store.name, severity: severityOf(event, change, context), stores: [store.name],
    totals: { changes: event.count },
    tell: () => tell(event, state, change, told, context),
  })
  state.told.delete(subject)
  state.told.set(subject, told)
  if (state.told.size > TOLD_MAX) state.told.delete([...state.told.keys()][0])
}

/** What can run code weighs most; who is only new may be the next version of the pipeline. */
function severityOf(event: WriteEvent, change: Change, context: Context): Severity {
  const { store } = change
  const base: Severity = writeVerdict(change, context).allowed === null
    ? store.kind === 'checkpoints' ? 'low' : 'medium'
    : isOfArtifacts(store) ? 'high' : 'medium'
  if (isManifest(event, change)) return shifted(base, 1)
  return event.operation === 'attributes' ? shifted(base, -1) : base
}

function isManifest({ path }: WriteEvent, { store: { manifest } }: Change): boolean {
  return manifest !== null && manifest.text === path
}

function tell(
  event: WriteEvent, state: State, change: Change, told: Told, context: Context,
): Story {
  const { process, store } = change
  const verdict = writeVerdict(change, context)
  const manifest = isManifest(event, change)
  const since = verdict.allowed !== null ? ''
    : ` Nothing like it had changed it ${baselineInWords(state, event.time_ms)} that were seen.`
  return {
    summary: `${actorInWords(process, context)} changed the store ${store.name}: it ` +
      `${changeInWords(event)}.${manifest ? ' That is the manifest of the store.' : ''} ` +
      writeVerdictInWords(verdict) + since,
    details: {
      process: context.describe(process), store: store.name, store_kind: store.kind,
      path: event.path, old_path: event.old_path, operations: { ...told.operations }, manifest,
      allowed: verdict.allowed, baseline: tellBaseline(state, context),
    },
    next_steps: [
      `Let nothing load ${store.name} until its files were compared with a good copy.`,
      `Look at pid ${process.pid} on ${process.node_id}, and at who started it.`,
      'If it is meant to be, name it in writers of the store.',
    ],
  }
}
