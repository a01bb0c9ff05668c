// Gathers events as columns until they leave as one encoded batch.
import zlib from 'node:zlib'
import { encodeEnvelope } from './batch.ts'
import { StringTable, bigOf } from './columns.ts'
import type { RecordBuffer } from './columns.ts'
import { ColumnsWriter } from './columns-writer.ts'
import type { ColumnsMessage } from './columns-writer.ts'
import { appendRecord, kindInfos, newColumns } from './gen/events.ts'
import type { EventKind, EventValues, Process } from './gen/events.ts'
import { ProcessTable } from './process-table.ts'
import type { ProcessFactsOf } from './process-table.ts'

const numberOfKind = Object.fromEntries(kindInfos.map((info) => [info.kind, info.number])) as
  Record<EventKind, number>

/**
 * A batch is full when its strings are this long, UTF-16 units. Each is at most three bytes, so
 * that no batch, however its strings are made, passes the 4 MiB that ingest takes.
 */
const stringUnitsMax = 1024 * 1024
/**
 * The fastest level, but it may refer back to 5 equal bytes, such as the upper ones of a number:
 * level 1 alone asks for 7, which costs columns of numbers a tenth more space for the same time.
 */
const compression = {
  [zlib.constants.ZSTD_c_compressionLevel]: 1,
  [zlib.constants.ZSTD_c_minMatch]: 5,
}
/** Far above the pool from which Node cuts small buffers. */
const ownMemoryBytes = 128 * 1024
/** Columns of one event with a process of its own. */
const eventBytes = 150

/** What the envelope says beside what the builder counts. */
export interface BatchIdentity {
  node_id: string
  boot_id: string
  first_seq: number
  clock_offset_ns: bigint
}

export interface BatchBuilderOptions {
  /** Most events in a batch. */
  eventsMax: number
  /** What user space knows of the process of a record; asked once per process and batch. */
  factsOf: ProcessFactsOf
}

/** Reused for batch after batch: memory grows to the largest batch and stays. */
export class BatchBuilder {
  count = 0
  private readonly eventsMax: number
  private readonly strings = new StringTable()
  private readonly columns = newColumns()
  private readonly kinds: Uint8Array
  private readonly processes: ProcessTable
  private readonly writer = new ColumnsWriter()

  constructor(options: BatchBuilderOptions) {
    this.eventsMax = options.eventsMax
    this.kinds = new Uint8Array(options.eventsMax)
    this.processes = new ProcessTable(options.eventsMax, this.strings, options.factsOf)
  }

  get full(): boolean {
    return this.count >= this.eventsMax || this.strings.units >= stringUnitsMax
  }

  /** Rough size of what waits here, bytes before compression; never far below the truth. */
  get bytes(): number { return this.count * eventBytes + this.strings.units }

  /** Adds a record whose kind and size were checked; `at` is a multiple of 8. Not when full. */
  appendRecord(record: RecordBuffer, at: number): void {
    const kind = record.u16[(at + 8) >> 1]
    const process = this.processes.rowOfRecord(record, at)
    appendRecord(this.columns, kind, record, at, process, this.strings)
    this.kinds[this.count++] = kind
  }

  /**
   * Says of the event that was added last, which was a record, what user space knows: text fields
   * by name. A name that is not a text field of its kind is a mistake of ours and throws.
   */
  setTexts(texts: Readonly<Record<string, string>>): void {
    const number = this.kinds[this.count - 1]
    const { kind } = kindInfos.find((info) => info.number === number)!
    const columns = this.columns[kind] as unknown as Record<string, Uint32Array>
    for (const [name, text] of Object.entries(texts)) {
      const column: unknown = columns[name]
      if (!(column instanceof Uint32Array)) throw new TypeError(`${kind} has no text ${name}`)
      column[this.columns[kind].rows - 1] = this.strings.index(text)
    }
  }

