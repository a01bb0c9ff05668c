/**
 * What running processes have read of stores lately: each of them, and each with its descendants,
 * so that who sends can be asked for what was read beside it. Bounded.
 */
import type { Lineage, LineageProcess } from '../lineage.ts'

/** Bytes of one store that a process and its descendants read. Plain data. */
export interface ReadTotals {
  store: string
  /** Since the first read that is remembered. */
  bytes: number
  /** Event time of the first and the last report, wall clock milliseconds. */
  firstMs: number
  lastMs: number
  /** Number of the process that read last: itself or a descendant. */
  reader: number
  /** Bytes in the slot of `lastMs` and those before it, latest first; five minutes each. */
  slots: number[]
}

export type ProcessReadsSnapshot = {
  entries: [process: number, totals: ReadTotals[]][]
  evictions: number
  nextSweepMs: number
}

export interface ProcessReadsOptions {
  /** Processes that have read, and those that they descend from. */
  readersMax?: number
}

/** Of one process; the one that was read longest ago leaves. */
const STORES_MAX = 8
const READ_SLOT_MS = 300_000
const SLOTS = 12
const IDLE_MS = 24 * 3_600_000
const SWEEP_MS = 3_600_000

export class ProcessReads {
  /** Processes, and stores of one, that were forgotten to make room. */
  evictions = 0
  readonly #byProcess = new Map<number, ReadTotals[]>()
  readonly #max: number
  #nextSweepMs = 0

  constructor(options: ProcessReadsOptions = {}) {
    this.#max = options.readersMax ?? 20_000
  }

  get size(): number { return this.#byProcess.size }

  /** A report of a process, which counts for those that it descends from in its cgroup as well. */
  note(
    process: LineageProcess, lineage: Lineage, store: string, bytes: number, timeMs: number,
  ): void {
    this.#add(process.number, process.number, store, bytes, timeMs)
    for (const ancestor of kinOf(process, lineage)) {
      this.#add(ancestor.number, process.number, store, bytes, timeMs)
    }
  }

  /** What a process and its descendants read; nothing when that is not known. */
  of(process: LineageProcess): readonly ReadTotals[] {
    return this.#byProcess.get(process.number) ?? []
  }

  /**
   * What the process, its descendants, and those of its ancestors of so many generations read: a
   * pipeline reads in one child of a shell and sends in another. Ancestors in other cgroups have
   * other work.
   */
  around(process: LineageProcess, lineage: Lineage, generations: number): readonly ReadTotals[] {
    const kin = kinOf(process, lineage).slice(0, generations)
    // The eldest counts for all below it, unless it was forgotten.
    for (const ancestor of kin.reverse()) {
      const totals = this.of(ancestor)
      if (totals.length > 0) return totals
    }
    return this.of(process)
  }

  /** Forgets what was read a day ago; `nowMs` is the watermark. */
  advance(nowMs: number): void {
    if (nowMs < this.#nextSweepMs) return
    this.#nextSweepMs = nowMs + SWEEP_MS
    for (const [number, totals] of this.#byProcess) {
      if (lastOf(totals) < nowMs - IDLE_MS) this.#byProcess.delete(number)
    }
  }

  #add(number: number, reader: number, store: string, bytes: number, timeMs: number): void {
    let all = this.#byProcess.get(number)
    if (all === undefined) {
      if (this.#byProcess.size >= this.#max) this.#evict()
      this.#byProcess.set(number, all = [])
    }
    let totals = all.find((one) => one.store === store)
    if (totals === undefined) {
      if (all.length >= STORES_MAX) {
        all.sort((a, b) => a.lastMs - b.lastMs).shift()
        this.evictions++
      }
      totals = { store, bytes: 0, firstMs: timeMs, lastMs: timeMs, reader, slots: [0] }
      all.push(totals)
    }
    addTo(totals, reader, bytes, timeMs)
  }

  /** Forgets the sixteenth that has not read for longest. */
  #evict(): void {
    const oldest = [...this.#byProcess]
      .sort(([, a], [, b]) => lastOf(a) - lastOf(b)).slice(0, Math.max(1, this.#max >> 4))
    for (const [number] of oldest) this.#byProcess.delete(number)
    this.evictions += oldest.length
  }

  snapshot(): ProcessReadsSnapshot {
    return {
      entries: [...this.#byProcess], evictions: this.evictions, nextSweepMs: this.#nextSweepMs,
    }
  }

  /** Takes over what `snapshot` gave; this one must be empty. */
  restore({ entries, evictions, nextSweepMs }: ProcessReadsSnapshot): void {
    for (const [number, totals] of entries) this.#byProcess.set(number, totals)
    this.evictions = evictions
    this.#nextSweepMs = nextSweepMs
  }
}

/**
 * Bytes that were read since a time, at most an hour before the last report: with all of the slot
 * of five minutes in which that time lies.
 */
export function bytesSince({ lastMs, slots }: ReadTotals, sinceMs: number): number {
  const count = Math.floor(lastMs / READ_SLOT_MS) - Math.floor(sinceMs / READ_SLOT_MS) + 1
  return slots.slice(0, Math.max(0, count)).reduce((sum, bytes) => sum + bytes, 0)
}

/** Ancestors that do the same work: in the same cgroup, the nearest first. */
function kinOf(process: LineageProcess, lineage: Lineage): LineageProcess[] {
  const ancestors = lineage.ancestry(process)
  const end = ancestors.findIndex(({ pid, cgroup }) => pid <= 2 || cgroup !== process.cgroup)
  return end < 0 ? ancestors : ancestors.slice(0, end)
}

function addTo(totals: ReadTotals, reader: number, bytes: number, timeMs: number): void {
  const { slots } = totals
  const ahead = Math.floor(timeMs / READ_SLOT_MS) - Math.floor(totals.lastMs / READ_SLOT_MS)
  for (let i = 0; i < Math.min(ahead, SLOTS); i++) slots.unshift(0)
  if (slots.length > SLOTS) slots.length = SLOTS
  const place = Math.max(0, -ahead)
  if (place < SLOTS) {
    while (slots.length <= place) slots.push(0)
    slots[place] += bytes
  }
  totals.bytes += bytes
  totals.firstMs = Math.min(totals.firstMs, timeMs)
  if (timeMs < totals.lastMs) return
  totals.lastMs = timeMs
  totals.reader = reader
}

function lastOf(totals: readonly ReadTotals[]): number {
  return totals.reduce((last, { lastMs }) => Math.max(last, lastMs), 0)
}
