import { describe, expect, it } from 'vitest'
import { BatchBuilder } from './batch-builder.ts'
import { BatchCursor } from './batch-cursor.ts'
import { BatchError, decodeBatch, decodeEnvelope, encodeEnvelope, openBatch } from './batch.ts'
import { recordBuffer } from './columns.ts'
import { eventJson } from './event-json.ts'
import type { EventJson } from './event-json.ts'
import { parseAddress } from './address.ts'

const identity = {
  node_id: 'n1', boot_id: '0123456789abcdef0123456789abcdef', first_seq: 41,
  clock_offset_ns: 1_800_000_000_123_456_789n,
}
const noFacts = () => ({ exe: '', cgroup_path: '', workload: '' })

/** A connection_open record as the probe lays it out (bpf/gen/events.h), built by hand. */
function openRecord(options: { pid: number; comm: string; remote: string; port: number; time: bigint }) {
  const bytes = Buffer.alloc(128)
  bytes.writeBigUInt64LE(options.time, 0)
  bytes.writeUInt16LE(20, 8)
  bytes.writeUInt16LE(128, 10)
  bytes.writeUInt32LE(options.pid, 12)
  bytes.writeBigUInt64LE(2n ** 53n + 1n, 16)
  bytes.writeUInt32LE(1, 32)
  bytes.writeUInt32LE(1000, 36)
  bytes.writeBigUInt64LE(0xffff_ffff_ffff_fff0n, 40)
  bytes.write(options.comm, 48)
  bytes.set(parseAddress('10.0.0.1'), 64)
  bytes.set(parseAddress(options.remote), 80)
  bytes.writeBigUInt64LE(77n, 96)
  bytes.writeUInt32LE(4026531840, 104)
  bytes.writeUInt16LE(40000, 108)
  bytes.writeUInt16LE(options.port, 110)
  bytes.set([6, 1, 1], 112)
  return bytes.subarray(0, 120)
}

function build(records: Buffer[], facts = noFacts) {
  const builder = new BatchBuilder({ eventsMax: 1024, factsOf: facts })
  const buffer = new ArrayBuffer(records.length * 120)
  const record = recordBuffer(buffer)
  records.forEach((bytes, i) => record.u8.set(bytes, i * 120))
  records.forEach((_, i) => builder.appendRecord(record, i * 120))
  return builder
}

function jsonOf(bytes: Uint8Array): EventJson[] {
  const all: EventJson[] = []
  new BatchCursor().forEach(decodeBatch(bytes), (event) => all.push(eventJson(event)))
  return all
}

