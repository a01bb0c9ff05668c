import type { Context } from '../../../detect/context.ts'
import { defineDetector } from '../../../detect/detector.ts'
import type { Severity, Story } from '../../../detect/finding.ts'
import { className, classOf } from '../../../detect/names/workload-class.ts'
import { amount, bytesInWords, printable } from '../../../detect/words.ts'
import { actorInWords } from '../../actor.ts'
import { baselineInWords, isMature, learnSettings, tellBaseline } from '../../baseline.ts'
import type { Baseline } from '../../baseline.ts'
import { shifted } from '../../gpu/standing.ts'
import { changeOf, writeVerdict, writeVerdictInWords } from './changes.ts'
import type { Change, WriteEvent } from './changes.ts'
import { massChangeExamples } from './mass-change.examples.ts'
import { addedEnding } from './renames.ts'

/** Files of one half of a window. */
interface Half {
  startMs: number
  deleted: number
  truncated: number
  overwritten: number
  renamed: number
  bytes: number
}

/** A class of workloads in one store; `events` are halves of windows in which it changed much. */
interface State extends Baseline {
  now: Half
  before: Half
  /** Ending that renames add → files; the last ones. */
  endings: Map<string, number>
  /** Files that it made: who deletes these clears up. */
  made: number
  /** Most files that it took away within a window, and that it renamed. */
  usual: { lost: number, renamed: number }
  told: { incident: string | null, untilMs: number } | null
}

const ENDINGS_MAX = 8
const [fires, quiet] = massChangeExamples

export default defineDetector({
  id: 'STO-012',
  title: 'Files of a store are deleted, overwritten or encrypted in bulk',
  severity: 'high',
  maturity: 'experimental',
  attack: ['T1485', 'T1486', 'T1565.001'],
  atlas: ['AML.TA0011'],
  blindSpots: [
    'What is overwritten in place: on file systems that learn the time of a change from their '
      + 'server (FUSE), through mappings of files that are in memory or in an overlay, and, where '
      + 'only system calls are seen, by a process that ends without closing its files.',
    'How much of a file was overwritten: it counts with all that it held, once for a process.',
    'What is deleted on the server of a network file system, by its snapshots or life cycles, or '
      + 'by a node without an agent.',
    'A volume that is unmounted, formatted or detached: `store_seen` tells that it is gone.',
    'Slower than the thresholds.',
    'Renames that are told together with others: their ending is judged by the last of them.',
    'A writer of the policy that always takes away as much: old checkpoints go that way.',
  ],
  runbook: 'Stop the process first: every minute costs files. Then make the store read-only, and '
    + 'keep its snapshots from ageing out. A deletion by the pipeline that was meant to be is in '
    + 'its log. Encrypted files have a new ending, or keep their names and hold nothing that a '
    + 'loader knows, and there is a note beside them: do not delete them.',
  needs: ['store_write'],
  settings: {
    ...learnSettings, learn_events: 5, window_ms: 300_000, files: 100, times_usual: 4,
    share_percent: 50,
  },
  key: (event, context) => {
    const change = changeOf(event, context)
    return change === null || !isCounted(event) ? null
      : `${className(classOf(change.process))} ${change.store.name}`
  },
  state: {
    initial: (event): State => ({
      sinceMs: event.time_ms, events: 0, now: newHalf(event.time_ms), before: newHalf(-Infinity),
      endings: new Map(), made: 0, usual: { lost: 0, renamed: 0 }, told: null,
    }),
    keysMax: 10_000,
    idleMs: 90 * 86_400_000,
  },
  evaluate(event, state, context) {
    const change = changeOf(event, context)!
    if (event.operation === 'create') {
      state.made += event.count
      return
    }
    turn(state, event.time_ms, context)
    count(event, state)
    if (state.told !== null && event.time_ms <= state.told.untilMs) {
      return more(event, state, change, context)
    }
    state.told = null
    const severity = severityOf(state, change, event.time_ms, context)
    if (severity !== null) report(event, state, change, severity, context)
  },
  examples: [...fires, ...quiet],
})

function newHalf(startMs: number): Half {
  return { startMs, deleted: 0, truncated: 0, overwritten: 0, renamed: 0, bytes: 0 }
}

/** Who cuts an empty file takes nothing away. */
function isCounted({ operation, bytes }: WriteEvent): boolean {
  return operation === 'delete' || operation === 'rename' || operation === 'create' ||
    operation === 'overwrite' || (operation === 'truncate' && bytes > 0)
}

/** What is over counts as usual, unless it was told. */
function turn(state: State, nowMs: number, context: Context): void {
  const halfMs = context.setting('window_ms') / 2
  if (nowMs - state.now.startMs < halfMs) return
  const both = sumOf(state)
  if (state.told === null && both.lost + both.renamed > 0) {
    state.events++
    state.usual.lost = Math.max(state.usual.lost, both.lost)
    state.usual.renamed = Math.max(state.usual.renamed, both.renamed)
  }
  const follows = nowMs - state.now.startMs < 2 * halfMs
  state.before = follows ? state.now : newHalf(-Infinity)
  state.now = newHalf(nowMs)
  if (!follows) state.endings.clear()
}

