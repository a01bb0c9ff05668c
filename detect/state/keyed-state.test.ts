import { describe, expect, it } from 'vitest'
import { KeyedState } from './keyed-state.ts'

function table(keysMax = 100, idleMs = 1000) {
  const woken: unknown[] = []
  const states = new KeyedState<string>(keysMax, idleMs, (key, state) => woken.push([key, state]))
  return { states, woken }
}

describe('keyed state', () => {
  it('forgets a key that was idle, even before a sweep', () => {
    const { states } = table()
    states.add('a', 'x', 0)
    expect(states.use('a', 900)).toBe('x')
    expect(states.use('a', 1900)).toBe('x')
    expect(states.use('a', 2901)).toBeUndefined()
    expect(states.evictions).toBe(0)
  })

  it('sweeps keys that nobody asks for', () => {
    const { states } = table()
    for (let i = 0; i < 50; i++) states.add(i, 'x', 0)
    states.advance(5000)
    expect(states.size).toBe(0)
  })

  it('holds no more than its keys, and counts the oldest out', () => {
    const { states } = table(32)
    for (let i = 0; i < 320; i++) {
      states.add(i, 'x', i)
      expect(states.size).toBeLessThanOrEqual(32)
    }
    expect(states.evictions).toBe(320 - states.size)
    expect(states.use(0, 320)).toBeUndefined()
    expect(states.use(319, 320)).toBe('x')
  })

  it('keeps what was used recently when it must make room', () => {
    const { states } = table(16)
    for (let i = 0; i < 16; i++) states.add(i, 'x', i)
    states.use(0, 100)
    states.add(16, 'x', 101)
    expect(states.use(0, 102)).toBe('x')
    expect(states.use(1, 102)).toBeUndefined()
  })

  it('wakes a key once, when its time has come', () => {
    const { states, woken } = table()
    states.add('a', 'x', 0)
    states.add('b', 'y', 0)
    states.wakeAt('a', 500)
    states.wakeAt('b', 700)
    states.advance(499)
    expect(woken).toEqual([])
    states.advance(600)
    states.advance(600)
    expect(woken).toEqual([['a', 'x']])
    states.advance(800)
    expect(woken).toEqual([['a', 'x'], ['b', 'y']])
  })

  it('does not forget a key that waits, and wakes it when it must leave', () => {
    const { states, woken } = table(4, 10)
    states.add('held', 'x', 0)
    states.wakeAt('held', 10_000)
    states.advance(5000)
    expect(states.use('held', 5000)).toBe('x')
    for (let i = 0; i < 4; i++) states.add(i, 'y', 5001)
    expect(woken).toEqual([['held', 'x']])
    states.advance(10_000)
    expect(woken).toHaveLength(1)
  })

  it('does not wake a key that was deleted', () => {
    const { states, woken } = table()
    states.add('a', 'x', 0)
    states.wakeAt('a', 5)
    states.delete('a')
    states.advance(10)
    expect(woken).toEqual([])
  })

  it('goes on from a snapshot as if nothing had happened', () => {
    const { states } = table(16)
    for (let i = 0; i < 20; i++) states.add(i, `${i}`, i)
    states.wakeAt(19, 25)
    const second = table(16)
    second.states.restore(structuredClone(states.snapshot()))
    for (const { states: one } of [{ states }, second]) {
      for (let i = 20; i < 24; i++) one.add(i, `${i}`, i)
      one.advance(30)
    }
    expect(second.states.snapshot()).toEqual(states.snapshot())
    expect(second.woken).toEqual([[19, '19']])
  })
})
