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
const comm = header.comm >> 2

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
  /** The four words of comm as the kernel gave them, per row. */
  private readonly commWords: Uint32Array
  private readonly stale: Uint8Array

  /** @param rowsMax most rows that can be needed: one per event, and one for "no process". */
  constructor(rowsMax: number, strings: StringTable, factsOf: ProcessFactsOf) {
    const size = 2 ** Math.ceil(Math.log2(2 * (rowsMax + 1)))
    this.strings = strings
    this.factsOf = factsOf
    this.slots = new Uint32Array(size)
    this.mask = size - 1
    this.commWords = new Uint32Array(4 * (rowsMax + 1))
    this.stale = new Uint8Array(rowsMax + 1)
  }

  rowOfRecord(record: RecordBuffer, at: number): number {
    const { u32 } = record
    const word = at >> 2
    let slot = hash(u32[word + 3], u32[word + start]) & this.mask
    for (;;) {
      const entry = this.slots[slot]
      if (entry === 0) return this.addRecord(record, at, slot)
      if (this.same(entry - 1, u32, word)) return entry - 1
      slot = (slot + 1) & this.mask
    }
  }

  private same(row: number, u32: Uint32Array, word: number): boolean {
    const { columns, commWords } = this
    return columns.pid[row] === u32[word + 3]
      && columns.start_time[2 * row] === u32[word + start]
      && columns.start_time[2 * row + 1] === u32[word + start + 1]
      && columns.uid[row] === u32[word + (header.uid >> 2)]
      && columns.ppid[row] === u32[word + (header.ppid >> 2)]
      && columns.cgroup_id[2 * row] === u32[word + cgroup]
      && columns.cgroup_id[2 * row + 1] === u32[word + cgroup + 1]
      && commWords[4 * row] === u32[word + comm]
      && commWords[4 * row + 1] === u32[word + comm + 1]
      && commWords[4 * row + 2] === u32[word + comm + 2]
      && commWords[4 * row + 3] === u32[word + comm + 3]
      && this.stale[row] === 0
  }

  private addRecord(record: RecordBuffer, at: number, slot: number): number {
    const { u8, u32 } = record
    const word = at >> 2
    const big = (index: number) => (BigInt(u32[index + 1]) << 32n) | BigInt(u32[index])
    const facts = this.factsOf(record, at)
    const row = this.columns.rows
    this.columns.append({
      pid: u32[word + 3],
      start_time: big(word + start),
      ppid: u32[word + (header.ppid >> 2)],
      parent_start_time: big(word + parentStart),
      uid: u32[word + (header.uid >> 2)],
      cgroup_id: big(word + cgroup),
      ...facts,
    }, this.strings)
    this.columns.comm[row] = this.strings.indexOfBytes(u8, at + header.comm, 16)
    this.commWords.set(u32.subarray(word + comm, word + comm + 4), 4 * row)
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
      if (pid === 0 && this.columns.pid[row] === 0) return row
      slot = (slot + 1) & this.mask
    }
    const row = this.columns.rows
    this.columns.append(values, this.strings)
    // Names of values are not compared with names of records: such a row serves values only.
    this.stale[row] = pid === 0 ? 0 : 1
    this.slots[slot] = row + 1
    return row
  }

  forget(pid: number, startLow: number, startHigh: number): void {
    let slot = hash(pid, startLow) & this.mask
    for (;;) {
      const entry = this.slots[slot]
      if (entry === 0) return
      const row = entry - 1
      if (this.columns.pid[row] === pid && this.columns.start_time[2 * row] === startLow
        && this.columns.start_time[2 * row + 1] === startHigh) this.stale[row] = 1
      slot = (slot + 1) & this.mask
    }
  }

  clear(): void {
    this.slots.fill(0)
    this.stale.fill(0)
    this.columns.rows = 0
  }
}

function hash(pid: number, startLow: number): number {
  const mixed = Math.imul(pid ^ (startLow >>> 7), 0x9e3779b1)
  return mixed ^ (mixed >>> 15)
}
