import type { Context } from '../../detect/context.ts'
import { defineDetector } from '../../detect/detector.ts'
import type { Severity, Story } from '../../detect/finding.ts'
import { amount, bytesInWords } from '../../detect/words.ts'
import { NETWORK } from '../../detect/stores/store-states.ts'
import type { EventViews } from '../../proto/gen/events.ts'
import { actorInWords } from '../actor.ts'
import { addRead, filesOfAll, newAmounts } from './amounts.ts'
import type { Amounts } from './amounts.ts'
import { dayOf, filesOfStore, newExtent, widen } from './extent.ts'
import type { Extent } from './extent.ts'
import { closeDay, freshPart, newGround, tread } from './ground.ts'
import type { Ground } from './ground.ts'
import { isNamedReader, readKinds, readOf, verdictOf, weighed } from './reading.ts'
import type { Read } from './reading.ts'
import { useOf } from './tools.ts'
import { trickleExamples } from './trickle.examples.ts'
import { readInWords, verdictInWords } from './words.ts'

/** What a class of workloads has read in small parts. */
interface Track {
  firstDay: number
  day: number
  /** Of days that are over: how many had reads, and what was new in them. */
  days: number
  files: number
  bytes: number
  today: Amounts
  ground: Ground
  told: boolean
  /** Null also while the detector is muted. */
  incident: string | null
}

/** Of a store. */
interface State {
  extent: Extent
  /** Of those who may not do so; by class, the one that read longest ago leaves. */
  tracks: Map<string, Track>
}

/** How much by now. Amounts in files, or in bytes where the store has few files. */
interface Sum { measure: 'files' | 'bytes', total: number, of: number, days: number }

type ReadEvent = EventViews[(typeof readKinds)[number]]

const TRACKS_MAX = 512
const [fires, quiet] = trickleExamples

export default defineDetector({
  id: 'STO-008',
  title: 'A store is read a little every day, until most of it was read',
  severity: 'medium',
  maturity: 'experimental',
  attack: ['T1030', 'T1119', 'T1005'],
  atlas: ['AML.T0035', 'AML.T0025'],
  blindSpots: [
    'Workloads that the policy names as readers, unless they read with a tool such as tar.',
    'Files of a day are known by one of each report: how many of them are new is an estimate, and '
      + 'after a thousand reports none.',
    'A store that is read as a whole by nobody, where the policy does not say how many files it '
      + 'holds: how large it is, is not known.',
    'Parts that are spread over several classes of workloads, or over more days than the window.',
    'A workload that reads much on one day is no trickle: STO-002 and STO-003.',
    'Which records a database or object store was asked for: what comes over connections counts by '
      + 'its bytes alone, so who reads the same every day and who reads on look alike. Where the '
      + 'policy names no readers, only those are judged who came after the store was known.',
  ],
  runbook: 'Look at what runs every day (a timer, a job of a user, a cron job of the cluster), who '
    + 'set it up and when, and what it does with what it reads. A work that goes through a store '
    + 'in small parts belongs into readers of the policy. If nobody knows it, look at what left on '
    + 'those days: small parts are sent unnoticed.',
  needs: readKinds,
  readsOnly: true,
  settings: {
    learn_ms: 7 * 86_400_000, window_ms: 30 * 86_400_000, days_min: 5, day_percent: 20,
    total_percent: 60, files_min: 100,
  },
  key: (_, context) => {
    const read = readOf(context)
    return read === null || read.store.sensitivity === 'public' ? null : read.store.name
  },
  state: {
    initial: (event): State => ({
      extent: newExtent(event.time_ms), tracks: new Map(),
    }),
    keysMax: 1000,
    idleMs: 90 * 86_400_000,
  },
  evaluate(event, state, context) {
    const read = readOf(context)!
    const { reading, store } = read
    const today = context.stores.usualOf(reading.workloadClass, store.name)?.bytesToday ?? 0
    widen(state.extent, reading.files, today, event.time_ms)
    const severity = severityOf(read, context)
    if (severity === null || isOldAcquaintance(read, state, context)) return
    const track = trackOf(read, state, event, context)
    addRead(track.today, read)
    if (event.kind === 'store_read') tread(track.ground, event.device, event.inode)
    if (track.told) {
      if (track.incident !== null) {
        context.amend(track.incident, store.name, { totals: { bytes: reading.bytes } })
      }
      return
    }
    const sum = sumOf(read, track, state, event.time_ms, context)
    if (sum === null) return
    track.told = true
    track.incident = context.report({
      key: store.name, severity, stores: [store.name],
      totals: { bytes: track.bytes + track.today.bytes },
      tell: () => tell(read, track, sum, context),
    })
  },
  examples: [...fires, ...quiet],
})

function newTrack(day: number): Track {
  return { firstDay: day, day, days: 0, files: 0, bytes: 0, today: newAmounts(),
    ground: newGround(), told: false, incident: null }
}

