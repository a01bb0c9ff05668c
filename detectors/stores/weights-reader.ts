import type { Context } from '../../detect/context.ts'
import { defineDetector } from '../../detect/detector.ts'
import type { Severity, Story } from '../../detect/finding.ts'
import type { EventViews } from '../../proto/gen/events.ts'
import { isOfArtifacts } from '../../stores/rule.ts'
import { actorInWords } from '../actor.ts'
import { isContained } from '../programs.ts'
import { addRead, filesOfAll, newAmounts } from './amounts.ts'
import type { Amounts } from './amounts.ts'
import { isNamedReader, readKinds, readOf, verdictOf, weighed } from './reading.ts'
import type { Read } from './reading.ts'
import { useInWords, useOf } from './tools.ts'
import type { Use } from './tools.ts'
import { weightsReaderExamples } from './weights-reader.examples.ts'
import { grownSummary, sentenceInWords, verdictInWords } from './words.ts'
import type { Sentence } from './words.ts'

/** What such programs of a workload have read of a store. */
interface State {
  amounts: Amounts
  told: boolean
  /** Null until it is told, and when an open finding was told of it before. */
  sentence: Sentence | null
  /** Null also while the detector is muted. */
  incident: string | null
}

type Event = EventViews[(typeof readKinds)[number]]

/** Who trains does so with checkpoints. */
const ordinary: ReadonlySet<Use> = new Set(['copies', 'shows', 'runs_a_line'])
const [fires, quiet] = weightsReaderExamples

export default defineDetector({
  id: 'STO-005',
  title: 'Weights are read by a program that is no server and no training',
  severity: 'high',
  maturity: 'experimental',
  attack: ['T1005', 'T1039', 'T1119'],
  atlas: ['AML.T0035', 'AML.T0044'],
  blindSpots: [
    'A program under the name of a server, and a script of Python in a file: both may be the '
      + 'server. STO-002 and STO-004 look at how much is read, and by whom.',
    'Programs that were started before the agent and whose arguments are not known: a line that '
      + 'Python was given looks like a server.',
    'Less than the threshold: adapters may be smaller.',
    'Checkpoints that are copied or looked at, as people do who train: packing and sending them '
      + 'is told.',
    'Memory of a server that is read by its own workload, as ranks of one job do.',
    'Tools that a server starts itself to load its weights are told as well: name them in readers '
      + 'by executables or systemd_units.',
    'What the kernel reads for others, such as a server of NFS.',
  ],
  runbook: 'Look at who started the program and where its output went: a file, another store '
    + '(STO-006), a connection. Weights that were packed or copied by hand are gone when they '
    + 'leave the node: stop the process first, then ask. A backup or a mirror belongs into readers '
    + 'of the policy, by its executable or unit.',
  needs: readKinds,
  readsOnly: true,
  settings: { bytes_min: 67_108_864 },
  key: (event, context) => {
    const read = readOf(context)
    if (read === null || !isJudged(event, read, context)) return null
    return `${context.subjectOf(read.process)} ${read.store.name}`
  },
  state: {
    initial: (): State => ({ amounts: newAmounts(), sentence: null, told: false, incident: null }),
    keysMax: 10_000,
    idleMs: 3_600_000,
  },
  evaluate(event, state, context) {
    const read = readOf(context)!
    const { store, reading: { bytes } } = read
    addRead(state.amounts, read)
    if (state.told) {
      if (state.incident === null) return
      const details = { files: filesOfAll(state.amounts), processes: state.amounts.processes }
      context.amend(state.incident, store.name, {
        ...grownSummary(state.sentence, state.amounts, store),
        totals: { bytes }, details,
      })
      return
    }
    if (state.amounts.bytes < context.setting('bytes_min')) return
    state.told = true
    state.incident = context.report({
      key: store.name, severity: severityOf(read), stores: [store.name],
      totals: { bytes: state.amounts.bytes },
      tell: () => tell(event, read, state, context),
    })
  },
  examples: [...fires, ...quiet],
})

/** Weights that are not public, read by a tool that the policy does not name. */
function isJudged(event: Event, read: Read, context: Context): boolean {
  const { store } = read
  if (!isOfArtifacts(store) || store.sensitivity === 'public') return false
  const use = useHere(event, read, context)
  if (use === null || (store.kind === 'checkpoints' && ordinary.has(use))) return false
  if (isNamedReader(read, context)) return false
  // Who may change the weights copies them as well.
  const { allowed, list } = verdictOf(read, context)
  return !(allowed === true && list === 'writers')
}

/** Of a program, or of what it does: reading the memory of another workload is no service. */
function useHere(event: Event, { process }: Read, context: Context): Use | null {
  if (event.kind !== 'store_read' || event.owner_pid === 0) return useOf(process)
  const owner = context.processBeside(process, event.owner_pid, event.owner_start_time)
  const own = owner !== null && context.subjectOf(owner) === context.subjectOf(process)
  return own ? null : 'takes_memory'
}

/** On the node itself people and backups copy files, too. */
function severityOf({ process, store }: Read): Severity {
  return weighed(isContained(process) ? 'high' : 'medium', store)
}

function tell(event: Event, read: Read, state: State, context: Context): Story {
  const { amounts } = state
  const { process, store, reading } = read
  const use = useHere(event, read, context)!
  const verdict = verdictOf(read, context)
  const files = filesOfAll(amounts)
  state.sentence = {
    who: actorInWords(process, context),
    rest: `It is ${useInWords(use)}, no server and no training. ${verdictInWords(verdict)}`,
  }
  return {
    summary: sentenceInWords(state.sentence, amounts, store),
    details: {
      process: context.describe(process), store: store.name, store_kind: store.kind,
      sensitivity: store.sensitivity, use, mechanism: reading.mechanism, files,
      processes: amounts.processes, allowed: verdict.allowed,
    },
    next_steps: [
      `Look at pid ${process.pid} on ${process.node_id}, at who started it, and at where its ` +
        'output went.',
      'If it is meant to be, name its executable or unit in readers of the store.',
    ],
  }
}
