/**
 * Connections to databases and object stores: what they brought since it was told last. Bounded.
 * Only connections that are told before their end are kept; the end of others says it all.
 */
import type { EventViews } from '../../proto/gen/events.ts'

/** Events that say how much passed over connections. */
export type AmountEvent =
  EventViews['connection_close' | 'connection_repeat' | 'connection_totals']

/** What came over connections since they were told last. */
interface Brought { bytes: number; durationMs: number }

export type StoreConnectionsSnapshot = {
  entries: [key: string, bytes: number, atMs: number][]
  refused: number
}

const CONNECTIONS_MAX = 65_536
const IDLE_MS = 24 * 3_600_000

export class StoreConnections {
  /** Times that a connection found no room: its end tells all of it. */
  refused = 0
  readonly #known = new Map<string, { bytes: number; atMs: number }>()
  readonly #max: number

  constructor(connectionsMax = CONNECTIONS_MAX) {
    this.#max = connectionsMax
  }

  get size(): number { return this.#known.size }

  /**
   * What an event says that was not told before.
   *
   * @param source number of the node and boot
   * @param timeMs of the event, wall clock
   */
  take(event: AmountEvent, source: number, timeMs: number): Brought {
    const bytes = event.bytes_received
    const durationMs = event.duration_ns / 1e6
    if (event.kind === 'connection_repeat') return { bytes, durationMs }
    const key = `${source}:${event.connection_id}`
    const before = this.#known.get(key)
    if (event.kind === 'connection_close') this.#known.delete(key)
    else if (before !== undefined) {
      this.#known.set(key, { bytes: Math.max(bytes, before.bytes), atMs: timeMs })
    } else if (!this.#makeRoom(timeMs)) return { bytes: 0, durationMs: 0 }
    else this.#known.set(key, { bytes, atMs: timeMs })
    return before === undefined ? { bytes, durationMs } : {
      bytes: Math.max(0, bytes - before.bytes), durationMs: Math.max(0, timeMs - before.atMs),
    }
  }

  /** Connections whose end was lost leave after a day; when that is not enough there is no room. */
  #makeRoom(nowMs: number): boolean {
    if (this.#known.size < this.#max) return true
    for (const [key, { atMs }] of this.#known) {
      if (atMs < nowMs - IDLE_MS) this.#known.delete(key)
    }
    if (this.#known.size < this.#max) return true
    this.refused++
    return false
  }

  snapshot(): StoreConnectionsSnapshot {
    return {
      entries: [...this.#known].map(([key, { bytes, atMs }]) => [key, bytes, atMs]),
      refused: this.refused,
    }
  }

  /** Takes over what `snapshot` gave; this one must be empty. */
  restore({ entries, refused }: StoreConnectionsSnapshot): void {
    for (const [key, bytes, atMs] of entries) this.#known.set(key, { bytes, atMs })
    this.refused = refused
  }
}