function count(event: WriteEvent, { now, endings }: State): void {
  const { operation, count: files, bytes, path, old_path: old } = event
  if (operation === 'delete') now.deleted += files
  else if (operation === 'truncate') now.truncated += files
  else if (operation === 'overwrite') now.overwritten += files
  else now.renamed += files
  now.bytes += bytes
  const ending = operation === 'rename' ? addedEnding(old, path) : ''
  if (ending === '') return
  const before = endings.get(ending) ?? 0
  endings.delete(ending)
  endings.set(ending, before + files)
  if (endings.size > ENDINGS_MAX) endings.delete([...endings.keys()][0])
}

function sumOf({ now, before }: State) {
  const deleted = now.deleted + before.deleted
  const truncated = now.truncated + before.truncated
  const overwritten = now.overwritten + before.overwritten
  return {
    lost: deleted + truncated + overwritten, renamed: now.renamed + before.renamed,
    bytes: now.bytes + before.bytes, deleted, truncated, overwritten,
  }
}

/** Files that were renamed to one new ending, the most of them; '' when they are few. */
function newEnding({ endings }: State, least: number): string {
  const [[ending, files] = ['', 0]] = [...endings].sort((a, b) => b[1] - a[1])
  return files >= least ? ending : ''
}

/** Null: it is little, or usual, or of somebody of whom nothing is known and who may. */
function severityOf(
  state: State, change: Change, nowMs: number, context: Context,
): Severity | null {
  const least = context.setting('files')
  const { lost, renamed } = sumOf(state)
  const encrypted = newEnding(state, least) !== ''
  if (lost < least && !encrypted) return null
  const { allowed } = writeVerdict(change, context)
  const times = context.setting('times_usual')
  const mature = isMature(state, nowMs, context)
  const isUsual = lost <= times * state.usual.lost && renamed <= times * state.usual.renamed
  if (allowed !== false && mature && isUsual) return null
  if (!mature && (allowed === true || (allowed === null && lost <= state.made))) return null
  if (encrypted) return allowed === true ? 'high' : 'critical'
  const base = allowed === false || mature ? 'high' : 'low'
  return isLargePart(lost, change, context) ? shifted(base, 1) : base
}

/** As far as the policy says how many files there should be. */
function isLargePart(lost: number, { store }: Change, context: Context): boolean {
  const { files } = store.expected
  return files !== null && 100 * lost >= context.setting('share_percent') * files
}

function more(event: WriteEvent, state: State, { store }: Change, context: Context): void {
  const { incident } = state.told!
  state.told!.untilMs = event.time_ms + context.setting('window_ms')
  if (incident === null) return
  const { operation, count: files, bytes } = event
  const isRename = operation === 'rename'
  context.amend(incident, store.name, { totals: {
    files_lost: isRename ? 0 : files, files_renamed: isRename ? files : 0, bytes_lost: bytes,
  } })
}

function report(
  event: WriteEvent, state: State, change: Change, severity: Severity, context: Context,
): void {
  const { lost, renamed, bytes } = sumOf(state)
  const incident = context.report({
    key: change.store.name, severity, stores: [change.store.name],
    totals: { files_lost: lost, files_renamed: renamed, bytes_lost: bytes },
    tell: () => tell(event, state, change, context),
  })
  state.told = { incident, untilMs: event.time_ms + context.setting('window_ms') }
}

function tell(event: WriteEvent, state: State, change: Change, context: Context): Story {
  const { process, store } = change
  const { lost, renamed, bytes, deleted, truncated, overwritten } = sumOf(state)
  const least = context.setting('files')
  const ending = newEnding(state, least)
  const mature = isMature(state, event.time_ms, context)
  const parts = [
    deleted > 0 ? `deleted ${amount(deleted, 'file')}` : '',
    truncated > 0 ? `cut ${amount(truncated, 'file')} to nothing` : '',
    overwritten > 0 ? `overwrote ${amount(overwritten, 'file')} in place` : '',
    ending !== '' ? `renamed ${amount(renamed, 'file')} to the ending ${printable(ending)}` : '',
  ].filter((part) => part !== '').join(' and ')
  const share = store.expected.files === null ? '' : ` of about ${store.expected.files}`
  const usual = !mature ? ' Little is known yet of what its workload takes away.'
    : ` The most it had ${baselineInWords(state, event.time_ms).replace('event', 'change')} was ` +
      `${amount(state.usual.lost, 'file')}.`
  return {
    summary: `${actorInWords(process, context)} ${parts}${share} in the store ` +
      `${printable(store.name)} within minutes (${bytesInWords(bytes)} of what was there).` +
      (ending === '' && overwritten < least ? ' ' : ' That is what encryption looks like. ') +
      writeVerdictInWords(writeVerdict(change, context)) + usual,
    details: {
      process: context.describe(process), store: store.name, store_kind: store.kind,
      path: event.path, files_deleted: deleted, files_truncated: truncated,
      files_overwritten: overwritten, files_lost: lost, files_renamed: renamed, ending,
      thin: !mature, baseline: tellBaseline(state, context),
    },
    next_steps: [
      `Stop pid ${process.pid} on ${process.node_id}, then make the store read-only.`,
      'Keep snapshots and backups of the store from ageing out.',
      'Look at what else the process changed: vedette events --kind store_write.',
    ],
  }
}
