/** What is usual of a class of workloads and a store, for whoever shows it. */
import { isThin, seenInWords } from '../../stores/usual-words.ts'
import type { StoreStates } from './store-states.ts'

/** A pair as JSON; amounts of which nothing is known yet are 0. */
export interface UsualJson {
  store: string
  workload_class: string
  /** In all days that are over, in the day that runs or was the last, and in its last hour. */
  bytes: number
  bytes_today: number
  bytes_this_hour: number
  usual_bytes_per_day: number
  usual_bytes_per_hour: number
  usual_files: number
  usual_bytes_per_second: number
  /** Hours of the day, UTC. */
  usual_hours: number[]
  days: number
  reports: number
  /** Too little was seen to say what is usual. */
  thin: boolean
  /** How much was seen, in words. */
  seen: string
  /** RFC 3339. */
  first_read: string
  last_read: string
}

/** Times of reads are kept to a minute. */
const MINUTE_MS = 60_000
const HOURS = Array.from({ length: 24 }, (_, hour) => hour)

/** Every pair that read since `fromMs`; of `stores`, or of all where none is named. */
export function* usualLines(
  states: Pick<StoreStates, 'all'>, fromMs: number, stores: readonly string[],
): Generator<UsualJson, void, undefined> {
  const wanted = new Set(stores)
  for (const { workloadClass, store, usual } of states.all()) {
    if (usual.lastMs < fromMs - MINUTE_MS || (wanted.size > 0 && !wanted.has(store))) continue
    yield {
      store, workload_class: workloadClass, bytes: usual.bytes, bytes_today: usual.bytesToday,
      bytes_this_hour: usual.bytesThisHour, usual_bytes_per_day: usual.bytesPerDay,
      usual_bytes_per_hour: usual.bytesPerHour, usual_files: usual.files,
      usual_bytes_per_second: usual.bytesPerSecond,
      usual_hours: HOURS.filter((hour) => (usual.hours & (1 << hour)) !== 0),
      days: usual.days, reports: usual.reports, thin: isThin(usual), seen: seenInWords(usual),
      first_read: new Date(usual.firstMs).toISOString(),
      last_read: new Date(usual.lastMs).toISOString(),
    }
  }
}
