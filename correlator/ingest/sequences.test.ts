import { describe, expect, it } from 'vitest'
import { decodeEnvelope } from '../../proto/batch.ts'
import { heartbeats, SAMPLE_NODE } from '../sample/sample-batches.ts'
import { SequenceTable } from './sequences.ts'

const envelope = (first: number, count: number, node_id = 'a') =>
  decodeEnvelope(heartbeats(first, count, { ...SAMPLE_NODE, node_id }))

describe('the sequence table', () => {
  it('tells what was taken from what is durable, and writes down only that', () => {
    const table = new SequenceTable(10)
    table.noteAppended(envelope(1, 5))
    expect(table.of('a', SAMPLE_NODE.boot_id)).toMatchObject({ appended_seq: 5, stored_seq: 0 })
    expect(table.stored()).toEqual([])
    table.noteStored(envelope(1, 5), 7, false, 123)
    const [stored] = table.stored()
    expect(stored).toMatchObject({ stored_seq: 5, events: 5, position: 7, missing: 0, received_ms: 123 })
    expect(stored.last_event_ms).toBe(SAMPLE_NODE.booted_ms + 5)
    expect(new SequenceTable(10, [stored]).of('a', SAMPLE_NODE.boot_id)).toMatchObject({ appended_seq: 5 })
  })

  it('is not changed by a position that it has seen', () => {
    const table = new SequenceTable(10)
    table.noteStored(envelope(1, 5), 7, false, 0)
    const before = table.stored()
    table.noteStored(envelope(1, 5), 7, false, 0)
    expect(table.stored()).toEqual(before)
  })

  it('forgets the quietest boot when there are too many, and counts it', () => {
    const table = new SequenceTable(2)
    for (const [position, node] of ['a', 'b', 'a', 'c'].entries()) {
      table.noteStored(envelope(1 + 10 * position, 1, node), position + 1, true, 0)
    }
    expect(table.all().map(({ node_id }) => node_id)).toEqual(['a', 'c'])
    expect(table.forgotten).toBe(1)
  })
})
