/** How much of what is read on a day was not read on the days before, by a few bits. Plain data. */

export interface Ground {
  /** Files of earlier days, and of today, as bits by their hash. */
  before: Uint8Array
  today: Uint8Array
  /** Reports of today: all, and those of files of earlier days. */
  reports: number
  again: number
}

const BYTES = 256
const BITS = 8 * BYTES

export function newGround(): Ground {
  return { before: new Uint8Array(BYTES), today: new Uint8Array(BYTES), reports: 0, again: 0 }
}

/** A report names one of its files. */
export function tread(ground: Ground, device: number, inode: bigint): void {
  const bit = hashOf(device, inode) % BITS
  const [at, mask] = [bit >> 3, 1 << (bit & 7)]
  ground.reports++
  if ((ground.before[at] & mask) !== 0) ground.again++
  ground.today[at] |= mask
}

/** Part of today's files that are new, 0 to 1; bits that several files share are allowed for. */
export function freshPart({ before, reports, again }: Ground): number {
  let set = 0
  for (const byte of before) for (let rest = byte; rest !== 0; rest &= rest - 1) set++
  const chance = set / BITS
  if (reports === 0 || chance >= 0.9) return 0
  return Math.min(1, (1 - again / reports) / (1 - chance))
}

/** The day is over. */
export function closeDay(ground: Ground): void {
  for (let i = 0; i < BYTES; i++) ground.before[i] |= ground.today[i]
  ground.today.fill(0)
  ground.reports = ground.again = 0
}

/** The last steps of MurmurHash3, so that inode numbers that follow each other lie apart. */
function hashOf(device: number, inode: bigint): number {
  let hash = Number(inode & 0xffffffffn) ^ Math.imul(Number(inode >> 32n), 0x9e3779b1) ^ device
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