/** The track of the class, today. A day with much, or a window that is over, begins a new one. */
function trackOf(
  { reading, store }: Read, state: State, event: ReadEvent, context: Context,
): Track {
  const { tracks } = state
  const day = dayOf(event.time_ms)
  const known = tracks.get(reading.workloadClass)
  let track = known ?? newTrack(day)
  if (day > track.day) {
    const ended = (day - track.firstDay) * 86_400_000 > context.setting('window_ms')
    const much = isMuch(track, state, store.expected.files, event.time_ms, context)
    if (ended || much) track = newTrack(day)
    else close(track, day)
  }
  // The order is that of the last read.
  tracks.delete(reading.workloadClass)
  if (tracks.size >= TRACKS_MAX) tracks.delete([...tracks.keys()][0])
  tracks.set(reading.workloadClass, track)
  return track
}

/** The day is over: what was new in it counts. */
function close(track: Track, day: number): void {
  track.days++
  track.files += filesOfAll(track.today) * freshPart(track.ground)
  track.bytes += track.today.bytes
  track.today = newAmounts()
  closeDay(track.ground)
  track.day = day
}

/** Today's part of the store is no small one: by files, or beside what others read in a day. */
function isMuch(
  { today }: Track, { extent }: State, expected: number | null, nowMs: number,
  context: Context,
): boolean {
  const part = context.setting('day_percent') / 100
  const of = filesOfStore(extent, expected, nowMs, context.setting('learn_ms'))
  const most = Math.max(extent.bytes, extent.bytesToday)
  if (of >= context.setting('files_min') && filesOfAll(today) > part * of) return true
  return most > 0 && today.bytes > part * most
}

/** Null while it is no trickle, or not yet most of the store. */
function sumOf(
  { store, reading }: Read, track: Track, state: State, nowMs: number, context: Context,
): Sum | null {
  const days = track.days + 1
  const learnMs = context.setting('learn_ms')
  if (days < context.setting('days_min')) return null
  const knows = store.expected.files !== null && reading.mechanism !== NETWORK
  if (nowMs - state.extent.sinceMs < learnMs && !knows) return null
  if (isMuch(track, state, store.expected.files, nowMs, context)) return null
  const part = context.setting('total_percent') / 100
  const of = filesOfStore(state.extent, store.expected.files, nowMs, learnMs)
  if (reading.mechanism !== NETWORK && of >= context.setting('files_min')) {
    const total = track.files + filesOfAll(track.today) * freshPart(track.ground)
    return total < part * of ? null : { measure: 'files', total: Math.min(of, total), of, days }
  }
  const total = track.bytes + track.today.bytes
  const { bytes: most } = state.extent
  return most === 0 || total < most ? null : { measure: 'bytes', total, of: most, days }
}

/**
 * Over connections, a small client of a database looks like a trickle: where the policy says
 * nothing of it, only those are asked who were not there while the store became known.
 */
function isOldAcquaintance({ store, reading, process }: Read, { extent }: State, context: Context) {
  if (reading.mechanism !== NETWORK || useOf(process) !== null) return false
  if (verdictOf({ store, process }, context).allowed !== null) return false
  const first = context.stores.usualOf(reading.workloadClass, store.name)?.firstMs ?? 0
  return first < extent.sinceMs + context.setting('learn_ms')
}

/** Null for those who may. */
function severityOf(read: Read, context: Context): Severity | null {
  if (isNamedReader(read, context)) return null
  if (useOf(read.process) !== null) return weighed('high', read.store)
  const { allowed } = verdictOf(read, context)
  return allowed === true ? null : weighed(allowed === false ? 'high' : 'medium', read.store)
}

function tell(read: Read, track: Track, sum: Sum, context: Context): Story {
  const { process, store, reading } = read
  const { measure, total, of, days } = sum
  const much = measure === 'files'
    ? `about ${Math.round(100 * total / of)}% of its ${amount(of, 'file')}`
    : `as much as is read of it in its busiest day (${bytesInWords(of)})`
  const verdict = verdictOf(read, context)
  return {
    summary: `${actorInWords(process, context)} and others of its kind read ` +
      `${readInWords(track.bytes + track.today.bytes, Math.round(measure === 'files' ? total : 0),
        store)} on ${amount(days, 'day')}, never much on one: ${much}. ${verdictInWords(verdict)}`,
    details: {
      process: context.describe(process), store: store.name, store_kind: store.kind,
      sensitivity: store.sensitivity, workload_class: reading.workloadClass, days,
      since: new Date(track.firstDay * 86_400_000).toISOString().slice(0, 10), measure,
      share_percent: Math.round(100 * total / of), use: useOf(process) ?? '',
      allowed: verdict.allowed,
    },
    next_steps: [
      'Find what starts it every day, who set that up, and when.',
      `Look at what ${context.workloadOf(process)} has sent on those days.`,
    ],
  }
}
