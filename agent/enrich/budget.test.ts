import { describe, expect, it } from 'vitest'
import { Budget } from './budget.ts'

describe('Budget', () => {
  it('allows so many looks at once and then so many per second', () => {
    let nowMs = 1000
    const budget = new Budget(10, () => nowMs)
    const takeAll = () => {
      let taken = 0
      while (budget.take()) taken++
      return taken
    }
    expect(takeAll()).toBe(10)
    expect(takeAll()).toBe(0)
    nowMs += 500
    expect(takeAll()).toBe(5)
    nowMs += 60_000
    expect(takeAll()).toBe(10)
  })

  it('goes on when the clock is set back', () => {
    let nowMs = 100_000
    const budget = new Budget(1, () => nowMs)
    expect(budget.take()).toBe(true)
    nowMs = 0
    expect(budget.take()).toBe(false)
    nowMs = 1000
    expect(budget.take()).toBe(true)
  })
})
