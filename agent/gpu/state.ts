// What is known of the state of GPUs, and what became different. Pure: readings in, changes out.

import { unknown } from '../../gpu/state/item.ts'
import type { GpuItem } from '../../gpu/state/item.ts'

/** What one reader brought. */
export interface Reading {
  items: readonly GpuItem[]
  /** False: nobody answered; the items stand for what could be told all the same. */
  answered: boolean
  /** Why not, in words. */
  reason?: string
  /** Subjects that did not answer, such as a GPU that fell off the bus. */
  silent?: ReadonlySet<string>
  /** Items that were not asked for this time. */
  skipped?: ReadonlySet<string>
}

/** An item that is told: for the first time, or since it is different. */
export interface StateChange {
  now: GpuItem
  /** Last value that was known; '' when none was. */
  oldValue: string
  /** How often it changed; 0 the first time. */
  changes: number
}

interface Entry {
  reader: string
  told: GpuItem
  lastKnown: string
  changes: number
  seenMs: number
  gone: boolean
}

export interface GpuStateOptions {
  /** Default 4,096: sixteen GPUs have about 1,500. */
  itemsMax?: number
  /** So long an item stays what it was while nobody answers. */
  staleMs?: number
}

/** As long as three readings take: one that hangs is told once, not for each item. */
const staleDefaultMs = 180_000
const goneReason = 'it is no longer there'

/** The table of items, bounded. */
export class GpuState {
  readonly #itemsMax: number
  readonly #staleMs: number
  readonly #entries = new Map<string, Entry>()
  /** Times that a new item found no room. */
  left = 0

  constructor({ itemsMax = 4096, staleMs = staleDefaultMs }: GpuStateOptions = {}) {
    this.#itemsMax = itemsMax
    this.#staleMs = staleMs
  }

  /** Items that are kept now, gone ones included. */
  get size(): number { return this.#entries.size }

  /** Takes what a reader brought at `nowMs` (any clock that does not go back). */
  apply(reader: string, reading: Reading, nowMs: number): StateChange[] {
    const changes = reading.items.flatMap((item) => this.#take(reader, item, nowMs))
    for (const entry of this.#entries.values()) {
      if (entry.reader !== reader || entry.gone || entry.seenMs === nowMs) continue
      if (reading.skipped?.has(entry.told.item)) entry.seenMs = nowMs
      else changes.push(...this.#missed(entry, reading, nowMs))
    }
    return changes
  }

  #take(reader: string, item: GpuItem, nowMs: number): StateChange[] {
    const key = `${item.subject}\n${item.item}`
    const entry = this.#entries.get(key)
    if (!entry) {
      if (!this.#makeRoom()) {
        this.left++
        return []
      }
      this.#entries.set(key, {
        reader, told: item, lastKnown: item.value, changes: 0, seenMs: nowMs, gone: false,
      })
      return [{ now: item, oldValue: '', changes: 0 }]
    }
    entry.reader = reader
    entry.seenMs = nowMs
    entry.gone = false
    if (entry.told.reading === item.reading && entry.told.value === item.value) return []
    return [this.#change(entry, item)]
  }

  /** It was not told this time. */
  #missed(entry: Entry, { answered, reason, silent }: Reading, nowMs: number): StateChange[] {
    if (answered && !silent?.has(entry.told.subject)) {
      entry.gone = true
      return entry.told.reason === goneReason ? []
        : [this.#change(entry, unknown(entry.told, goneReason))]
    }
    if (entry.told.reading === 'unknown' || nowMs - entry.seenMs <= this.#staleMs) return []
    return [this.#change(entry, unknown(entry.told, reason ?? 'nobody answers'))]
  }

  #change(entry: Entry, item: GpuItem): StateChange {
    const oldValue = entry.lastKnown
    entry.told = item
    entry.changes++
    if (item.reading === 'known') entry.lastKnown = item.value
    return { now: item, oldValue, changes: entry.changes }
  }

  /** What is gone leaves first; what is there stays. */
  #makeRoom(): boolean {
    if (this.#entries.size < this.#itemsMax) return true
    for (const [key, { gone }] of this.#entries) {
      if (gone) return this.#entries.delete(key)
    }
    return false
  }
}
