import { describe, expect, it } from 'vitest'
import { KeyIndex } from './key-index.ts'

/** Slots that a key leads to, in order. */
function found(index: KeyIndex, low: number, high: number, any = false): number[] {
  const slots: number[] = []
  for (let place = index.seek(index.home(low), low, high, any); place >= 0;
    place = index.seek(place + 1, low, high, any)) slots.push(index.slotAt(place))
  return slots
}

describe('the index of connections', () => {
  it('finds what has a key, in the order in which it came', () => {
    const index = new KeyIndex(16)
    for (const [slot, high] of [7, 8, 7, 9].entries()) index.insert(slot, 0xffffffff, high, false)
    expect(found(index, 0xffffffff, 7)).toEqual([0, 2])
    expect(found(index, 0xffffffff, 7, true)).toEqual([0, 1, 2, 3])
    expect(found(index, 0xfffffffe, 7)).toEqual([])
  })

  it('finds what is meant by its low word alone, also when that was said later', () => {
    const index = new KeyIndex(16)
    index.insert(0, 5, 1, true)
    index.insert(1, 5, 2, false)
    expect(found(index, 5, 9)).toEqual([0])
    index.matchAny(1, 5)
    expect(found(index, 5, 9)).toEqual([0, 1])
  })

  it('finds the same as a plain list, whatever comes, leaves and grows', () => {
    const index = new KeyIndex(64)
    const list: { slot: number; low: number; high: number }[] = []
    let state = 1
    const next = (below: number): number => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0
      return (state >>> 8) % below
    }
    for (let slot = 0; slot < 4000; slot++) {
      // Few homes, and around the end of the array, so that they get in each other's way.
      const low = (index.places - 3 + next(6)) % index.places + 512 * next(2)
      index.insert(slot, low, next(3), false)
      list.push({ slot, low, high: 0 })
      if (list.length > 24) {
        const [leaves] = list.splice(next(list.length), 1)
        index.remove(leaves.slot, leaves.low)
      }
      if (slot === 2000) index.grow(256)
      for (const low of new Set(list.map((one) => one.low))) {
        expect(found(index, low, 0, true))
          .toEqual(list.filter((one) => one.low === low).map((one) => one.slot))
      }
    }
  })

  it('says which one came first when too many have the same low word', () => {
    const index = new KeyIndex(1024)
    const answers = Array.from({ length: 258 }, (_, slot) => index.insert(slot, 5, slot, false))
    expect(answers.slice(0, 256).every((slot) => slot === -1)).toBe(true)
    expect(answers.slice(256)).toEqual([0, 0])
    index.remove(0, 5)
    index.remove(1, 5)
    expect(index.insert(300, 5, 300, false)).toBe(2)
    expect(index.insert(301, 6, 301, false)).toBe(-1)
  })
})
