// Fields of a record, for those who look at single ones on their way through the agent.

import type { RecordBuffer } from '../../proto/columns.ts'
import { recordHeader } from '../../proto/gen/events.ts'
import type { Process } from '../../proto/gen/events.ts'
import type { ProcessFactsOf } from '../../proto/process-table.ts'

/** The process of the record at `at`, with what is known of it. */
export function processOf(
  record: RecordBuffer, at: number, factsOf: ProcessFactsOf,
): Partial<Process> {
  const { u32 } = record
  return {
    pid: u32[(at + recordHeader.pid) >> 2],
    start_time: longAt(record, at + recordHeader.start_time),
    ppid: u32[(at + recordHeader.ppid) >> 2],
    parent_start_time: longAt(record, at + recordHeader.parent_start_time),
    uid: u32[(at + recordHeader.uid) >> 2],
    comm: textAt(record, at + recordHeader.comm, recordHeader.bytes - recordHeader.comm),
    cgroup_id: longAt(record, at + recordHeader.cgroup_id),
    ...factsOf(record, at),
  }
}

/** 64 bits at a byte that is a multiple of 4. */
export function longAt({ u32 }: RecordBuffer, at: number): bigint {
  return (BigInt(u32[(at >> 2) + 1]) << 32n) | BigInt(u32[at >> 2])
}

/** Text up to the first NUL, or to `bytesMax`. */
export function textAt({ u8 }: RecordBuffer, at: number, bytesMax: number): string {
  let end = at
  while (end < at + bytesMax && u8[end] !== 0) end++
  return Buffer.from(u8.buffer, u8.byteOffset + at, end - at).toString('utf8')
}
