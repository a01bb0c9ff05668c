import { describe, expect, it } from 'vitest'
import { AddressSlots } from './address-slots.ts'

const address = (i: number): Uint8Array => {
  return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, i >> 16, (i >> 8) & 255, i & 255)
}
const never = (): number => { throw new Error('full') }

describe('slots of addresses', () => {
  it('find what is there, at any offset, and nothing else', () => {
    const slots = new AddressSlots()
    const taken = Array.from({ length: 400 }, (_, i) => slots.insert(address(i * 256), never))
    expect(new Set(taken).size).toBe(400)
    const row = new Uint8Array(40)
    for (const [i, slot] of taken.entries()) {
      row.set(address(i * 256), 7)
      expect(slots.find(row, 7)).toBe(slot)
    }
    expect(slots.find(address(1), 0)).toBe(-1)
    const v6 = address(0)
    v6[0] = 0xfd
    expect(slots.find(v6, 0)).toBe(-1)
  })

  it('take the place of another one when all that may be tried are taken', () => {
    const slots = new AddressSlots()
    const left: number[] = []
    const leaves = (tried: readonly number[]): number => {
      expect(tried).toHaveLength(32)
      left.push(tried[3])
      return tried[3]
    }
    const placed = Array.from({ length: 1025 }, (_, i) => slots.insert(address(i), leaves))
    expect(left.length).toBeGreaterThan(0)
    expect(slots.find(address(1024), 0)).toBe(placed[1024])
    const there = placed.filter((_, i) => slots.find(address(i), 0) >= 0)
    expect(there).toHaveLength(1025 - left.length)
  })

  it('can be made again as they were', () => {
    const slots = new AddressSlots()
    slots.reset(5000)
    const taken = Array.from({ length: 3000 }, (_, i) => slots.insert(address(i), never))
    const again = new AddressSlots()
    again.reset(slots.comfortable)
    expect(again.comfortable).toBe(slots.comfortable)
    for (const [i, slot] of taken.entries()) again.place(slot, address(i))
    expect(taken.every((slot, i) => again.find(address(i), 0) === slot)).toBe(true)
  })
})
