/**
 * Days by their amount, few bytes each: how many of them fell into each power of two, for the
 * largest such powers. What is small beside the largest is counted as one, so that the upper end,
 * which is asked for, stays exact. Merging is associative and commutative.
 */

/** Powers of two that are told apart: what is 128 times less than the most is one. */
const BUCKETS = 8
const COUNT_MAX = 15

/** The smallest b with amount ≤ 2^b, at most 63. */
export function bucketOf(amount: number): number {
  if (!(amount > 1)) return 0
  const last = Math.ceil(amount) - 1
  const high = Math.floor(last / 4294967296)
  if (high >= 4294967296) return 63
  return Math.min(63, high > 0 ? 64 - Math.clz32(high) : 32 - Math.clz32(last >>> 0))
}

/** Sketches in rows: for each the bucket of the most, and counts of four bits below it. */
export class Sketches {
  tops = new Uint8Array(0)
  counts = new Uint32Array(0)

  /** Counts an amount, by its bucket. Counts stay at 15. */
  add(row: number, bucket: number, times = 1): void {
    const { tops, counts } = this
    const top = tops[row]
    if (counts[row] === 0) tops[row] = bucket
    else if (bucket > top) {
      tops[row] = bucket
      counts[row] = lowered(counts[row], bucket - top)
    }
    counts[row] = withMore(counts[row], Math.min(BUCKETS - 1, tops[row] - bucket), times)
  }

  /** Counts what another row holds as well. */
  merge(row: number, from: Sketches, fromRow: number): void {
    for (let place = 0; place < BUCKETS; place++) {
      const times = countAt(from.counts[fromRow], place)
      if (times > 0) this.add(row, Math.max(0, from.tops[fromRow] - place), times)
    }
  }

  copy(to: number, from: number): void {
    this.tops[to] = this.tops[from]
    this.counts[to] = this.counts[from]
  }

  clear(row: number): void {
    this.tops[row] = this.counts[row] = 0
  }

  /** Adds what the row counts to `into`, by bucket. */
  gather(row: number, into: Uint8Array): void {
    for (let place = 0; place < BUCKETS; place++) {
      into[Math.max(0, this.tops[row] - place)] += countAt(this.counts[row], place)
    }
  }
}

/**
 * The bound below which all of what is counted lies but the largest of every so many; 0 when
 * nothing is counted.
 *
 * @param counts by bucket
 * @param rareIn of so many one may lie above; of fewer none
 */
export function highBound(counts: Uint8Array, rareIn: number): number {
  let sum = 0
  for (const count of counts) sum += count
  let above = Math.floor(sum / rareIn)
  for (let bucket = counts.length - 1; bucket >= 0; bucket--) {
    if (counts[bucket] > above) return 2 ** bucket
    above -= counts[bucket]
  }
  return 0
}

function countAt(counts: number, place: number): number {
  return (counts >>> (4 * place)) & COUNT_MAX
}

function withMore(counts: number, place: number, times: number): number {
  const count = Math.min(COUNT_MAX, countAt(counts, place) + times)
  return ((counts & ~(COUNT_MAX << (4 * place))) | (count << (4 * place))) >>> 0
}

/** The same counts below a higher top; those that fall off the end are counted at the end. */
function lowered(counts: number, by: number): number {
  let moved = 0
  for (let place = 0; place < BUCKETS; place++) {
    const count = countAt(counts, place)
    if (count > 0) moved = withMore(moved, Math.min(BUCKETS - 1, place + by), count)
  }
  return moved
}
