import { describe, expect, it } from 'vitest'
import { Decoder } from './decode.ts'
import { sampleOpen, sampleRead, sampleRecord } from './sample/records.ts'
import { recordHeader } from '../proto/gen/events.ts'

function decode(records: Buffer[]) {
  const taken: [kind: number, pid: number][] = []
  const decoder = new Decoder({
    takeRecord: ({ u32 }, at, kind) => taken.push([kind, u32[(at + recordHeader.pid) >> 2]]),
  })
  const { record, bytes } = sampleRead(records)
  decoder.decode(record, bytes)
  return { decoder, taken }
}

function damaged(record: Buffer, damage: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.from(record)
  damage(bytes)
  return bytes
}

const open = (pid: number) => sampleOpen({ pid })

describe('Decoder', () => {
  it('hands on every record of a read, of every kind, in order', () => {
    const { decoder, taken } = decode([
      open(1), sampleRecord('process_exec', { pid: 2 }), sampleRecord('process_exit', { pid: 3 }),
      sampleRecord('connection_close', { pid: 4 }), sampleRecord('connection_failed', { pid: 5 }),
    ])
    expect(taken).toEqual([[20, 1], [10, 2], [11, 3], [21, 4], [22, 5]])
    expect(decoder.records).toBe(5)
    expect(decoder.malformed()).toEqual([])
  })

  it('takes nothing from an empty read', () => {
    const { decoder, taken } = decode([])
    expect(taken).toEqual([])
    expect(decoder.malformed()).toEqual([])
  })

  it('skips a record of an unknown kind and goes on behind it', () => {
    const strange = damaged(open(2), (bytes) => bytes.writeUInt16LE(99, recordHeader.kind))
    const { decoder, taken } = decode([open(1), strange, open(3)])
    expect(taken.map(([, pid]) => pid)).toEqual([1, 3])
    expect(decoder.malformed()).toMatchObject([{ event_kind: 'unknown', count: 1 }])
    expect(decoder.readsCut).toBe(0)
  })

  it('refuses a known kind of another size, and names it', () => {
    const longer = damaged(Buffer.concat([open(2), Buffer.alloc(8)]),
      (bytes) => bytes.writeUInt16LE(128, recordHeader.size))
    const { decoder, taken } = decode([longer, open(3)])
    expect(taken.map(([, pid]) => pid)).toEqual([3])
    expect(decoder.malformed()).toMatchObject([{ event_kind: 'connection_open', count: 1 }])
  })

  it('refuses kinds that only user space makes', () => {
    const heartbeat = damaged(open(2), (bytes) => bytes.writeUInt16LE(103, recordHeader.kind))
    expect(decode([heartbeat, open(3)]).taken).toHaveLength(1)
  })

  it('drops the rest of a read when no size leads to a further record, and says so', () => {
    for (const size of [0, 8, 63, 100, 119, 65_535]) {
      const bad = damaged(open(2), (bytes) => bytes.writeUInt16LE(size, recordHeader.size))
      const { decoder, taken } = decode([open(1), bad, open(3), open(4)])
      expect(taken.map(([, pid]) => pid)).toEqual([1])
      expect(decoder.readsCut).toBe(1)
      expect(decoder.malformed()).toMatchObject([{ event_kind: 'connection_open', count: 1 }])
    }
  })

  it('counts a record that is cut off at the end of the read', () => {
    for (const bytes of [1, 8, 63, 64, 119]) {
      const { decoder, taken } = decode([open(1), open(2).subarray(0, bytes)])
      expect(taken).toHaveLength(1)
      expect(decoder.malformed()[0].count).toBe(1)
    }
  })

  it('keeps one bounded sample per kind, of the first bad record', () => {
    const first = damaged(open(0xabcd), (bytes) => bytes.writeUInt16LE(99, recordHeader.kind))
    const second = damaged(open(2), (bytes) => bytes.writeUInt16LE(98, recordHeader.kind))
    const [malformed] = decode([first, second, open(3)]).decoder.malformed()
    expect(malformed.count).toBe(2)
    expect(malformed.sample).toBe(first.subarray(0, 96).toString('hex'))
  })

  it('survives any damage, and never loses a good record before it', () => {
    let state = 7
    const random = (below: number) => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) % below
    for (let round = 0; round < 2000; round++) {
      const records = Array.from({ length: 6 }, (_, i) => i % 2 ? open(i)
        : sampleRecord('process_exit', { pid: i }))
      const victim = random(6)
      const bytes = records[victim]
      bytes[random(12)] = random(256)
      bytes[random(bytes.length)] ^= 1 << random(8)
      const { decoder, taken } = decode(records)
      expect(taken.length).toBeGreaterThanOrEqual(victim)
      const bad = decoder.malformed().reduce((sum, { count }) => sum + count, 0)
      expect(taken.length + bad).toBeGreaterThan(victim)
      if (decoder.readsCut === 0) expect(taken.length + bad).toBe(6)
    }
  })
})
