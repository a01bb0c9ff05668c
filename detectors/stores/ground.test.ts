import { describe, expect, it } from 'vitest'
import { closeDay, freshPart, newGround, tread } from './ground.ts'

/** Days of reports, each with the first of its files and how many there are; the part of the last that is new. */
function lastDay(days: [first: number, count: number][]): number {
  const ground = newGround()
  days.forEach(([first, count], i) => {
    if (i > 0) closeDay(ground)
    for (let file = first; file < first + count; file++) tread(ground, 8, BigInt(file))
  })
  return freshPart(ground)
}

describe('new ground', () => {
  it('is everything on the first day, and what goes on where the day before ended', () => {
    expect(lastDay([[0, 50]])).toBe(1)
    expect(lastDay([[0, 200], [200, 200], [400, 200], [600, 200]])).toBeGreaterThan(0.9)
  })

  it('is nothing where the same files are read every day, and half where half of them are', () => {
    expect(lastDay([[0, 50], [0, 50], [0, 50]])).toBe(0)
    const half = lastDay([[0, 200], [100, 200]])
    expect(half).toBeGreaterThan(0.4)
    expect(half).toBeLessThan(0.6)
  })

  it('allows for bits that many files share, and says nothing once they are nearly all taken', () => {
    expect(lastDay([[0, 2000], [10_000, 500]])).toBeGreaterThan(0.85)
    expect(lastDay([[0, 100_000], [200_000, 500]])).toBe(0)
    expect(freshPart(newGround())).toBe(0)
  })
})
