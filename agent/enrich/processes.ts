// Which executable a process runs: from the execs that were seen, else from /proc, once.

import { basename } from 'node:path'
import type { RecordBuffer } from '../../proto/columns.ts'
import { recordHeader } from '../../proto/gen/events.ts'
import type { Budget } from './budget.ts'
import { readExe } from './proc.ts'

interface Known {
  startLow: number
  startHigh: number
  /** '' when nobody can tell. */
  exe: string
  /** From when on it ran this executable, nanoseconds since boot. */
  sinceNs: number
}

export interface KnownProcessesOptions {
  /** Most running processes kept; beyond it the one not asked for longest leaves. */
  entriesMax: number
  /** Most ended processes kept: their connections may close after them. */
  endedMax: number
  budget: Budget
  /** Default /proc. */
  procDir?: string
}

const two32 = 4294967296
/** The kernel keeps 15 bytes of a name, and a NUL. */
const commBytes = recordHeader.bytes - recordHeader.comm

/**
 * Bounded tables of processes by pid and start time. Ended processes are kept apart, so that a
 * storm of short ones does not push out those that still run.
 */
export class KnownProcesses {
  readonly #options: KnownProcessesOptions
  readonly #running = new Map<number, Known>()
  readonly #ended = new Map<number, Known>()
  /** Processes of which the executable could not be told. */
  misses = 0

  constructor(options: KnownProcessesOptions) {
    this.#options = options
  }

  /** Processes kept now. */
  get size(): number { return this.#running.size + this.#ended.size }

  /** The process of the process_exec record at `at` runs `exe` from its time on. */
  noteExec(record: RecordBuffer, at: number, exe: string): void {
    const word = at >> 2
    this.#remember(record, at, exe, record.u32[word + 1] * two32 + record.u32[word])
  }

  /** The process of the process_exit record at `at` ended. */
  noteExit(record: RecordBuffer, at: number): void {
    const pid = record.u32[(at + recordHeader.pid) >> 2]
    const known = this.#running.get(pid)
    if (!known || !isOf(known, record, at)) return
    this.#running.delete(pid)
    put(this.#ended, pid, known, this.#options.endedMax)
  }

  /** Execs were lost: what is known may be old. */
  forgetAll(): void {
    this.#running.clear()
    this.#ended.clear()
  }

  /** Executable of the process of the record at `at`; '' when it cannot be told. */
  exeOf(record: RecordBuffer, at: number): string {
    const pid = record.u32[(at + recordHeader.pid) >> 2]
    if (pid === 0) return ''
    const running = this.#running.get(pid)
    if (running && isOf(running, record, at)) {
      this.#running.delete(pid)
      this.#running.set(pid, running)
      return this.#told(running.exe)
    }
    const ended = this.#ended.get(pid)
    if (ended && isOf(ended, record, at)) return this.#told(ended.exe)
    return this.#told(this.#find(record, at, pid))
  }

  /** Exact start of the running process with this pid, nanoseconds since boot. */
  startOf(pid: number): bigint | undefined {
    const known = this.#running.get(pid)
    return known && (BigInt(known.startHigh) << 32n | BigInt(known.startLow))
  }

  #told(exe: string): string {
    if (exe === '') this.misses++
    return exe
  }

  #find(record: RecordBuffer, at: number, pid: number): string {
    const word = (at + recordHeader.start_time) >> 2
    const low = record.u32[word]
    const high = record.u32[word + 1]
    const looked = this.#options.budget.take()
    const startNs = (BigInt(high) << 32n) | BigInt(low)
    const exe = (looked ? readExe(pid, startNs, this.#options.procDir) : '') ||
      this.#exeOfParent(record, at, high * two32 + low)
    if (exe !== '' || looked) this.#remember(record, at, exe, high * two32 + low)
    return exe
  }

  /**
   * A process that never ran exec runs what its parent ran when it was forked. Only when the name
   * agrees: an orphan's parent is another process by now.
   */
  #exeOfParent(record: RecordBuffer, at: number, startNs: number): string {
    const ppid = record.u32[(at + recordHeader.ppid) >> 2]
    const parent = this.#running.get(ppid) ?? this.#ended.get(ppid)
    const word = (at + recordHeader.parent_start_time) >> 2
    const { u32, u8 } = record
    if (parent?.startLow !== u32[word] || parent.startHigh !== u32[word + 1]) return ''
    const comm = u8.subarray(at + recordHeader.comm, at + recordHeader.comm + commBytes)
    const name = Buffer.from(basename(parent.exe)).subarray(0, commBytes - 1)
    const padded = Buffer.alloc(commBytes, 0)
    name.copy(padded)
    const same = name.length > 0 && padded.equals(comm)
    return same && parent.sinceNs <= startNs ? parent.exe : ''
  }

  #remember(record: RecordBuffer, at: number, exe: string, sinceNs: number): void {
    const pid = record.u32[(at + recordHeader.pid) >> 2]
    const word = (at + recordHeader.start_time) >> 2
    const entry = { startLow: record.u32[word], startHigh: record.u32[word + 1], exe, sinceNs }
    put(this.#running, pid, entry, this.#options.entriesMax)
  }
}

/** The newest entry stands last; a full table gives up its first. */
function put(table: Map<number, Known>, pid: number, entry: Known, entriesMax: number): void {
  table.delete(pid)
  if (table.size >= entriesMax) {
    for (const oldest of table.keys()) {
      table.delete(oldest)
      break
    }
  }
  table.set(pid, entry)
}

function isOf(known: Known, record: RecordBuffer, at: number): boolean {
  const word = (at + recordHeader.start_time) >> 2
  return known.startLow === record.u32[word] && known.startHigh === record.u32[word + 1]
}
