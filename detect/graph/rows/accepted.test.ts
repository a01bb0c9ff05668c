import { describe, expect, it } from 'vitest'
import { AcceptedTable, acceptedBit } from './accepted.ts'
import type { Accepted } from './accepted.ts'

function process(): Accepted {
  return { place: -1, count: 0, tainted: 0 }
}

/** Accepts, and lets the least one go first where there is no room. */
function accept(table: AcceptedTable, accepted: Accepted, slot: number, peer: number): void {
  const least = table.least(accepted, peer)
  if (least >= 0) table.remove(accepted, least)
  table.push(accepted, slot, slot + 100, peer, 0)
}

function slots(table: AcceptedTable, accepted: Accepted): number[] {
  return Array.from({ length: accepted.count }, (_, i) => table.slotAt(accepted, i))
}

describe('accepted connections', () => {
  it('of each process are its own, the oldest first', () => {
    const table = new AcceptedTable()
    const processes = Array.from({ length: 300 }, process)
    for (let slot = 0; slot < 900; slot++) accept(table, processes[slot % 300], slot, slot)
    expect(processes.map((one) => slots(table, one)))
      .toEqual(processes.map((_, i) => [i, 300 + i, 600 + i]))
    expect(table.serialAt(processes[7], 1)).toBe(407)
    expect([table.indexOf(processes[7], 607), table.indexOf(processes[7], 608)]).toEqual([2, -1])
  })

  it('give way when there are eight: one that ended, one of the same peer, the oldest', () => {
    const table = new AcceptedTable()
    const accepted = process()
    for (let slot = 1; slot <= 8; slot++) accept(table, accepted, slot, slot)
    table.addBits(accepted, 4, acceptedBit.ended)
    accept(table, accepted, 9, 3)
    expect(slots(table, accepted)).toEqual([1, 2, 3, 4, 6, 7, 8, 9])
    accept(table, accepted, 10, 3)
    expect(slots(table, accepted)).toEqual([1, 2, 4, 6, 7, 8, 9, 10])
    accept(table, accepted, 11, 2 ** 32 + 99)
    expect(slots(table, accepted)).toEqual([2, 4, 6, 7, 8, 9, 10, 11])
    expect(table.bitsAt(accepted, 0)).toBe(0)
  })

  it('of a process that is forgotten leave their place to another one', () => {
    const table = new AcceptedTable()
    const [first, second, third] = [process(), process(), process()]
    accept(table, first, 1, 1)
    accept(table, second, 2, 2)
    table.drop(first)
    accept(table, third, 3, 3)
    expect([third.place, slots(table, second), slots(table, third), first.count])
      .toEqual([0, [2], [3], 0])
    table.drop(process())
    expect(table.snapshot().free).toEqual([])
  })

  it('are the same after a snapshot', () => {
    const table = new AcceptedTable()
    const processes = Array.from({ length: 100 }, process)
    for (let slot = 0; slot < 300; slot++) accept(table, processes[slot % 100], slot, slot)
    table.drop(processes[5])
    const restored = new AcceptedTable()
    restored.restore(table.snapshot())
    for (const one of processes) expect(slots(restored, one)).toEqual(slots(table, one))
    const fresh = process()
    accept(restored, fresh, 1, 1)
    expect(fresh.place).toBe(5)
  })
})
