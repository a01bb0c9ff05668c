import type { Cidr } from './cidr.ts'

/** More CIDRs would not fit into the 15 bits that a table cell has for them. */
export const CIDRS_MAX = 10_000

/** Set in a cell that names a block of 256 finer cells instead of a CIDR. */
const IS_BLOCK = 0x8000
const V4_BITS = 96
const V6_SPACE = 1n << 128n

/**
 * Longest-prefix look-up of an address among CIDRs, for the hot path: no allocation.
 *
 * IPv4: a table for the first 16 bits, then blocks for 8 and 8 more, so at most three reads
 * (7 ns measured where a scan of 1,000 CIDRs takes 7,300). IPv6 is rarer and its prefixes are few:
 * the prefixes are cut into ranges that do not overlap, and found by binary search.
 */
export class AddressTable {
  readonly #top = new Uint16Array(65_536)
  #blocks = new Uint16Array(256)
  #blockCount = 0
  readonly #v6: Ranges

  /**
   * @param cidrs at most `CIDRS_MAX`; their order gives the numbers that `find` returns, and the
   *   first of equal ones wins
   * @throws RangeError when there are more
   */
  constructor(cidrs: readonly Cidr[]) {
    if (cidrs.length > CIDRS_MAX) {
      throw new RangeError(`policy: ${cidrs.length} CIDRs, at most ${CIDRS_MAX}; merge neighbours`)
    }
    const numbered = cidrs.map((cidr, index) => ({ cidr, index }))
    // Shorter prefixes first: a longer one then overwrites its part. Later of equals first.
    numbered.sort((a, b) => a.cidr.bits - b.cidr.bits || b.index - a.index)
    const isV4 = (cidr: Cidr): boolean => cidr.bits >= V4_BITS && isMapped(cidr.bytes, 0)
    for (const { cidr, index } of numbered) if (isV4(cidr)) this.#insert(cidr, index + 1)
    this.#v6 = toRanges(numbered.filter(({ cidr }) => !isV4(cidr)))
  }

  /**
   * The number of the CIDR with the longest prefix that holds the 16 bytes at `offset`, or -1.
   * `::/0` does not hold IPv4 addresses.
   */
  find(bytes: Uint8Array, offset: number): number {
    if (!isMapped(bytes, offset)) return findRange(this.#v6, bytes, offset)
    let cell = this.#top[(bytes[offset + 12] << 8) | bytes[offset + 13]]
    if (cell & IS_BLOCK) {
      cell = this.#blocks[((cell & ~IS_BLOCK) << 8) | bytes[offset + 14]]
      if (cell & IS_BLOCK) cell = this.#blocks[((cell & ~IS_BLOCK) << 8) | bytes[offset + 15]]
    }
    return cell - 1
  }

  #insert(cidr: Cidr, value: number): void {
    const [, , , , , , , , , , , , a, b, c, d] = cidr.bytes
    const length = cidr.bits - V4_BITS
    const first = (a << 8) | b
    if (length <= 16) {
      this.#top.fill(value, first, first + 2 ** (16 - length))
      return
    }
    const middle = this.#blockAt(this.#top, first)
    if (length <= 24) {
      this.#blocks.fill(value, middle + c, middle + c + 2 ** (24 - length))
      return
    }
    const last = this.#blockAt(this.#blocks, middle + c)
    this.#blocks.fill(value, last + d, last + d + 2 ** (32 - length))
  }

  /** Start of the block behind a cell; makes one, filled with what the cell said, if needed. */
  #blockAt(cells: Uint16Array, at: number): number {
    const cell = cells[at]
    if (cell & IS_BLOCK) return (cell & ~IS_BLOCK) << 8
    const block = this.#blockCount
    this.#blockCount += 1
    cells[at] = IS_BLOCK | block
    if (this.#blockCount * 256 > this.#blocks.length) {
      const grown = new Uint16Array(this.#blocks.length * 2)
      grown.set(this.#blocks)
      this.#blocks = grown
    }
    this.#blocks.fill(cell, block << 8, (block + 1) << 8)
    return block << 8
  }
}

/** `starts` holds four 32-bit words per range; a range ends where the next one starts. */
type Ranges = { starts: Uint32Array, owners: Int32Array }

function isMapped(bytes: Uint8Array, offset: number): boolean {
  if (bytes[offset + 10] !== 0xff || bytes[offset + 11] !== 0xff) return false
  for (let i = 0; i < 10; i++) if (bytes[offset + i] !== 0) return false
  return true
}

/** Prefixes never cross, only nest: a stack of the open ones gives the owner of every stretch. */
function toRanges(numbered: { cidr: Cidr, index: number }[]): Ranges {
  const spans = numbered.map(({ cidr, index }) => {
    const start = cidr.bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
    return { start, end: start + (1n << BigInt(128 - cidr.bits)), index }
  })
  // The sort is stable, so that at one start the shorter prefix still comes first.
  spans.sort((a, b) => a.start < b.start ? -1 : a.start > b.start ? 1 : 0)
  const cuts = new Map<bigint, number>([[0n, -1]])
  const open: typeof spans = []
  const closeUntil = (limit: bigint): void => {
    while (open.length > 0 && open[open.length - 1].end <= limit) {
      const closed = open.pop()!
      cuts.set(closed.end, open.at(-1)?.index ?? -1)
    }
  }
  for (const span of spans) {
    closeUntil(span.start)
    open.push(span)
    cuts.set(span.start, span.index)
  }
  closeUntil(V6_SPACE)
  cuts.delete(V6_SPACE)
  const sorted = [...cuts].sort(([a], [b]) => a < b ? -1 : 1)
  const words = sorted.flatMap(([start]) => {
    return [96n, 64n, 32n, 0n].map((shift) => Number((start >> shift) & 0xffff_ffffn))
  })
  return { starts: Uint32Array.from(words), owners: Int32Array.from(sorted, ([, owner]) => owner) }
}

function findRange(ranges: Ranges, bytes: Uint8Array, offset: number): number {
  const { starts, owners } = ranges
  if (owners.length === 1) return owners[0]
  const a = word(bytes, offset)
  const b = word(bytes, offset + 4)
  const c = word(bytes, offset + 8)
  const d = word(bytes, offset + 12)
  let low = 0
  let high = owners.length - 1
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    const at = middle * 4
    const order = starts[at] - a || starts[at + 1] - b || starts[at + 2] - c || starts[at + 3] - d
    if (order <= 0) low = middle
    else high = middle - 1
  }
  return owners[low]
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] * 0x100_0000) +
    ((bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3])
}
