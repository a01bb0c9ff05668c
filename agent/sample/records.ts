// Records as the probes lay them out (bpf/gen/events.h), made by hand for tests and benches.

import { parseAddress } from '../../proto/address.ts'
import { recordBuffer } from '../../proto/columns.ts'
import type { RecordBuffer } from '../../proto/columns.ts'
import { kindInfos, recordHeader, recordOffsets } from '../../proto/gen/events.ts'
import type { KernelKind } from '../../proto/gen/events.ts'

/** Who acts in a sample record; times in nanoseconds since boot. */
export interface SampleHeader {
  time?: bigint
  pid?: number
  startTime?: bigint
  ppid?: number
  parentStartTime?: bigint
  uid?: number
  cgroupId?: bigint
  comm?: string
}

const infoOf = new Map(kindInfos.map((info) => [info.kind as string, info]))

/** A record of `kind` that is zero behind its header. */
export function sampleRecord(kind: KernelKind, header: SampleHeader = {}): Buffer {
  const { number, recordBytes } = infoOf.get(kind)!
  const bytes = Buffer.alloc(recordBytes)
  bytes.writeBigUInt64LE(header.time ?? 1_000_000_000n, recordHeader.time)
  bytes.writeUInt16LE(number, recordHeader.kind)
  bytes.writeUInt16LE(recordBytes, recordHeader.size)
  bytes.writeUInt32LE(header.pid ?? 4242, recordHeader.pid)
  bytes.writeBigUInt64LE(header.startTime ?? 500_000_000n, recordHeader.start_time)
  bytes.writeBigUInt64LE(header.parentStartTime ?? 100_000_000n, recordHeader.parent_start_time)
  bytes.writeUInt32LE(header.ppid ?? 1, recordHeader.ppid)
  bytes.writeUInt32LE(header.uid ?? 1000, recordHeader.uid)
  bytes.writeBigUInt64LE(header.cgroupId ?? 1n, recordHeader.cgroup_id)
  bytes.write(header.comm ?? 'sample', recordHeader.comm, 15)
  return bytes
}

/** An outgoing TCP connection of 10.0.0.1 to `remotePort` of 10.0.0.2. */
export function sampleOpen(header: SampleHeader = {}, remotePort = 443): Buffer {
  const bytes = sampleRecord('connection_open', header)
  const at = recordOffsets.connection_open
  bytes.set(parseAddress('10.0.0.1'), at.local_addr)
  bytes.set(parseAddress('10.0.0.2'), at.remote_addr)
  bytes.writeUInt16LE(40_000, at.local_port)
  bytes.writeUInt16LE(remotePort, at.remote_port)
  bytes.set([6, 1, 1], at.protocol)
  return bytes
}

/** A program that began to run. */
export function sampleExec(header: SampleHeader, exe: string, atStart = false): Buffer {
  const bytes = sampleRecord('process_exec', header)
  const at = recordOffsets.process_exec
  bytes.write(exe, at.exe)
  bytes.writeUInt8(atStart ? 1 : 0, at.at_start)
  return bytes
}

/** A program with arguments that nothing compresses, so that a small spool is soon full. */
export function noisyExec(round: number): Buffer {
  const bytes = sampleExec({ pid: round + 1 }, '/bin/noise')
  let state = round * 7919 + 1
  for (let at = recordOffsets.process_exec.args; at < recordOffsets.process_exec.exe_inode; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[at] = 33 + (state >>> 24) % 90
  }
  return bytes
}

/** Records back to back, as a read of the ring gives them; `bytes` of the views are filled. */
export function sampleRead(records: Buffer[]): { record: RecordBuffer, bytes: number } {
  const all = Buffer.concat(records)
  const record = recordBuffer(new ArrayBuffer(Math.ceil(all.length / 8) * 8 + 64))
  record.u8.set(all)
  return { record, bytes: all.length }
}
