/** The fields of pairs of a workload class and a store, in columns: 92 bytes for each pair. */
import { Sketches } from './usual-sketch.ts'

/** What of a day is kept. */
export const metrics = { day: 0, hour: 1, files: 2, rate: 3 } as const
const METRICS = 4
/** The period that runs, and the one before it in which there was something. */
const PERIODS = 2
const SKETCHES = METRICS * PERIODS

export type UsualColumnsSnapshot = Record<string, Uint8Array | Uint16Array | Uint32Array |
  Float64Array>

type Column = Uint8Array | Uint16Array | Uint32Array | Float64Array

/** Times are minutes since 1970. */
export class UsualColumns {
  /** Number of the class times 1,024, and the number of the store. */
  keys = new Uint32Array(0)
  first = new Uint32Array(0)
  last = new Uint32Array(0)
  /** Bits of the hours of the day (UTC), of hours that are over. */
  hours = new Uint32Array(0)
  /** One of 32 bits for each program that has read, by its name. */
  programs = new Uint32Array(0)
  hourBytes = new Float64Array(0)
  /** Of the day of `last`; -1 when that has been counted. */
  dayBytes = new Float64Array(0)
  /** Of days that were counted. */
  bytes = new Float64Array(0)
  /** Days that were counted, and reports; at most 65,535. */
  days = new Uint16Array(0)
  reports = new Uint16Array(0)
  /** The most of the day so far, by buckets. */
  hourMost = new Uint8Array(0)
  filesMost = new Uint8Array(0)
  rateMost = new Uint8Array(0)
  /** How many periods the one before lies back; at most 255. */
  back = new Uint8Array(0)
  readonly sketches = new Sketches()

  get capacity(): number { return this.keys.length }

  get bytesHeld(): number {
    return this.#all().reduce((sum, [, column]) => sum + column.byteLength, 0)
  }

  /** Row in `sketches`. `period`: 0 the one that runs, 1 the one before. */
  sketch(row: number, metric: number, period: number): number {
    return SKETCHES * row + PERIODS * metric + period
  }

  /** Makes room for so many rows; those that are there stay. */
  resize(capacity: number): void {
    for (const [name, column, width] of this.#all()) this.#set(name, sized(column, capacity, width))
  }

  /** Keeps only these rows, in their order. */
  compact(kept: Uint32Array): void {
    for (const [, column, width] of this.#all()) {
      for (let to = 0; to < kept.length; to++) {
        column.copyWithin(width * to, width * kept[to], width * (kept[to] + 1))
      }
    }
  }

  /** Makes a row as if it had never been used. */
  clear(row: number): void {
    for (const [, column, width] of this.#all()) column.fill(0, width * row, width * (row + 1))
  }

  snapshot(rows: number): UsualColumnsSnapshot {
    return Object.fromEntries(this.#all().map(([name, column, width]) =>
      [name, column.slice(0, rows * width)]))
  }

  /** Takes over what `snapshot` gave; there is room for it. */
  restore(from: UsualColumnsSnapshot): void {
    for (const [name, column] of this.#all()) column.set(from[name])
  }

  /** Name, column and values of it in each row. */
  #all(): [name: string, column: Column, width: number][] {
    const { tops, counts } = this.sketches
    const own = Object.entries(this).filter(([, value]) => ArrayBuffer.isView(value))
    return [...own.map(([name, column]): [string, Column, number] => [name, column as Column, 1]),
      ['tops', tops, SKETCHES], ['counts', counts, SKETCHES]]
  }

  #set(name: string, column: Column): void {
    const owner = name === 'tops' || name === 'counts' ? this.sketches : this
    Object.assign(owner, { [name]: column })
  }
}

function sized(column: Column, rows: number, width: number): Column {
  const larger = new (column.constructor as new (length: number) => Column)(rows * width)
  larger.set(column.subarray(0, Math.min(column.length, larger.length)))
  return larger
}
