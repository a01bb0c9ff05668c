/**
 * What is usual: for each class of workloads and each store how much was read in a day, in an hour,
 * at what rate, of how many files, and when. Learned from days that are over, so that what happens
 * now is compared with what was before it. Training reads in bursts (epochs, checkpoints,
 * evaluation, repacking), so nothing here is a mean: the usual is what all but one in fifteen days
 * stayed below, to a power of two, and who compares adds a factor. Time is that of events, in
 * UTC.
 */
import { PairIndex } from './pair-index.ts'
import { metrics, UsualColumns } from './usual-columns.ts'
import type { UsualColumnsSnapshot } from './usual-columns.ts'
import { UsualNames } from './usual-names.ts'
import type { UsualNamesSnapshot } from './usual-names.ts'
import { bucketOf, highBound } from './usual-sketch.ts'

/** What a report says. */
export interface Reading {
  /** Wall clock, milliseconds. */
  timeMs: number
  bytes: number
  /** Distinct files that its process has read so far; 0 when that is not known. */
  files: number
  bytesPerSecond: number
  /** Name of the program. */
  program: string
}

/** What a report was beyond its amounts. */
export interface Novelty {
  /** The first of this class that is known of this store. */
  isFirst: boolean
  /** The first of this program in this class, as far as 32 bits can tell. */
  isNewProgram: boolean
}

/** What is usual of a class and a store, before the day that runs. Amounts 0: not known yet. */
export interface Usual {
  bytesPerDay: number
  bytesPerHour: number
  /** Distinct files that one process read. */
  files: number
  /** Of one process, over some seconds. */
  bytesPerSecond: number
  /** Bits of the hours of the day in which it read, the hour that runs left out. */
  hours: number
  /** Days with reads, without the one that runs; reports of all. */
  days: number
  reports: number
  /** Wall clock, milliseconds, exact to a minute. */
  firstMs: number
  lastMs: number
  /** Read in all days that are over. */
  bytes: number
  /** Of the day, and of the hour, in which it read last. */
  bytesToday: number
  bytesThisHour: number
}

export interface UsualOptions {
  /** Pairs of a class and a store. */
  pairsMax?: number
}

export type UsualSnapshot = {
  columns: UsualColumnsSnapshot
  rows: number
  names: UsualNamesSnapshot
  evictions: number
}

const MINUTE_MS = 60_000
const HOUR = 60
const DAY = 24 * HOUR
/** Two of them are remembered: 15 to 30 days. Counts of days go up to 15. */
const PERIOD = 15 * DAY
/** What happens on one day of so many is not usual: what happens once a week is. */
const RARE_IN_DAYS = 15
const FIRST_CAPACITY = 1024
const COUNT_MAX = 65_535

export class UsualTable {
  /** Pairs that were forgotten to make room. */
  evictions = 0
  readonly #columns = new UsualColumns()
  readonly #index = new PairIndex()
  readonly #names = new UsualNames()
  readonly #max: number
  readonly #scratch = new Uint8Array(64)
  #rows = 0

  constructor(options: UsualOptions = {}) {
    this.#max = options.pairsMax ?? 1_000_000
    this.#resize(Math.min(this.#max, FIRST_CAPACITY))
  }

