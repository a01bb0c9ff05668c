import type { Context } from '../../detect/context.ts'
import { defineDetector } from '../../detect/detector.ts'
import type { Severity, Story } from '../../detect/finding.ts'
import { bytesInWords } from '../../detect/words.ts'
import { isThin, isUsualHour, seenInWords } from '../../stores/usual-words.ts'
import { actorInWords } from '../actor.ts'
import { bulkReadExamples } from './bulk-read.examples.ts'
import { readKinds, readOf, warmUpOf, weighed } from './reading.ts'
import type { Read } from './reading.ts'
import { useOf } from './tools.ts'
import { readInWords } from './words.ts'

/** What a workload reads of a store today, and within this hour. Days and hours of UTC. */
interface State {
  hour: number
  hourBytes: number
  dayBytes: number
  /** It was told today. */
  told: boolean
  /** Null also while the detector is muted. */
  incident: string | null
}

/** What it goes beyond. */
interface Excess {
  bytes: number
  bound: number
  span: 'day' | 'hour'
  by: 'policy' | 'usual'
}

const HOUR_MS = 3_600_000
const [fires, quiet] = bulkReadExamples

export default defineDetector({
  id: 'STO-002',
  title: 'A workload reads far more of a store than is usual for it',
  severity: 'medium',
  maturity: 'experimental',
  attack: ['T1119', 'T1005', 'T1039', 'T1213'],
  atlas: ['AML.T0035', 'AML.T0037'],
  blindSpots: [
    'A workload of which little was seen, where the policy expects no bytes_per_day: that is not '
      + 'judged. STO-001 tells of a new reader.',
    'Amounts are compared with the usual of all workloads of the class together: one of many '
      + 'replicas has to read more than all of them do.',
    'A thief who reads no more than the workload does anyway, or was there while it was learned.',
    'Usual amounts are known to a power of two, and the factor comes on top.',
    'What is read again out of the memory of the process itself.',
  ],
  runbook: 'Ask who runs the workload whether it does more than before: more data, more epochs, an '
    + 'evaluation of everything. If so, it is learned within days, or is written into '
    + 'expected.bytes_per_day of the store. If not, look at which process reads, and what left.',
  needs: readKinds,
  readsOnly: true,
  settings: {
    learn_days: 7, learn_reports: 100, bytes_min: 1_073_741_824, day_times: 4, hour_times: 8,
  },
  key: (_, context) => {
    const read = readOf(context)
    if (read === null || read.store.sensitivity === 'public') return null
    return `${context.subjectOf(read.process)} ${read.store.name}`
  },
  state: {
    initial: (): State => ({ hour: 0, hourBytes: 0, dayBytes: 0, told: false, incident: null }),
    keysMax: 20_000,
    idleMs: 24 * HOUR_MS,
  },
  evaluate(event, state, context) {
    const read = readOf(context)!
    const { bytes } = read.reading
    count(state, bytes, event.time_ms)
    if (state.told) {
      if (state.incident !== null) {
        context.amend(state.incident, read.store.name, {
          totals: { bytes }, details: { bytes_today: state.dayBytes },
        })
      }
      return
    }
    const excess = excessOf(read, state, context)
    if (excess === null) return
    state.told = true
    state.incident = context.report({
      key: read.store.name, severity: severityOf(read), stores: [read.store.name],
      totals: { bytes: excess.bytes },
      tell: () => tell(read, excess, state, event.time_ms, context),
    })
  },
  examples: [...fires, ...quiet],
})

/** What is told late counts as if it were now. */
function count(state: State, bytes: number, timeMs: number): void {
  const hour = Math.floor(timeMs / HOUR_MS)
  if (hour > state.hour) {
    if (Math.floor(hour / 24) > Math.floor(state.hour / 24)) {
      state.dayBytes = 0
      state.told = false
      state.incident = null
    }
    state.hour = hour
    state.hourBytes = 0
  }
  state.hourBytes += bytes
  state.dayBytes += bytes
}

/** The policy decides where it says how much; else what is usual, once enough was seen. */
function excessOf(
  { reading, store }: Read, { dayBytes, hourBytes }: State, context: Context,
): Excess | null {
  const { bytesPerDay } = store.expected
  if (bytesPerDay !== null) {
    return dayBytes <= bytesPerDay ? null
      : { bytes: dayBytes, bound: bytesPerDay, span: 'day', by: 'policy' }
  }
  const least = context.setting('bytes_min')
  if (dayBytes < least) return null
  const usual = context.stores.usualOf(reading.workloadClass, store.name)
  if (usual === null || isThin(usual, warmUpOf(context))) return null
  if (dayBytes > context.setting('day_times') * usual.bytesPerDay) {
    return { bytes: dayBytes, bound: usual.bytesPerDay, span: 'day', by: 'usual' }
  }
  if (hourBytes >= least && hourBytes > context.setting('hour_times') * usual.bytesPerHour) {
    return { bytes: hourBytes, bound: usual.bytesPerHour, span: 'hour', by: 'usual' }
  }
  return null
}

function severityOf({ process, store }: Read): Severity {
  return weighed(useOf(process) === null ? 'medium' : 'high', store)
}

function tell(
  read: Read, { bytes, bound, span, by }: Excess, state: State, timeMs: number, context: Context,
): Story {
  const { process, store, reading } = read
  const usual = context.stores.usualOf(reading.workloadClass, store.name)
  const when = span === 'day' ? 'today' : 'in this hour'
  const beyond = by === 'policy'
    ? `The policy expects ${bytesInWords(bound)} in a day of one workload`
    : `Its workload has read at most ${bytesInWords(bound)} in nearly every ${span} before, ` +
      seenInWords(usual, warmUpOf(context))
  const strange = usual !== null && by === 'usual' && !isUsualHour(usual, timeMs)
  return {
    summary: `${actorInWords(process, context)} read ${readInWords(bytes, 0, store)} ${when}. ` +
      `${beyond}.${strange ? ' It does not read at this hour.' : ''}`,
    details: {
      process: context.describe(process), store: store.name, store_kind: store.kind,
      sensitivity: store.sensitivity, mechanism: reading.mechanism, span, expected_by: by,
      expected_bytes: bound, bytes_today: state.dayBytes, workload_class: reading.workloadClass,
      usual_bytes_per_day: usual?.bytesPerDay ?? 0, baseline: seenInWords(usual, warmUpOf(context)),
      usual_hour: !strange,
    },
    next_steps: [
      `Ask who runs ${context.workloadOf(process)} whether it does more than before.`,
      `If nobody knows why, look at pid ${process.pid} on ${process.node_id}, and at what it sent.`,
    ],
  }
}
