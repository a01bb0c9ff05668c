import { describe, expect, it } from 'vitest'
import { bucketOf, highBound, Sketches } from './usual-sketch.ts'

function sketchesOf(rows: number): Sketches {
  const sketches = new Sketches()
  sketches.tops = new Uint8Array(rows)
  sketches.counts = new Uint32Array(rows)
  return sketches
}

function countsOf(sketches: Sketches, row = 0): Record<number, number> {
  const counts = new Uint8Array(64)
  sketches.gather(row, counts)
  return Object.fromEntries([...counts].flatMap((count, bucket) => count === 0 ? [] : [[bucket, count]]))
}

/** A sketch of these buckets, in their order. */
function of(buckets: readonly number[]): Sketches {
  const sketches = sketchesOf(1)
  for (const bucket of buckets) sketches.add(0, bucket)
  return sketches
}

function merged(...parts: Sketches[]): Sketches {
  const all = sketchesOf(1)
  for (const part of parts) all.merge(0, part, 0)
  return all
}

/** The same numbers every time, 0 to 1. */
function numbers(seed: number): () => number {
  let state = seed
  return () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32
}

describe('a bucket', () => {
  it('is the smallest power of two that is not exceeded', () => {
    expect([0, 1, 1.5, 2, 3, 4, 5, 2 ** 32, 2 ** 32 + 1, 2 ** 52].map(bucketOf))
      .toEqual([0, 0, 1, 1, 2, 2, 3, 32, 33, 52])
    expect([NaN, -5, Infinity, 2 ** 80].map(bucketOf)).toEqual([0, 0, 63, 63])
  })
})

describe('a sketch', () => {
  it('tells eight powers of two apart, from the largest down, whatever the order', () => {
    const buckets = [30, 20, 31, 30, 24, 25, 3, 31]
    const counts = { 24: 3, 25: 1, 30: 2, 31: 2 }
    expect(countsOf(of(buckets))).toEqual(counts)
    expect(countsOf(of(buckets.toSorted()))).toEqual(counts)
    expect(countsOf(of(buckets.toReversed()))).toEqual(counts)
  })

  it('stays at fifteen', () => {
    expect(countsOf(of(Array<number>(40).fill(7)))).toEqual({ 7: 15 })
    expect(countsOf(of([...Array<number>(40).fill(1), 40]))).toEqual({ 33: 15, 40: 1 })
  })

  it('holds amounts that are nothing, at the bottom', () => {
    expect(countsOf(of([0, 0, 2]))).toEqual({ 0: 2, 2: 1 })
    expect(countsOf(of([]))).toEqual({})
  })

  it('merges in any order to the same', () => {
    const next = numbers(7)
    for (let round = 0; round < 300; round++) {
      const [a, b, c] = [0, 1, 2].map(() =>
        of(Array.from({ length: Math.floor(next() * 25) }, () => Math.floor(next() * 40))))
      const whole = countsOf(merged(merged(a, b), c))
      expect(countsOf(merged(a, merged(b, c)))).toEqual(whole)
      expect(countsOf(merged(c, a, b))).toEqual(whole)
      expect(countsOf(merged(b, a))).toEqual(countsOf(merged(a, b)))
    }
  })
})

describe('the high bound', () => {
  const counts = new Uint8Array(64)

  it('is the most, until one day of so many is rare', () => {
    counts[10] = 14
    expect(highBound(counts, 15)).toBe(2 ** 10)
    counts[40] = 1
    expect(highBound(counts, 15)).toBe(2 ** 10)
    expect(highBound(counts, 16)).toBe(2 ** 40)
    counts[39] = 1
    expect(highBound(counts, 15)).toBe(2 ** 39)
    counts[10] = 28
    expect(highBound(counts, 15)).toBe(2 ** 10)
  })

  it('of nothing is nothing', () => {
    expect(highBound(new Uint8Array(64), 15)).toBe(0)
  })
})
