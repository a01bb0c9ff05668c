import { describe, expect, it } from 'vitest'
import { BatchCursor } from '../../proto/batch-cursor.ts'
import { batchesOf } from '../example.ts'
import type { ExampleEvent } from '../detector.ts'
import { StoreConnections } from './store-connections.ts'

const HOUR_MS = 3_600_000

/** What is taken of events of connections: kind, number, bytes so far, time. */
function take(table: StoreConnections, told: ['close' | 'totals', id: number, bytes: number, atMs: number][]) {
  const events = told.map(([kind, id, bytes_received, at_ms]): ExampleEvent => ({
    kind: `connection_${kind}`, at_ms, values: { connection_id: BigInt(id), bytes_received, duration_ns: 1e9 },
  }))
  const taken: number[] = []
  for (const batch of batchesOf(events)) {
    new BatchCursor().forEach(batch, (event) => {
      if (event.kind !== 'connection_close' && event.kind !== 'connection_totals') return
      taken.push(table.take(event, 1, event.time_ms).bytes)
    })
  }
  return taken
}

describe('connections to stores', () => {
  it('bring what was not told before, and are forgotten at their end', () => {
    const table = new StoreConnections()
    expect(take(table, [['totals', 1, 5, 0], ['totals', 2, 1, 0], ['totals', 1, 5, 1], ['close', 1, 9, 2]]))
      .toEqual([5, 1, 0, 4])
    expect(table.size).toBe(1)
  })

  it('never bring less than nothing', () => {
    expect(take(new StoreConnections(), [['totals', 1, 5, 0], ['totals', 1, 3, 1], ['close', 1, 6, 2]]))
      .toEqual([5, 0, 1])
  })

  it('that find no room are told by their end alone, each byte once, and are counted', () => {
    const table = new StoreConnections(2)
    expect(take(table, [
      ['totals', 1, 5, 0], ['totals', 2, 5, 0], ['totals', 3, 5, 0], ['totals', 3, 6, 0], ['close', 3, 7, 0],
    ])).toEqual([5, 5, 0, 0, 7])
    expect([table.size, table.refused]).toEqual([2, 2])
  })

  it('whose end was lost leave after a day, when there is no room', () => {
    const table = new StoreConnections(1)
    expect(take(table, [['totals', 1, 5, 0], ['totals', 2, 5, 23 * HOUR_MS], ['totals', 2, 6, 25 * HOUR_MS]]))
      .toEqual([5, 0, 6])
    expect([table.size, table.refused]).toEqual([1, 1])
  })
})