  /** Adds an event made in user space. `time`: nanoseconds since boot. Not when full. */
  append<K extends EventKind>(
    kind: K, values: Partial<EventValues[K]>, time: bigint, process?: Partial<Process>,
  ): void {
    const row = this.processes.rowOfValues(process ?? {})
    const columns = this.columns[kind] as {
      append(
        values: Partial<EventValues[K]>, time: bigint, process: number, strings: StringTable,
      ): void
    }
    columns.append(values, time, row, this.strings)
    this.kinds[this.count++] = numberOfKind[kind]
  }

  /** The next record of this process gets a new row: something about it changed (exec). */
  forgetProcess(pid: number, startLow: number, startHigh: number): void {
    this.processes.forget(pid, startLow, startHigh)
  }

  /** Events of each kind so far, by name. */
  kindCounts(): Map<EventKind, number> {
    const counts = new Map<EventKind, number>()
    for (const { kind } of kindInfos) {
      const { rows } = this.columns[kind]
      if (rows > 0) counts.set(kind, rows)
    }
    return counts
  }

  /** The batch as bytes, and an empty builder. At least one event must be in it. */
  encode(identity: BatchIdentity): Buffer {
    if (this.count === 0) throw new RangeError('a batch holds at least one event')
    const message: ColumnsMessage = {
      strings: this.strings.list,
      kinds: this.kinds.subarray(0, this.count),
      processes: this.processes.columns.message(),
    }
    const counts = this.kindCounts()
    for (const kind of counts.keys()) message[kind] = this.columns[kind].message()
    const columns = this.writer.encode(message)
    const payload = zlib.zstdCompressSync(columns, {
      // One piece for nearly every batch, and little more than it needs: the garbage collector
      // is called by bytes. The default makes dozens and joins them.
      chunkSize: Math.max(4096, columns.length >> 2),
      params: compression,
    })
    const bytes = encodeEnvelope({
      ...identity,
      ...timeRange([...counts.keys()].map((kind) => this.columns[kind])),
      count: this.count,
      kinds: Uint8Array.from([...counts.keys()].map((kind) => numberOfKind[kind])),
      kind_counts: [...counts.values()],
      columns_bytes: columns.length,
      payload,
    })
    release(payload)
    this.clear()
    return bytes
  }

  /** Forgets all events. */
  clear(): void {
    for (const { kind } of kindInfos) this.columns[kind].rows = 0
    this.strings.clear()
    this.processes.clear()
    this.count = 0
  }
}

/**
 * Earliest and latest time of the rows of these kinds; at least one row. Here and not row by row:
 * that would be a fifth of the cost of a record.
 */
function timeRange(
  kinds: { rows: number; time: Uint32Array }[],
): { first_time: bigint; last_time: bigint } {
  let first = kinds[0]
  let firstRow = 0
  let last = first
  let lastRow = 0
  for (const columns of kinds) {
    for (let row = 0; row < columns.rows; row++) {
      if (isBefore(columns.time, row, first.time, firstRow)) {
        first = columns
        firstRow = row
      }
      if (isBefore(last.time, lastRow, columns.time, row)) {
        last = columns
        lastRow = row
      }
    }
  }
  return { first_time: bigOf(first.time, firstRow), last_time: bigOf(last.time, lastRow) }
}

/**
 * Frees memory that is copied already, now and not when the garbage collector comes: at 100 batches
 * per second that is a third of what waits for it. Small buffers share theirs with others.
 */
function release(bytes: Buffer<ArrayBuffer>): void {
  if (bytes.buffer.byteLength >= ownMemoryBytes) bytes.buffer.transfer(0)
}

function isBefore(a: Uint32Array, row: number, b: Uint32Array, other: number): boolean {
  const high = a[2 * row + 1]
  const otherHigh = b[2 * other + 1]
  return high < otherHigh || (high === otherHigh && a[2 * row] < b[2 * other])
}
