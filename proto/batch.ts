// A batch that was encoded once, on the agent: envelope, dictionaries and columns.
import zlib from 'node:zlib'
import { bigOf } from './columns.ts'
import type { ColumnMessage } from './columns.ts'
import { ProcessColumns, decodeColumns, kindInfos } from './gen/events.ts'
import type { ColumnsByKind, EventKind } from './gen/events.ts'
import { bytesOf, messageType } from './messages.ts'

/** Largest batch before compression, bytes. Guards the reader against a crafted envelope. */
export const columnsBytesMax = 64 * 1024 * 1024

/** More than the columns of any batch that an agent makes. */
const columnsBytesUsual = 4 * 1024 * 1024

/** What is known of a batch without decompressing it. Shapes and units: proto/batch.proto. */
export interface BatchEnvelope {
  node_id: string
  boot_id: string
  first_seq: number
  count: number
  clock_offset_ns: bigint
  first_time: bigint
  last_time: bigint
  kinds: Uint8Array
  kind_counts: number[]
  columns_bytes: number
  payload: Uint8Array
}

/** Bytes that are not a batch. `message` says what is wrong; the batch is never partly used. */
export class BatchError extends Error {
  readonly code = 'MALFORMED_BATCH'
}

/** A decoded batch. Columns of kinds that this build does not know are left out. */
export interface Batch {
  envelope: BatchEnvelope
  /** Wall clock minus time since boot, milliseconds. */
  clockOffsetMs: number
  strings: string[]
  /** Kind number of every event, in order. */
  kinds: Uint8Array
  processes: ProcessColumns
  columns: Partial<ColumnsByKind>
  /** Identity of a process, `pid:start_time`; empty for pid 0. */
  processId(row: number): string
  parentProcessId(row: number): string
}

const envelopeType = messageType('Batch')
const columnsType = messageType('Columns')

/** Envelope to bytes. */
export function encodeEnvelope(envelope: BatchEnvelope): Buffer {
  return bytesOf(envelopeType.encode(envelopeType.fromObject({
    ...envelope,
    clock_offset_ns: envelope.clock_offset_ns.toString(),
    first_time: envelope.first_time.toString(),
    last_time: envelope.last_time.toString(),
  })))
}

/** Bytes to envelope; `payload` is a view. Throws BatchError. */
export function decodeEnvelope(bytes: Uint8Array): BatchEnvelope {
  let plain: Record<string, unknown>
  try {
    plain = envelopeType.toObject(envelopeType.decode(bytes), {
      longs: String, defaults: true, arrays: true,
    })
  } catch (cause) {
    throw new BatchError(`not a batch: ${(cause as Error).message}`, { cause })
  }
  const envelope = {
    ...plain,
    first_seq: Number(plain['first_seq']),
    clock_offset_ns: BigInt(plain['clock_offset_ns'] as string),
    first_time: BigInt(plain['first_time'] as string),
    last_time: BigInt(plain['last_time'] as string),
  } as BatchEnvelope
  checkEnvelope(envelope)
  return envelope
}

function checkEnvelope(envelope: BatchEnvelope): void {
  const { count, kinds, kind_counts: counts } = envelope
  const sum = counts.reduce((total, one) => total + one, 0)
  if (envelope.node_id === '') throw new BatchError('batch without node_id')
  if (!/^[0-9a-f]{32}$/.test(envelope.boot_id)) throw new BatchError('boot_id is not 32 hex digits')
  if (count < 1 || sum !== count || kinds.length !== counts.length) {
    throw new BatchError(`count is ${count}, but the kinds add up to ${sum}`)
  }
  for (let i = 1; i < kinds.length; i++) {
    if (kinds[i] <= kinds[i - 1]) throw new BatchError('the kinds of the batch are not ascending')
  }
  if (envelope.first_seq < 1 || !Number.isSafeInteger(envelope.first_seq + count)) {
    throw new BatchError(`first_seq ${envelope.first_seq} is out of range`)
  }
  if (envelope.columns_bytes > columnsBytesMax) {
    const { columns_bytes: bytes } = envelope
    throw new BatchError(`${bytes} bytes of columns are more than ${columnsBytesMax}`)
  }
}

/** Decompresses and reads the columns. Throws BatchError when they do not fit the envelope. */
export function openBatch(envelope: BatchEnvelope): Batch {
  try {
    return open(envelope)
  } catch (cause) {
    if (cause instanceof BatchError) throw cause
    throw new BatchError(`columns cannot be read: ${(cause as Error).message}`, { cause })
  }
}

/** decodeEnvelope and openBatch in one. Throws BatchError. */
export function decodeBatch(bytes: Uint8Array): Batch {
  return openBatch(decodeEnvelope(bytes))
}

type DecodedColumns = { strings: string[]; kinds: Uint8Array; processes?: Partial<ColumnMessage> }
  & Record<string, Partial<ColumnMessage> | undefined>

function open(envelope: BatchEnvelope): Batch {
  const raw = zlib.zstdDecompressSync(envelope.payload, {
    maxOutputLength: Math.max(1, envelope.columns_bytes),
    // In one piece, and one byte more, which tells that it is the end. Not on the word of a sender
    // who promises more than the largest honest batch.
    chunkSize: Math.max(64, Math.min(envelope.columns_bytes + 1, columnsBytesUsual)),
  })
  const message = columnsType.decode(raw) as unknown as DecodedColumns
  const { strings, kinds } = message
  if (kinds.length !== envelope.count) {
    throw new BatchError(`${kinds.length} events in the columns, ${envelope.count} in the envelope`)
  }
  const rows = countKinds(kinds, envelope)
  const processRows = (message.processes?.['pid']?.length ?? 0) / 4
  const processes = ProcessColumns.decode(message.processes ?? {}, processRows)
  const columns: Partial<Record<EventKind, unknown>> = {}
  for (const { kind, number } of kindInfos) {
    if (rows[number] === 0) continue
    const decoded = decodeColumns[kind](message[kind] ?? {}, rows[number])
    checkProcesses((decoded as { process: Uint32Array }).process, processRows, kind)
    columns[kind] = decoded
  }
  return {
    envelope, strings, kinds, processes,
    clockOffsetMs: Number(envelope.clock_offset_ns) / 1e6,
    columns: columns as Partial<ColumnsByKind>,
    processId: (row) => processIdentity(processes.pid[row], processes.start_time, row),
    parentProcessId: (row) =>
      processIdentity(processes.ppid[row], processes.parent_start_time, row),
  }
}

function countKinds(kinds: Uint8Array, envelope: BatchEnvelope): Uint32Array {
  const rows = new Uint32Array(256)
  for (let i = 0; i < kinds.length; i++) rows[kinds[i]]++
  envelope.kinds.forEach((number, i) => {
    if (rows[number] !== envelope.kind_counts[i]) {
      const promised = envelope.kind_counts[i]
      throw new BatchError(`${rows[number]} events of kind ${number}, not ${promised} as promised`)
    }
  })
  return rows
}

function checkProcesses(column: Uint32Array, rows: number, kind: string): void {
  let highest = 0
  for (let i = 0; i < column.length; i++) if (column[i] > highest) highest = column[i]
  if (highest >= rows) throw new BatchError(`${kind} names process ${highest} of ${rows}`)
}

function processIdentity(pid: number, startTimes: Uint32Array, row: number): string {
  return pid === 0 ? '' : `${pid}:${bigOf(startTimes, row)}`
}
