import type { Context } from '../../detect/context.ts'
import { defineDetector } from '../../detect/detector.ts'
import type { Severity, Story } from '../../detect/finding.ts'
import { isJobClass, classOf } from '../../detect/names/workload-class.ts'
import { amount, printable } from '../../detect/words.ts'
import { isThin, seenInWords } from '../../stores/usual-words.ts'
import { actorInWords } from '../actor.ts'
import { addRead, filesOfAll, newAmounts } from './amounts.ts'
import type { Amounts } from './amounts.ts'
import { isOfDisk } from './disk.ts'
import { firstReaderExamples } from './first-reader.examples.ts'
import { readKinds, readOf, verdictOf, warmUpOf, weighed } from './reading.ts'
import type { Read } from './reading.ts'
import { useInWords, useOf } from './tools.ts'
import { grownSummary, sentenceInWords } from './words.ts'
import type { Sentence } from './words.ts'

/** What a new reader reads. */
interface State {
  amounts: Amounts
  told: boolean
  /** Null until it is told, and when an open finding was told of it before. */
  sentence: Sentence | null
  /** Null also while the detector is muted. */
  incident: string | null
}

const sensitive = new Set(['confidential', 'restricted'])
const [fires, quiet] = firstReaderExamples

export default defineDetector({
  id: 'STO-001',
  title: 'A sensitive store is read by a workload that never read it before',
  severity: 'medium',
  maturity: 'experimental',
  attack: ['T1213', 'T1005', 'T1039'],
  atlas: ['AML.T0035', 'AML.T0036'],
  blindSpots: [
    'A store that is younger than the learning time: whoever reads it is new.',
    'A pod of which Kubernetes says nothing: each of them would be new.',
    'Stores that are public or internal, and those whose readers the policy names (STO-004).',
    'A workload that shares its class with a reader: jobs of one user, pods of one owner, and '
      + 'programs outside of units, pods and jobs that are the same executable.',
    'A new program in a workload that has read before, unless it is a known tool or a line of an '
      + 'interpreter; programs are told apart by 32 bits, so that a few are taken for others.',
    'What was forgotten because there were too many readers seems new when it comes back.',
  ],
  runbook: 'Ask whether the workload was meant to get the store: a new training, a new version, a '
    + 'new team. If so, name it in readers of the store, so that nobody has to ask again. If not, '
    + 'look at who started it, and take the mount or the key from it.',
  needs: readKinds,
  readsOnly: true,
  settings: {
    learn_ms: 7 * 86_400_000, learn_days: 7, learn_reports: 100, bytes_min: 65_536,
    disk_bytes_min: 4_194_304,
  },
  key: (_, context) => {
    const read = readOf(context)
    if (read === null || !sensitive.has(read.store.sensitivity)) return null
    return `${read.reading.workloadClass} ${read.store.name}`
  },
  state: {
    initial: (event, context): State | null => {
      const read = readOf(context)!
      if (!isNew(read, event.time_ms, context)) return null
      return { amounts: newAmounts(), sentence: null, told: false, incident: null }
    },
    keysMax: 10_000,
    idleMs: 3_600_000,
  },
  evaluate(event, state, context) {
    if (state === null) return
    const read = readOf(context)!
    const { reading, store } = read
    addRead(state.amounts, read)
    if (state.told) {
      if (state.incident === null) return
      const details = { files: filesOfAll(state.amounts), processes: state.amounts.processes }
      context.amend(state.incident, store.name, {
        ...grownSummary(state.sentence, state.amounts, store),
        totals: { bytes: reading.bytes }, details,
      })
      return
    }
    const least = isOfDisk(event) ? 'disk_bytes_min' : 'bytes_min'
    if (state.amounts.bytes < context.setting(least)) return
    state.told = true
    state.incident = context.report({
      key: store.name, severity: severityOf(read), stores: [store.name],
      totals: { bytes: state.amounts.bytes },
      tell: () => tell(read, state, event.time_ms, context),
    })
  },
  examples: [...fires, ...quiet],
})

/** The class never read the store, or not with such a tool, and that can be said. */
function isNew(read: Read, nowMs: number, context: Context): boolean {
  const { reading, store, process } = read
  if (!reading.isFirst && !reading.isNewProgram) return false
  const known = context.stores.store(store.name)
  if (known === null || nowMs - known.firstMs < context.setting('learn_ms')) return false
  // Who may not read at all is told by STO-004. A pod whose owner is not known yet seems new.
  if (verdictOf(read, context).allowed !== null || context.zones.awaitsNames(process)) return false
  if (reading.isFirst) return true
  if (useOf(process) === null || isJobClass(classOf(process))) return false
  return !isThin(context.stores.usualOf(reading.workloadClass, store.name), warmUpOf(context))
}

function severityOf({ process, store }: Read): Severity {
  return weighed(store.sensitivity === 'restricted' || useOf(process) !== null ? 'high' : 'medium',
    store)
}

function tell(read: Read, state: State, nowMs: number, context: Context): Story {
  const { amounts } = state
  const { process, store, reading } = read
  const { firstMs, classes } = context.stores.store(store.name)!
  const usual = context.stores.usualOf(reading.workloadClass, store.name)
  const days = amount(Math.floor((nowMs - firstMs) / 86_400_000), 'day')
  const use = useOf(process)
  const files = filesOfAll(amounts)
  const others = classes - 1
  const what = usual === null || usual.days === 0
    ? `No such workload (${printable(reading.workloadClass)}) had read it in the ${days} that it ` +
      `is known, ${amount(others, 'other')} had`
    : `Its workload had read it (${seenInWords(usual, warmUpOf(context))}), but never with ` +
      useInWords(use ?? 'shows')
  state.sentence = { who: actorInWords(process, context), rest: `${what}.` }
  return {
    summary: sentenceInWords(state.sentence, amounts, store),
    details: {
      process: context.describe(process), store: store.name, store_kind: store.kind,
      sensitivity: store.sensitivity, mechanism: reading.mechanism, files, use: use ?? '',
      workload_class: reading.workloadClass, readers_before: others,
      store_known_since: new Date(firstMs).toISOString(),
    },
    next_steps: [
      `Ask who runs ${printable(context.workloadOf(process))} whether it should read the store.`,
      'If so, name it in readers: of the store in the policy.',
    ],
  }
}
