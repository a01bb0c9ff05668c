// Stage 4, event → event: what user space knows beside the record. Facts that come late follow as
// events of their own.

import type { RecordBuffer } from '../../proto/columns.ts'
import { kindInfos, recordHeader, recordOffsets } from '../../proto/gen/events.ts'
import type { ProcessFacts } from '../../proto/process-table.ts'
import type { Cgroups } from './cgroups.ts'
import { completeDnsRecord } from './dns-record.ts'
import type { KnownProcesses } from './processes.ts'
import { readArgs } from './proc.ts'

export interface EnricherOptions {
  processes: KnownProcesses
  cgroups: Cgroups
  /** The process runs another program now; the words of its start time, low and high. */
  changed(pid: number, startLow: number, startHigh: number): void
  /** Counts the files of modules and firmware that could not be read. */
  loaded?: { misses: number }
  /** Default /proc. */
  procDir?: string
}

const exec = recordOffsets.process_exec
const argsBytes = exec.exe_inode - exec.args
const exeBytes = exec.args - exec.exe
const kindNumber = (kind: string): number => kindInfos.find((info) => info.kind === kind)!.number
const processExec = kindNumber('process_exec')
const processExit = kindNumber('process_exit')
const dnsAnswer = kindNumber('dns_answer')
const nothing: ProcessFacts = { exe: '', cgroup_path: '', workload: '' }

/** Learns from the records of processes, and answers for all records. */
export class Enricher {
  readonly #options: EnricherOptions
  #argsMisses = 0

  constructor(options: EnricherOptions) {
    this.#options = options
  }

  /** Facts that could not be told in time, by name. */
  get misses(): { exe: number, args: number, cgroup_path: number, loaded_file: number } {
    const { processes, cgroups, loaded } = this.#options
    return {
      exe: processes.misses, args: this.#argsMisses, cgroup_path: cgroups.misses,
      loaded_file: loaded?.misses ?? 0,
    }
  }

  /** Before the record is taken: learns from it, and completes it in place. */
  observe(record: RecordBuffer, at: number, kind: number): void {
    if (kind === processExec) this.#observeExec(record, at)
    else if (kind === processExit) this.#options.processes.noteExit(record, at)
    else if (kind === dnsAnswer) completeDnsRecord(record, at)
  }

  /** Facts about the process of a record; asked once per process and batch. */
  readonly factsOf = (record: RecordBuffer, at: number): ProcessFacts => {
    const { processes, cgroups } = this.#options
    const pid = record.u32[(at + recordHeader.pid) >> 2]
    if (pid === 0) return nothing
    const exe = processes.exeOf(record, at)
    const id = wordsAt(record, at + recordHeader.cgroup_id)
    const cgroup = cgroups.lookup(id, pid, record.u32[(at + recordHeader.ppid) >> 2])
    // Without a name from the cgroup, who acts is the executable; but that name may still come.
    if (!cgroup) return { exe, cgroup_path: '', workload: cgroups.mayFind(id) ? '' : exe }
    return { exe, cgroup_path: cgroup.path, workload: cgroup.workload.workload || exe }
  }

  #observeExec(record: RecordBuffer, at: number): void {
    const { processes, changed } = this.#options
    const { u8, u32 } = record
    const start = (at + recordHeader.start_time) >> 2
    const pid = u32[(at + recordHeader.pid) >> 2]
    if (u8[at + exec.at_start] !== 0) this.#addArgs(record, at, pid)
    processes.noteExec(record, at, textAt(u8, at + exec.exe, exeBytes))
    changed(pid, u32[start], u32[start + 1])
  }

  /** The kernel can read them only while the process itself runs exec. */
  #addArgs(record: RecordBuffer, at: number, pid: number): void {
    const start = wordsAt(record, at + recordHeader.start_time)
    const args = readArgs(pid, start, argsBytes, this.#options.procDir)
    if (args === undefined || args.bytes === 0) {
      this.#argsMisses++
      return
    }
    record.u8.fill(0, at + exec.args, at + exec.args + argsBytes)
    record.u8.set(args.kept, at + exec.args)
    record.u32[(at + exec.args_bytes) >> 2] = args.bytes
    record.u16[(at + exec.args_bytes_kept) >> 1] = args.kept.length
  }
}

function wordsAt({ u32 }: RecordBuffer, at: number): bigint {
  return (BigInt(u32[(at >> 2) + 1]) << 32n) | BigInt(u32[at >> 2])
}

function textAt(u8: Uint8Array, at: number, bytesMax: number): string {
  let end = at
  while (end < at + bytesMax && u8[end] !== 0) end++
  return Buffer.from(u8.buffer, u8.byteOffset + at, end - at).toString('utf8')
}
