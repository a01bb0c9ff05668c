import { describe, expect, it } from 'vitest'
import { checkConservation } from './conservation.ts'
import { heartbeats, sampleBatch, SAMPLE_NODE } from '../sample/sample-batches.ts'
import type { SampleEvent } from '../sample/sample-batches.ts'

const check = (payloads: Uint8Array[], first = 1) =>
  checkConservation(payloads.map((payload, i) => ({ position: first + i, payload })))

const beat: SampleEvent = { kind: 'heartbeat' }
const start = (first_seq: number): SampleEvent => ({ kind: 'agent_start', values: { first_seq } })
const ledger = (first_seq: number, stored: number, change = {}): SampleEvent => ({
  kind: 'ledger', values: { event_kind: 'heartbeat', produced: stored, stored, first_seq, ...change },
})

describe('conservation', () => {
  it('holds when every account is met, whether the batch of the ledger counts or not', () => {
    const found = check([
      sampleBatch(1, [start(1), beat, beat]), sampleBatch(4, [beat, ledger(1, 2), ledger(1, 3), beat]),
      sampleBatch(8, [ledger(1, 4)]),
      // The agent starts again, in the same boot: its accounts begin again.
      sampleBatch(9, [start(9), beat]), sampleBatch(11, [ledger(9, 1)]),
      sampleBatch(1, [start(1), beat, ledger(1, 0)], { ...SAMPLE_NODE, node_id: 'b' }),
    ])
    expect(found).toMatchObject({ ok: true, batches: 6, events: 14, ledgers: 5, problems: [], holes: [] })
  })

  it('is broken by events that are not there, or too many, or counted twice', () => {
    for (const [stored, produced] of [[3, 3], [1, 1], [2, 1]]) {
      const found = check([sampleBatch(1, [start(1), beat, beat]), sampleBatch(4, [ledger(1, stored, { produced })])])
      expect(found.ok).toBe(false)
      expect(found.problems).toHaveLength(1)
      expect(found.problems[0]).toMatchObject({ node_id: 'node-1', event_kind: 'heartbeat', position: 2 })
    }
  })

  it('names what is missing in between, unless a fresh spool explains it', () => {
    const found = check([heartbeats(1, 5), heartbeats(9, 1), sampleBatch(1000, [start(1000)])])
    expect(found.holes).toEqual([
      { node_id: 'node-1', boot_id: SAMPLE_NODE.boot_id, from_seq: 6, to_seq: 8, position: 2 },
    ])
    expect(found).toMatchObject({ ok: false, problems: [], events_missing: 3, events_untold: 3 })
  })

  it('holds when a gap event tells what could never be delivered', () => {
    const gap: SampleEvent = { kind: 'gap', values: { event_kind: 'heartbeat', count: 3, stage: 'uplink' } }
    const found = check([sampleBatch(1, [start(1), beat]), heartbeats(6, 1), sampleBatch(7, [ledger(1, 5), gap])])
    expect(found).toMatchObject({ ok: true, problems: [], events_missing: 3, events_untold: 0 })
    expect(found.holes).toHaveLength(1)
  })

  it('goes by the differences where the beginning has left the log', () => {
    const tail = [heartbeats(500, 5), sampleBatch(505, [ledger(1, 400)]), heartbeats(506, 7)]
    expect(check([...tail, sampleBatch(513, [ledger(1, 407)])], 90)).toMatchObject({ ok: true, holes: [] })
    expect(check([...tail, sampleBatch(513, [ledger(1, 408)])], 90).problems).toHaveLength(1)
    expect(check([...tail, sampleBatch(513, [ledger(1, 406)])], 90).problems).toHaveLength(1)
  })

  it('finds what is stored twice, and what cannot be read', () => {
    expect(check([heartbeats(1, 5), heartbeats(4, 5)]).problems[0].what).toContain('twice')
    expect(check([heartbeats(1, 5), Buffer.from('?')]).problems[0]).toMatchObject({ position: 2 })
  })

  it('lists a thousand and counts the rest', () => {
    const many = Array.from({ length: 1200 }, (_, i) => heartbeats(1 + 2 * i, 1))
    const found = check(many)
    expect(found.holes).toHaveLength(1000)
    expect(found.left_out).toBe(199)
    expect(found.events_missing).toBe(1199)
  })
})