  /** Pairs that are known. */
  get size(): number { return this.#rows }

  /** Reports of stores that found no room: there were too many names. */
  get refused(): number { return this.#names.refused }

  /** Bytes of all arrays. */
  get bytes(): number { return this.#columns.bytesHeld + this.#index.bytes }

  /** Since when a store is known, and how many classes have read it; null when nobody has. */
  store(name: string): { firstMs: number; classes: number } | null {
    return this.#names.store(name)
  }

  /** Takes a report over; null when there is no room for its store. */
  note(workloadClass: string, store: string, reading: Reading): Novelty | null {
    const minute = Math.floor(reading.timeMs / MINUTE_MS)
    const known = this.#find(workloadClass, store)
    const row = known < 0 ? this.#add(workloadClass, store, minute) : known
    if (row < 0) return null
    const { dayBytes, hourBytes, reports, filesMost, rateMost, programs } = this.#columns
    this.#advance(row, minute)
    dayBytes[row] = Math.max(0, dayBytes[row]) + reading.bytes
    hourBytes[row] += reading.bytes
    reports[row] = Math.min(COUNT_MAX, reports[row] + 1)
    filesMost[row] = Math.max(filesMost[row], bucketOf(reading.files))
    rateMost[row] = Math.max(rateMost[row], bucketOf(reading.bytesPerSecond))
    const program = bitOf(reading.program)
    const isNewProgram = (programs[row] & program) === 0
    programs[row] |= program
    return { isFirst: known < 0, isNewProgram }
  }

  /** What is usual of a pair; null when the class has not read the store. */
  of(workloadClass: string, store: string): Usual | null {
    const row = this.#find(workloadClass, store)
    return row < 0 ? null : this.#usualOf(row)
  }

  /** Every pair, in the order in which they came. */
  * all(): Iterable<{ workloadClass: string; store: string; usual: Usual }> {
    for (let row = 0; row < this.#rows; row++) {
      yield { ...this.#names.of(this.#columns.keys[row]), usual: this.#usualOf(row) }
    }
  }

  /**
   * Adds what another table has learned from other events. Days that run are counted as they are,
   * in both. In whichever order tables are merged, the result is the same.
   */
  merge(from: UsualTable): void {
    this.#closeAll()
    from.#closeAll()
    for (let row = 0; row < from.#rows; row++) {
      const { workloadClass, store } = from.#names.of(from.#columns.keys[row])
      const found = this.#find(workloadClass, store)
      const mine = found < 0
        ? this.#add(workloadClass, store, from.#columns.first[row]) : found
      if (mine < 0) continue
      if (found < 0) {
        this.#columns.last[mine] = from.#columns.last[row]
        this.#columns.dayBytes[mine] = -1
      }
      this.#mergeRow(mine, from.#columns, row)
    }
    for (const name of from.#names.stores()) this.#names.sawStore(name, from.store(name)!.firstMs)
  }

  #mergeRow(row: number, from: UsualColumns, fromRow: number): void {
    const to = this.#columns
    // The period that runs is that of the later one.
    if (periodOf(from.last[fromRow]) > periodOf(to.last[row])) {
      this.#turn(row, periodOf(to.last[row]), periodOf(from.last[fromRow]))
      to.last[row] = from.last[fromRow]
    } else to.last[row] = Math.max(to.last[row], from.last[fromRow])
    const period = periodOf(from.last[fromRow])
    this.#mergePeriod(row, period, from, fromRow, 0)
    if (from.back[fromRow] > 0) {
      this.#mergePeriod(row, period - from.back[fromRow], from, fromRow, 1)
    }
    to.first[row] = Math.min(to.first[row], from.first[fromRow])
    to.hours[row] |= from.hours[fromRow]
    to.programs[row] |= from.programs[fromRow]
    to.bytes[row] += from.bytes[fromRow]
    to.days[row] = Math.min(COUNT_MAX, to.days[row] + from.days[fromRow])
    to.reports[row] = Math.min(COUNT_MAX, to.reports[row] + from.reports[fromRow])
  }

  /** Of all periods that both have, the two latest stay. */
  #mergePeriod(
    row: number, period: number, from: UsualColumns, fromRow: number, fromPlace: number,
  ): void {
    const to = this.#columns
    const back = Math.min(255, periodOf(to.last[row]) - period)
    let place = 0
    if (back > 0) {
      const had = to.back[row]
      if (had !== 0 && had < back) return
      if (had !== back) {
        for (const metric of Object.values(metrics)) to.sketches.clear(to.sketch(row, metric, 1))
      }
      to.back[row] = back
      place = 1
    }
    for (const metric of Object.values(metrics)) {
      to.sketches.merge(to.sketch(row, metric, place), from.sketches,
        from.sketch(fromRow, metric, fromPlace))
    }
  }

  #find(workloadClass: string, store: string): number {
    const key = this.#names.keyOf(workloadClass, store)
    return key < 0 ? -1 : this.#index.find(key, this.#columns.keys)
  }

  #usualOf(row: number): Usual {
    const { first, last, hours, days, reports, bytes, dayBytes, hourBytes } = this.#columns
    return {
      bytesPerDay: this.#high(row, metrics.day), bytesPerHour: this.#high(row, metrics.hour),
      files: this.#high(row, metrics.files), bytesPerSecond: this.#high(row, metrics.rate),
      hours: hours[row], days: days[row], reports: reports[row],
      firstMs: first[row] * MINUTE_MS, lastMs: last[row] * MINUTE_MS, bytes: bytes[row],
      bytesToday: Math.max(0, dayBytes[row]), bytesThisHour: hourBytes[row],
    }
  }

  #high(row: number, metric: number): number {
    const { sketches } = this.#columns
    this.#scratch.fill(0)
    sketches.gather(this.#columns.sketch(row, metric, 0), this.#scratch)
    sketches.gather(this.#columns.sketch(row, metric, 1), this.#scratch)
    return highBound(this.#scratch, RARE_IN_DAYS)
  }

  /** The time of a pair has come so far. What is told late counts as if it were now. */
  #advance(row: number, minute: number): void {
    const { last } = this.#columns
    const before = last[row]
    if (minute <= before) return
    if (Math.floor(minute / HOUR) !== Math.floor(before / HOUR)) this.#closeHour(row)
    if (Math.floor(minute / DAY) !== Math.floor(before / DAY)) this.#closeDay(row)
    const [was, is] = [periodOf(before), periodOf(minute)]
    if (was !== is) this.#turn(row, was, is)
    last[row] = minute
  }

  #closeHour(row: number): void {
    const { dayBytes, hourBytes, hourMost, hours, last } = this.#columns
    if (dayBytes[row] < 0) return
    hours[row] |= 1 << (Math.floor(last[row] / HOUR) % 24)
    hourMost[row] = Math.max(hourMost[row], bucketOf(hourBytes[row]))
    hourBytes[row] = 0
  }

  /** The day becomes one of those that are counted. */
  #closeDay(row: number): void {
    const columns = this.#columns
    const { sketches, dayBytes, hourMost, filesMost, rateMost, days, bytes } = columns
    if (dayBytes[row] < 0) return
    sketches.add(columns.sketch(row, metrics.day, 0), bucketOf(dayBytes[row]))
    sketches.add(columns.sketch(row, metrics.hour, 0), hourMost[row])
    sketches.add(columns.sketch(row, metrics.files, 0), filesMost[row])
    sketches.add(columns.sketch(row, metrics.rate, 0), rateMost[row])
    days[row] = Math.min(COUNT_MAX, days[row] + 1)
    bytes[row] += dayBytes[row]
    dayBytes[row] = -1
    hourMost[row] = filesMost[row] = rateMost[row] = 0
  }

