// The identity of a running process of which only the pid is known, such as one that a driver names
// in a message.

import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { recordBuffer } from '../../proto/columns.ts'
import type { Process } from '../../proto/gen/events.ts'
import { recordHeader } from '../../proto/gen/events.ts'
import type { ProcessFactsOf } from '../../proto/process-table.ts'
import { isProcess, readCgroupPath } from './proc.ts'

export interface ProcessByPidOptions {
  /** Exact start of the process that has this pid, as the probes said; undefined when unknown. */
  startOf(pid: number): bigint | undefined
  factsOf: ProcessFactsOf
  /** Mount of cgroup v2; '' when there is none. */
  cgroupMount: string
  /** Default /proc. */
  procDir?: string
}

/**
 * Who has this pid now, with start, so that it is the process of other events; only the pid when
 * that cannot be told any more.
 */
export function processByPid(pid: number, options: ProcessByPidOptions): Partial<Process> {
  const { startOf, factsOf, cgroupMount, procDir = '/proc' } = options
  const start_time = startOf(pid)
  if (start_time === undefined) return { pid }
  const status = statusOf(join(procDir, String(pid), 'status'))
  if (!isProcess(pid, start_time, procDir)) return { pid }
  const { ppid, uid, comm } = status
  const cgroup_id = cgroupIdOf(cgroupMount, readCgroupPath(pid, procDir))
  const record = recordBuffer(new ArrayBuffer(recordHeader.bytes))
  const bytes = Buffer.from(record.u8.buffer)
  bytes.writeUInt32LE(pid, recordHeader.pid)
  bytes.writeBigUInt64LE(start_time, recordHeader.start_time)
  bytes.writeUInt32LE(ppid, recordHeader.ppid)
  bytes.writeBigUInt64LE(cgroup_id, recordHeader.cgroup_id)
  return {
    pid, start_time, ppid, parent_start_time: startOf(ppid) ?? 0n, uid, comm, cgroup_id,
    ...factsOf(record, 0),
  }
}

/** proc_pid_status(5). */
function statusOf(path: string): { ppid: number, uid: number, comm: string } {
  let text = ''
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    // It ended: what follows finds nothing.
  }
  const number = (field: RegExp): number => Number(field.exec(text)?.[1] ?? 0)
  return {
    ppid: number(/^PPid:\s*(\d+)$/m), uid: number(/^Uid:\s*\d+\s+(\d+)/m),
    comm: /^Name:\t(.*)$/m.exec(text)?.[1] ?? '',
  }
}

function cgroupIdOf(mount: string, path: string): bigint {
  if (mount === '' || path === '') return 0n
  return statSync(join(mount, path), { bigint: true, throwIfNoEntry: false })?.ino ?? 0n
}
