/**
 * The latest connections that one process accepted, oldest first: numbers in one piece of memory,
 * because this is written with every connection of every server. Plain data and functions.
 */

/** Bits of a connection. */
export const acceptedBit = {
  ended: 1,
  /** Accepted for a child, which has it now: the next child has another one. */
  claimed: 2,
  /** No flow allows it, or whoever opened it was told to by others. */
  tainted: 4,
} as const

export interface Accepted {
  count: number
  /** How many of them are tainted. */
  tainted: number
  /** Slot, use of the slot, peer (its low 32 bits) and bits of each. */
  rows: Uint32Array
}

const ACCEPTED_MAX = 8
const WIDTH = 4
const PEER = 2
const BITS = 3
const none = new Uint32Array(0)

export function newAccepted(): Accepted {
  // Most processes accept nothing.
  return { count: 0, tainted: 0, rows: none }
}

/** Place of the connection in `slot`; -1 when it is none of them. */
export function indexOfAccepted({ rows, count }: Accepted, slot: number): number {
  for (let i = count - 1; i >= 0; i--) if (rows[WIDTH * i] === slot) return i
  return -1
}

/** Bits of the one at a place. Others than its own can be added. */
export function bitsOfAccepted({ rows }: Accepted, i: number, added = 0): number {
  return rows[WIDTH * i + BITS] |= added
}

/** Slot of the one at a place, and which use of it; removed when `remove` says so. */
export function acceptedAt(
  accepted: Accepted, i: number, remove = false,
): { slot: number; serial: number } {
  const { rows } = accepted
  const found = { slot: rows[WIDTH * i], serial: rows[WIDTH * i + 1] }
  if (remove) rows.copyWithin(WIDTH * i, WIDTH * (i + 1), WIDTH * accepted.count--)
  return found
}

/**
 * Which one gives way: one that ended, one of the same peer, the oldest; the oldest of each. -1
 * while there is room.
 */
export function leastAccepted({ rows, count }: Accepted, peer: number): number {
  if (count < ACCEPTED_MAX) return -1
  let samePeer = -1
  for (let i = 0; i < count; i++) {
    if ((rows[WIDTH * i + BITS] & acceptedBit.ended) !== 0) return i
    if (samePeer < 0 && rows[WIDTH * i + PEER] === peer >>> 0) samePeer = i
  }
  return Math.max(0, samePeer)
}

/** There is room for one more. */
export function pushAccepted(
  accepted: Accepted, slot: number, serial: number, peer: number, bits: number,
): void {
  if (accepted.rows.length === 0) accepted.rows = new Uint32Array(WIDTH * ACCEPTED_MAX)
  const at = WIDTH * accepted.count++
  const { rows } = accepted
  rows[at] = slot
  rows[at + 1] = serial
  rows[at + PEER] = peer
  rows[at + BITS] = bits
}