describe('batch', () => {
  it('takes what user space knows of a record, for that record only', () => {
    const bytes = new ArrayBuffer(64 + 1024)
    const record = recordBuffer(bytes)
    record.u16.set([53, 504], 4)
    const builder = new BatchBuilder({ eventsMax: 4, factsOf: noFacts })
    builder.appendRecord(record, 0)
    builder.setTexts({ sha256: 'abc' })
    builder.appendRecord(record, 0)
    expect(() => builder.setTexts({ no_such_field: 'x' })).toThrow('no_such_field')
    const [known, unknown] = jsonOf(builder.encode(identity))
    expect(known).toMatchObject({ kind: 'kernel_module', sha256: 'abc' })
    expect(unknown).not.toHaveProperty('sha256')
  })

  it('gives back what a kernel record said, 64-bit values exactly', () => {
    const builder = build(
      [openRecord({ pid: 7, comm: 'curl', remote: '2001:db8::5', port: 443, time: 2n ** 54n + 3n })],
      () => ({ exe: '/usr/bin/curl', cgroup_path: '/a.slice', workload: 'a' }),
    )
    const [event] = jsonOf(builder.encode(identity))
    expect(event).toMatchObject({
      node_id: 'n1', seq: 41, kind: 'connection_open', pid: 7, process_id: `7:${2n ** 53n + 1n}`,
      ppid: 1, uid: 1000, comm: 'curl', exe: '/usr/bin/curl', cgroup_path: '/a.slice', workload: 'a',
      local_addr: '10.0.0.1', local_port: 40000, remote_addr: '2001:db8::5', remote_port: 443,
      protocol: 'tcp', direction: 'outgoing', process_source: 'caller', connection_id: '77',
      cgroup_id: String(0xffff_ffff_ffff_fff0n),
    })
    expect(event['time']).toBe('2027-08-11T19:59:58.632938776Z')
  })

  it('keeps the order of events of different kinds and numbers them without holes', () => {
    const builder = build([
      openRecord({ pid: 7, comm: 'a', remote: '10.0.0.2', port: 1, time: 5n }),
      openRecord({ pid: 8, comm: 'b', remote: '10.0.0.3', port: 2, time: 6n }),
    ])
    builder.append('process_exec', { exe: '/bin/x', args: ['x', '', 'y z'] }, 7n,
      { pid: 9, start_time: 3n, comm: 'x' })
    builder.append('gap', { event_kind: 'connection_open', count: 12, stage: 'ring' }, 8n)
    const events = jsonOf(builder.encode(identity))
    expect(events.map((event) => [event['seq'], event['kind']])).toEqual([
      [41, 'connection_open'], [42, 'connection_open'], [43, 'process_exec'], [44, 'gap'],
    ])
    expect(events[2]).toMatchObject({ process_id: '9:3', args: ['x', '', 'y z'], exe: '/bin/x' })
    expect(events[3]).not.toHaveProperty('pid')
  })

  it('asks for the facts of a process once per batch, and again after it changed', () => {
    let asked = 0
    const facts = () => ({ exe: `/exe/${++asked}`, cgroup_path: '', workload: '' })
    const one = openRecord({ pid: 7, comm: 'a', remote: '10.0.0.2', port: 1, time: 5n })
    const builder = new BatchBuilder({ eventsMax: 64, factsOf: facts })
    const record = recordBuffer(new ArrayBuffer(120))
    record.u8.set(one)
    builder.appendRecord(record, 0)
    builder.appendRecord(record, 0)
    expect(asked).toBe(1)
    builder.forgetProcess(7, 1, 2 ** 21)
    builder.appendRecord(record, 0)
    record.u8.set(openRecord({ pid: 7, comm: 'renamed', remote: '10.0.0.2', port: 1, time: 5n }))
    builder.appendRecord(record, 0)
    const events = jsonOf(builder.encode(identity))
    expect(events.map((event) => event['exe'])).toEqual(['/exe/1', '/exe/1', '/exe/2', '/exe/3'])
  })

  it('starts empty again after a batch was encoded', () => {
    const builder = build([openRecord({ pid: 7, comm: 'a', remote: '10.0.0.2', port: 1, time: 5n })])
    builder.encode(identity)
    expect(builder.count).toBe(0)
    builder.append('heartbeat', { resident_bytes: 5 }, 1n)
    expect(jsonOf(builder.encode(identity))).toHaveLength(1)
  })

  it('refuses bytes that are not a batch, whole, whatever byte was changed', () => {
    const bytes = build([
      openRecord({ pid: 7, comm: 'a', remote: '10.0.0.2', port: 1, time: 5n }),
    ]).encode(identity)
    let refused = 0
    for (let i = 0; i < bytes.length; i++) {
      for (const damage of [0x01, 0x80]) {
        const damaged = Buffer.from(bytes)
        damaged[i] ^= damage
        try {
          decodeBatch(damaged)
        } catch (error) {
          expect(error).toBeInstanceOf(BatchError)
          refused++
        }
      }
    }
    expect(refused).toBeGreaterThan(bytes.length / 2)
    for (let end = 0; end < bytes.length; end++) {
      expect(() => decodeBatch(bytes.subarray(0, end))).toThrow(BatchError)
    }
  })

  it('refuses an envelope that promises less than its payload unpacks to', () => {
    const envelope = decodeEnvelope(build([
      openRecord({ pid: 7, comm: 'a', remote: '10.0.0.2', port: 1, time: 5n }),
    ]).encode(identity))
    expect(() => openBatch({ ...envelope, columns_bytes: 10 })).toThrow(BatchError)
    expect(() => decodeEnvelope(encodeEnvelope({ ...envelope, columns_bytes: 2 ** 31 }))).toThrow(/more than/)
    expect(() => decodeEnvelope(encodeEnvelope({ ...envelope, count: 2 }))).toThrow(/add up/)
  })
})
