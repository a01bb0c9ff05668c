import type { RecordBuffer, StringTable } from './columns.ts'
import { ProcessColumns, recordHeader } from './gen/events.ts'
import type { Process } from './gen/events.ts'

/** What user space adds to the identity of a process. Empty strings for what is not known. */
export interface ProcessFacts {
  exe: string
  cgroup_path: string
  workload: string
}

/** Facts about the process of the record at `at`. */
export type ProcessFactsOf = (record: RecordBuffer, at: number) => ProcessFacts

const header = recordHeader
const start = header.start_time >> 2
const parentStart = header.parent_start_time >> 2
const cgroup = header.cgroup_id >> 2
/** The part of a record's header that says who acts: words from pid to the end of comm. */
const whoFirst = header.pid >> 2
const whoWords = (header.bytes - header.pid) >> 2
/** For a row that is filled word by word. */
const nothingKnown: Partial<Process> = {}
/** In place of the pid of a row that no record may find again; no kernel gives out such a pid. */
const pidStale = 0xffffffff

/**
 * The processes of one batch, each once. A hash table in typed arrays: a record finds its row with
 * a few integer comparisons, without a string or a BigInt. A process whose user, name or cgroup
 * changed in the middle of the batch gets a further row.
 */
export class ProcessTable {
  columns = new ProcessColumns()
  private readonly strings: StringTable
  private readonly factsOf: ProcessFactsOf
  /** Row + 1 of the entry, 0 for none. */
  private readonly slots: Uint32Array
  private readonly mask: number
  /** The 13 words of each row's identity as the kernel gave them: one look-up reads one place. */
  private readonly who: Uint32Array

  /** @param rowsMax most rows that can be needed: one per event, and one for "no process". */
  constructor(rowsMax: number, strings: StringTable, factsOf: ProcessFactsOf) {
    const size = 2 ** Math.ceil(Math.log2(2 * (rowsMax + 1)))
    this.strings = strings
    this.factsOf = factsOf
    this.slots = new Uint32Array(size)
    this.mask = size - 1
    this.who = new Uint32Array(whoWords * (rowsMax + 1))
  }

  rowOfRecord(record: RecordBuffer, at: number): number {
    const { u32 } = record
    const { slots, mask, who } = this
    const word = (at >> 2) + whoFirst
    let slot = hash(u32[word], u32[word + 1]) & mask
    for (;;) {
      const entry = slots[slot]
      if (entry === 0) return this.addRecord(record, at, slot)
      if (same(who, whoWords * (entry - 1), u32, word)) return entry - 1
      slot = (slot + 1) & mask
    }
  }

  /** Word by word: as an object with BigInts it would be a fifth of the cost of all records. */
  private addRecord(record: RecordBuffer, at: number, slot: number): number {
    const { u8, u32 } = record
    const { columns, strings, who } = this
    const word = at >> 2
    const facts = this.factsOf(record, at)
    const row = columns.rows
    columns.append(nothingKnown, strings)
    columns.pid[row] = u32[word + whoFirst]
    columns.start_time[2 * row] = u32[word + start]
    columns.start_time[2 * row + 1] = u32[word + start + 1]
    columns.ppid[row] = u32[word + (header.ppid >> 2)]
    columns.parent_start_time[2 * row] = u32[word + parentStart]
    columns.parent_start_time[2 * row + 1] = u32[word + parentStart + 1]
    columns.uid[row] = u32[word + (header.uid >> 2)]
    columns.cgroup_id[2 * row] = u32[word + cgroup]
    columns.cgroup_id[2 * row + 1] = u32[word + cgroup + 1]
    columns.comm[row] = strings.indexOfBytes(u8, at + header.comm, 16)
    columns.exe[row] = strings.index(facts.exe)
    columns.cgroup_path[row] = strings.index(facts.cgroup_path)
    columns.workload[row] = strings.index(facts.workload)
    for (let i = 0; i < whoWords; i++) who[whoWords * row + i] = u32[word + whoFirst + i]
    this.slots[slot] = row + 1
    return row
  }

  /** A row for values; the same "no process" row for all events without one. */
  rowOfValues(values: Partial<Process>): number {
    const pid = values.pid ?? 0
    const startTime = values.start_time ?? 0n
    let slot = hash(pid, Number(startTime & 0xffffffffn)) & this.mask
    for (;;) {
      const entry = this.slots[slot]
      if (entry === 0) break
      const row = entry - 1
      if (pid === 0 && this.isNobody(row)) return row
      slot = (slot + 1) & this.mask
    }
    const row = this.columns.rows
    this.columns.append(values, this.strings)
    // Names of values are not compared with names of records: such a row serves values only.
    this.who.fill(0, whoWords * row, whoWords * (row + 1))
    if (pid !== 0) this.who[whoWords * row] = pidStale
    this.slots[slot] = row + 1
    return row
  }

  /** A connection without a process has a row of pid 0, too, but it knows its cgroup. */
  private isNobody(row: number): boolean {
    const { pid, cgroup_id: cgroupId } = this.columns
    return pid[row] === 0 && cgroupId[2 * row] === 0 && cgroupId[2 * row + 1] === 0
  }

  forget(pid: number, startLow: number, startHigh: number): void {
    let slot = hash(pid, startLow) & this.mask
    for (;;) {
      const entry = this.slots[slot]
      if (entry === 0) return
      const row = entry - 1
      if (this.columns.pid[row] === pid && this.columns.start_time[2 * row] === startLow
        && this.columns.start_time[2 * row + 1] === startHigh) this.who[whoWords * row] = pidStale
      slot = (slot + 1) & this.mask
    }
  }

  clear(): void {
    this.slots.fill(0)
    this.columns.rows = 0
  }
}

/** Is row identity `a[i…]` the same as `b[j…]`? Unrolled: a loop costs three times as much. */
function same(a: Uint32Array, i: number, b: Uint32Array, j: number): boolean {
  return a[i] === b[j] && a[i + 1] === b[j + 1] && a[i + 2] === b[j + 2]
    && a[i + 3] === b[j + 3] && a[i + 4] === b[j + 4] && a[i + 5] === b[j + 5]
    && a[i + 6] === b[j + 6] && a[i + 7] === b[j + 7] && a[i + 8] === b[j + 8]
    && a[i + 9] === b[j + 9] && a[i + 10] === b[j + 10] && a[i + 11] === b[j + 11]
    && a[i + 12] === b[j + 12]
}

function hash(pid: number, startLow: number): number {
  const mixed = Math.imul(pid ^ (startLow >>> 7), 0x9e3779b1)
  return mixed ^ (mixed >>> 15)
}
