import type { Context } from '../../detect/context.ts'
import { defineDetector } from '../../detect/detector.ts'
import type { Severity, Story } from '../../detect/finding.ts'
import { amount } from '../../detect/words.ts'
import type { Usual } from '../../stores/usual.ts'
import { isThin, seenInWords } from '../../stores/usual-words.ts'
import { actorInWords } from '../actor.ts'
import { addRead, filesOfAll, filesOfOne, newAmounts } from './amounts.ts'
import type { Amounts } from './amounts.ts'
import { dayOf, filesOfStore, newExtent, widen } from './extent.ts'
import type { Extent } from './extent.ts'
import { isNamedReader, readOf, verdictOf, warmUpOf, weighed } from './reading.ts'
import type { Read } from './reading.ts'
import { sweepExamples } from './sweep.examples.ts'
import { useInWords, useOf } from './tools.ts'
import { readInWords } from './words.ts'

/** What the tools, or the other programs, of a workload have read today. */
interface Sweeper {
  day: number
  amounts: Amounts
  told: boolean
  /** Null also while the detector is muted. */
  incident: string | null
}

/** Of a store. */
interface State {
  extent: Extent
  /** By workload; the one that read longest ago leaves. */
  sweepers: Map<string, Sweeper>
}

/** A share of the files of a store, and what they are a share of. */
interface Share { files: number, of: number, percent: number, usual: Usual | null }

const SWEEPERS_MAX = 512
const [fires, quiet] = sweepExamples

export default defineDetector({
  id: 'STO-003',
  title: 'A store is read from one end to the other by someone who should not',
  severity: 'medium',
  maturity: 'experimental',
  attack: ['T1119', 'T1005', 'T1039'],
  atlas: ['AML.T0035'],
  blindSpots: [
    'How many files a store holds, where the policy does not say so (expected.files): then it is '
      + 'the most that one process ever read of it in a day.',
    'A program that is no known tool, of which too little was seen to say what is usual: a '
      + 'training reads everything from its first day on.',
    'A tool in the hands of a workload that the policy names as a reader, and of which too little '
      + 'was seen: jobs copy data to their node before they begin.',
    'A sweep over many processes, each with a part: of tools the files of all are added, of other '
      + 'programs that of the one with the most counts.',
    'A sweep that takes longer than a day (STO-008), and stores of few files.',
    'Reads over the network have no files.',
  ],
  runbook: 'Look at the program. A training or an indexer reads everything by design: it is '
    + 'learned, or gets its unit or executable into readers. Someone who walks through a whole '
    + 'store by hand takes it with them: look at what the workload wrote and sent since.',
  needs: ['store_read'],
  readsOnly: true,
  settings: {
    learn_ms: 7 * 86_400_000, learn_days: 7, learn_reports: 100, files_min: 100,
    share_percent: 50,
  },
  key: (_, context) => {
    const read = readOf(context)
    return read === null || read.store.sensitivity === 'public' ? null : read.store.name
  },
  state: {
    initial: (event): State => ({ extent: newExtent(event.time_ms), sweepers: new Map() }),
    keysMax: 1000,
    idleMs: 90 * 86_400_000,
  },
  evaluate(event, state, context) {
    const read = readOf(context)!
    const sweeper = sweeperOf(read, state, event.time_ms, context)
    addRead(sweeper.amounts, read)
    const share = shareOf(read, sweeper.amounts, state.extent, event.time_ms, context)
    widen(state.extent, read.reading.files, 0, event.time_ms)
    if (share === null) return
    if (sweeper.told) {
      if (sweeper.incident !== null) {
        context.amend(sweeper.incident, read.store.name, {
          totals: { bytes: read.reading.bytes },
          details: { files: share.files, share_percent: Math.round(share.percent) },
        })
      }
      return
    }
    const severity = severityOf(read, share, context)
    if (severity === null) return
    sweeper.told = true
    sweeper.incident = context.report({
      key: read.store.name, severity, stores: [read.store.name],
      totals: { bytes: sweeper.amounts.bytes },
      tell: () => tell(read, share, sweeper.amounts, context),
    })
  },
  examples: [...fires, ...quiet],
})

/** Tools of a workload for themselves: each file may have a process of its own. */
function sweeperOf(
  { process }: Read, { sweepers }: State, timeMs: number, context: Context,
): Sweeper {
  const key = `${context.subjectOf(process)}${useOf(process) === null ? '' : ' tools'}`
  const known = sweepers.get(key)
  const day = dayOf(timeMs)
  const sweeper = known !== undefined && known.day >= day ? known
    : { day, amounts: newAmounts(), told: false, incident: null }
  // The order is that of the last read.
  sweepers.delete(key)
  if (sweepers.size >= SWEEPERS_MAX) sweepers.delete([...sweepers.keys()][0])
  sweepers.set(key, sweeper)
  return sweeper
}

/** Null: less than is told. */
function shareOf(
  { process, store, reading }: Read, amounts: Amounts, extent: Extent, nowMs: number,
  context: Context,
): Share | null {
  const of = filesOfStore(extent, store.expected.files, nowMs, context.setting('learn_ms'))
  if (of < context.setting('files_min')) return null
  const files = Math.min(of, useOf(process) === null ? filesOfOne(amounts) : filesOfAll(amounts))
  const percent = 100 * files / of
  if (percent < context.setting('share_percent')) return null
  return { files, of, percent, usual: context.stores.usualOf(reading.workloadClass, store.name) }
}

/** Null for those who do so anyway, or of whom nothing can be said. */
function severityOf(read: Read, { of, usual }: Share, context: Context): Severity | null {
  if (isNamedReader(read, context)) return null
  const tool = useOf(read.process) !== null
  if (usual === null || isThin(usual, warmUpOf(context))) {
    // Jobs of readers copy the data to their node before they begin.
    const judged = tool && verdictOf(read, context).allowed !== true
    return judged ? weighed('medium', read.store) : null
  }
  // Usual files are known to a power of two.
  if (usual.files >= of * context.setting('share_percent') / 200) return null
  return weighed(tool ? 'high' : 'medium', read.store)
}

function tell(
  read: Read, { files, of, percent, usual }: Share, amounts: Amounts, context: Context,
): Story {
  const { process, store, reading } = read
  const use = useOf(process)
  const size = store.expected.files === null
    ? `most that one process had read before, ${amount(of, 'file')}`
    : `${amount(of, 'file')} that the policy expects there`
  const baseline = seenInWords(usual, warmUpOf(context))
  const beside = isThin(usual, warmUpOf(context)) ? `It is ${useInWords(use ?? 'copies')}`
    : `Its workload reads no more than ${amount(usual!.files, 'file')} with one process in nearly `
      + `every day, ${baseline}`
  return {
    summary: `${actorInWords(process, context)} read ` +
      `${readInWords(amounts.bytes, files, store)}, ${Math.round(percent)}% of the ${size}. ` +
      `${beside}.`,
    details: {
      process: context.describe(process), store: store.name, store_kind: store.kind,
      sensitivity: store.sensitivity, use: use ?? '', mechanism: reading.mechanism, files,
      files_of_store: of, share_percent: Math.round(percent), processes: amounts.processes,
      workload_class: reading.workloadClass, baseline,
    },
    next_steps: [
      `Look at pid ${process.pid} on ${process.node_id}: does it read everything by design?`,
      'Look at what its workload wrote and sent since.',
    ],
  }
}
