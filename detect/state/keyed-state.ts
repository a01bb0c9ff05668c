/** The bounded memory of one detector: a state per key, forgotten when idle. */

type Key = string | number
/** `order` is that of first use: whatever happens to several keys happens in this order. */
interface Entry<S> { state: S; touchedMs: number; wakeMs: number; order: number }

/** Part of a snapshot; in the order of first use. */
export type KeyedStateSnapshot = {
  entries: [key: Key, state: unknown, touchedMs: number, wakeMs: number][]
  nextSweepMs: number
  evictions: number
}

const NEVER = Infinity

/** Times are the watermark, milliseconds. What happens depends on the calls alone. */
export class KeyedState<S> {
  /** Keys that left before they were idle, because there were too many. */
  evictions = 0
  private readonly entries = new Map<Key, Entry<S>>()
  /** Those that asked to be woken: few of many. */
  private readonly waiting = new Map<Key, Entry<S>>()
  private nextOrder = 0
  private readonly keysMax: number
  private readonly idleMs: number
  private readonly wake: (key: Key, state: S) => void
  private nextSweepMs = 0
  /** No wake-up is due before. */
  private earliestWakeMs = NEVER

  /** @param wake called when a time asked for with `wakeAt` has come, or cannot be waited for */
  constructor(keysMax: number, idleMs: number, wake: (key: Key, state: S) => void) {
    this.keysMax = keysMax
    this.idleMs = idleMs
    this.wake = wake
  }

  get size(): number { return this.entries.size }

  /** Nobody asked to be woken before; Infinity when nobody did at all. */
  get wakeMs(): number { return this.earliestWakeMs }

  /** The state of `key`, which is now in use; undefined when there is none, or it was idle. */
  use(key: Key, nowMs: number): S | undefined {
    const entry = this.entries.get(key)
    if (entry === undefined) return undefined
    if (nowMs - entry.touchedMs > this.idleMs && entry.wakeMs === NEVER) {
      this.entries.delete(key)
      return undefined
    }
    entry.touchedMs = nowMs
    return entry.state
  }

  /** Keeps a state for a key that has none. */
  add(key: Key, state: S, nowMs: number): void {
    if (this.entries.size >= this.keysMax) this.evict()
    this.entries.set(key, { state, touchedMs: nowMs, wakeMs: NEVER, order: this.nextOrder++ })
  }

  delete(key: Key): void {
    this.entries.delete(key)
    this.waiting.delete(key)
  }

  /** This key is woken, once, when the watermark has come to `atMs`. */
  wakeAt(key: Key, atMs: number): void {
    const entry = this.entries.get(key)
    if (entry === undefined) return
    entry.wakeMs = atMs
    this.waiting.set(key, entry)
    this.earliestWakeMs = Math.min(this.earliestWakeMs, atMs)
  }

  /** The watermark has come to `nowMs`: wakes who asked for it, forgets who was idle. */
  advance(nowMs: number): void {
    if (nowMs >= this.earliestWakeMs) this.wakeDue(nowMs)
    if (nowMs < this.nextSweepMs) return
    for (const [key, entry] of this.entries) {
      if (nowMs - entry.touchedMs > this.idleMs && entry.wakeMs === NEVER) this.entries.delete(key)
    }
    this.nextSweepMs = nowMs + this.idleMs / 4
  }

  private wakeDue(nowMs: number): void {
    const due = [...this.waiting].filter(([, entry]) => entry.wakeMs <= nowMs)
      .sort(([, a], [, b]) => a.order - b.order)
    // A wake-up may ask for the next one, so the old ones are taken back first.
    for (const [key, entry] of due) {
      entry.wakeMs = NEVER
      this.waiting.delete(key)
    }
    this.earliestWakeMs = NEVER
    for (const { wakeMs } of this.waiting.values()) {
      if (wakeMs < this.earliestWakeMs) this.earliestWakeMs = wakeMs
    }
    for (const [key, entry] of due) this.wake(key, entry.state)
  }

  /** Makes room for a sixteenth at once: sorting for every new key would cost too much. */
  private evict(): void {
    const oldest = [...this.entries].sort(([, a], [, b]) => a.touchedMs - b.touchedMs)
    const leaving = oldest.slice(0, Math.max(1, this.keysMax >> 4))
    this.evictions += leaving.length
    for (const [key, entry] of leaving) {
      // What was being held back is better said too early than never.
      if (entry.wakeMs !== NEVER) this.wake(key, entry.state)
      this.delete(key)
    }
  }

  snapshot(): KeyedStateSnapshot {
    return {
      entries: [...this.entries].map(([key, entry]) => {
        return [key, entry.state, entry.touchedMs, entry.wakeMs]
      }),
      nextSweepMs: this.nextSweepMs,
      evictions: this.evictions,
    }
  }

  /** Takes over what `snapshot` gave; this one must be empty. */
  restore(from: KeyedStateSnapshot): void {
    for (const [key, state, touchedMs, wakeMs] of from.entries) {
      const entry = { state: state as S, touchedMs, wakeMs, order: this.nextOrder++ }
      this.entries.set(key, entry)
      if (wakeMs !== NEVER) this.waiting.set(key, entry)
      this.earliestWakeMs = Math.min(this.earliestWakeMs, wakeMs)
    }
    this.nextSweepMs = from.nextSweepMs
    this.evictions = from.evictions
  }
}