  /** The period that ran becomes the one before. */
  #turn(row: number, was: number, is: number): void {
    const { sketches, back } = this.#columns
    for (const metric of Object.values(metrics)) {
      const running = this.#columns.sketch(row, metric, 0)
      sketches.copy(this.#columns.sketch(row, metric, 1), running)
      sketches.clear(running)
    }
    back[row] = Math.min(255, is - was)
  }

  #closeAll(): void {
    for (let row = 0; row < this.#rows; row++) {
      this.#closeHour(row)
      this.#closeDay(row)
    }
  }

  /** A row for a pair that has none; -1 when there is no room for the store. */
  #add(workloadClass: string, store: string, minute: number): number {
    if (this.#rows >= this.#max) this.#evict()
    const columns = this.#columns
    if (this.#rows >= columns.capacity) this.#resize(Math.min(this.#max, 2 * columns.capacity))
    const key = this.#names.take(workloadClass, store, minute * MINUTE_MS)
    if (key < 0) return -1
    const row = this.#rows++
    columns.clear(row)
    columns.keys[row] = key
    columns.first[row] = columns.last[row] = minute
    this.#index.insert(row, columns.keys)
    return row
  }

  #resize(capacity: number): void {
    this.#columns.resize(capacity)
    this.#index.rebuild(this.#rows, capacity, this.#columns.keys)
  }

  /** Forgets the sixteenth that has not read for longest, at once: sorting costs. */
  #evict(): void {
    const { last, keys } = this.#columns
    const rows = this.#rows
    const leaving = Math.max(1, rows >> 4)
    const byAge = last.slice(0, rows).sort()
    const bound = byAge[leaving - 1]
    // Of those that were seen in the same minute, those that came first leave.
    let atBound = leaving - byAge.indexOf(bound)
    const kept = new Uint32Array(rows - leaving)
    let count = 0
    for (let row = 0; row < rows; row++) {
      if (last[row] < bound || (last[row] === bound && atBound-- > 0)) continue
      kept[count++] = row
    }
    this.#columns.compact(kept)
    this.#rows = kept.length
    this.#names.renumber(keys, this.#rows)
    this.#index.rebuild(this.#rows, this.#columns.capacity, keys)
    this.evictions += leaving
  }

  snapshot(): UsualSnapshot {
    return {
      columns: this.#columns.snapshot(this.#rows), rows: this.#rows,
      names: this.#names.snapshot(), evictions: this.evictions,
    }
  }

  /** Takes over what `snapshot` gave; this one must be empty. */
  restore(from: UsualSnapshot): void {
    const capacity = Math.max(this.#columns.capacity, from.rows)
    this.#columns.resize(capacity)
    this.#columns.restore(from.columns)
    this.#rows = from.rows
    this.#names.restore(from.names)
    this.#index.rebuild(this.#rows, capacity, this.#columns.keys)
    this.evictions = from.evictions
  }
}

function periodOf(minute: number): number {
  return Math.floor(minute / PERIOD)
}

/** One of 32 bits, by a name. */
function bitOf(name: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
  return 1 << ((hash ^ (hash >>> 15)) & 31)
}
