/**
 * The latest connections that each process accepted, oldest first: rows of one piece of memory for
 * all of them, because this is written with every connection of every server. Bounded by the number
 * of processes.
 */

/** Bits of a connection. */
export const acceptedBit = {
  ended: 1,
  /** Accepted for a child, which has it now: the next child has another one. */
  claimed: 2,
  /** No flow allows it, or whoever opened it was told to by others. */
  tainted: 4,
} as const

/** What one process accepted. */
export interface Accepted {
  /** Place of its rows in the table; -1 until it accepts one: most processes accept nothing. */
  place: number
  count: number
  /** How many of them are tainted. */
  tainted: number
}

export type AcceptedSnapshot = { rows: Uint32Array; free: number[] }

const ACCEPTED_MAX = 8
/** Slot, use of the slot, peer (its low 32 bits) and bits of each. */
const WIDTH = 4
const SERIAL = 1
const PEER = 2
const BITS = 3
/** Words of one process: two cache lines. */
const PLACE_WORDS = WIDTH * ACCEPTED_MAX
const FIRST_PLACES = 64
const NONE = -1

export class AcceptedTable {
  private rows = new Uint32Array(0)
  private used = 0
  private free: number[] = []

  /** Which one is in `slot`; -1 when it is none of them. */
  indexOf({ place, count }: Accepted, slot: number): number {
    const { rows } = this
    const first = PLACE_WORDS * place
    for (let i = count - 1; i >= 0; i--) if (rows[first + WIDTH * i] === slot) return i
    return NONE
  }

  slotAt({ place }: Accepted, i: number): number {
    return this.rows[PLACE_WORDS * place + WIDTH * i]
  }

  /** Which use of the slot. */
  serialAt({ place }: Accepted, i: number): number {
    return this.rows[PLACE_WORDS * place + WIDTH * i + SERIAL]
  }

  bitsAt({ place }: Accepted, i: number): number {
    return this.rows[PLACE_WORDS * place + WIDTH * i + BITS]
  }

  addBits({ place }: Accepted, i: number, added: number): void {
    this.rows[PLACE_WORDS * place + WIDTH * i + BITS] |= added
  }

  /**
   * Which one gives way: one that ended, one of the same peer, the oldest; the oldest of each. -1
   * while there is room.
   */
  least({ place, count }: Accepted, peer: number): number {
    if (count < ACCEPTED_MAX) return NONE
    const { rows } = this
    const first = PLACE_WORDS * place
    let samePeer = NONE
    for (let i = 0; i < count; i++) {
      if ((rows[first + WIDTH * i + BITS] & acceptedBit.ended) !== 0) return i
      if (samePeer < 0 && rows[first + WIDTH * i + PEER] === peer >>> 0) samePeer = i
    }
    return Math.max(0, samePeer)
  }

  /** A word of both cache lines of a process. */
  glance({ place }: Accepted): number {
    if (place === NONE) return 0
    return this.rows[PLACE_WORDS * place] ^ this.rows[PLACE_WORDS * place + PLACE_WORDS / 2]
  }

  remove(accepted: Accepted, i: number): void {
    const { rows } = this
    const first = PLACE_WORDS * accepted.place
    const end = first + WIDTH * --accepted.count
    for (let at = first + WIDTH * i; at < end; at++) rows[at] = rows[at + WIDTH]
  }

  /** There is room for one more. */
  push(accepted: Accepted, slot: number, serial: number, peer: number, bits: number): void {
    if (accepted.place === NONE) accepted.place = this.take()
    const at = PLACE_WORDS * accepted.place + WIDTH * accepted.count++
    const { rows } = this
    rows[at] = slot
    rows[at + SERIAL] = serial
    rows[at + PEER] = peer
    rows[at + BITS] = bits
  }

  /** The process is forgotten. */
  drop(accepted: Accepted): void {
    if (accepted.place !== NONE) this.free.push(accepted.place)
    accepted.place = NONE
    accepted.count = accepted.tainted = 0
  }

  private take(): number {
    const free = this.free.pop()
    if (free !== undefined) return free
    if (PLACE_WORDS * this.used === this.rows.length) this.resize(2 * this.used || FIRST_PLACES)
    return this.used++
  }

  private resize(places: number): void {
    const { rows } = this
    this.rows = new Uint32Array(PLACE_WORDS * places)
    this.rows.set(rows)
  }

  snapshot(): AcceptedSnapshot {
    return { rows: this.rows.slice(0, PLACE_WORDS * this.used), free: [...this.free] }
  }

  /** Takes over what `snapshot` gave; this one must be empty. */
  restore({ rows, free }: AcceptedSnapshot): void {
    this.used = rows.length / PLACE_WORDS
    let places = FIRST_PLACES
    while (places < this.used) places *= 2
    this.resize(places)
    this.rows.set(rows)
    this.free = free
  }
}
