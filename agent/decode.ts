// Stage 3, record → event: walks what one read gave, checks each record, hands on the good ones.
// Pure. The hot path of the agent: no object, no BigInt and no closure per record.

import type { RecordBuffer } from '../proto/columns.ts'
import { kindInfos, recordHeader } from '../proto/gen/events.ts'
import type { EventKind } from '../proto/gen/events.ts'

/** Takes the record of `kind` at byte `at`; the buffer is reused after the walk. */
export interface RecordSink {
  takeRecord(record: RecordBuffer, at: number, kind: number): void
}

/** Records that could not be decoded since the start. */
export interface Malformed {
  /** `unknown` when not even the kind can be told. */
  event_kind: EventKind | 'unknown'
  count: number
  /** The first bytes of the first one, hex. */
  sample: string
}

/** Kinds are one byte in batches. */
const kindsMax = 256
const unknownKind = 0
const sampleBytes = 96
/** Bad records in a row that are stepped over. */
const stepsMax = 16
const headerBytes = recordHeader.bytes

/** Bytes of a whole record by kind number; 0 for kinds that the kernel does not make. */
const bytesOfKind = new Uint16Array(kindsMax)
for (const { number, recordBytes } of kindInfos) bytesOfKind[number] = recordBytes

/** Walks reads; keeps counts and one sample per kind of what was malformed. */
export class Decoder {
  readonly #sink: RecordSink
  readonly #counts = new Float64Array(kindsMax)
  readonly #samples = new Map<number, string>()
  /** Good records. */
  records = 0
  /** Reads of which the rest was dropped, because no further record could be found in it. */
  readsCut = 0

  constructor(sink: RecordSink) {
    this.#sink = sink
  }

  /** Walks whole records, back to back, in the first `bytes` of the views. Never throws. */
  decode(record: RecordBuffer, bytes: number): void {
    const { u16 } = record
    const sink = this.#sink
    let good = 0
    let at = 0
    while (at + headerBytes <= bytes) {
      const kind = u16[(at + recordHeader.kind) >> 1]
      const size = u16[(at + recordHeader.size) >> 1]
      if (kind < kindsMax && size !== 0 && bytesOfKind[kind] === size && at + size <= bytes) {
        sink.takeRecord(record, at, kind)
        good++
        at += size
        continue
      }
      at = this.#skip(record, at, bytes)
    }
    this.records += good
    if (at < bytes) this.#skip(record, at, bytes)
  }

  /** Every kind of which a record was malformed. */
  malformed(): Malformed[] {
    const list: Malformed[] = []
    for (const [kind, sample] of this.#samples) {
      list.push({ event_kind: nameOf(kind), count: this.#counts[kind], sample })
    }
    return list
  }

  /** Counts a bad record; the walk goes on behind it when that is plausible, else at the end. */
  #skip(record: RecordBuffer, at: number, bytes: number): number {
    const whole = at + headerBytes <= bytes
    const kind = whole ? record.u16[(at + recordHeader.kind) >> 1] : unknownKind
    this.#count(kind < kindsMax && bytesOfKind[kind] !== 0 ? kind : unknownKind, record, at, bytes)
    if (leadsOn(record, at, bytes)) return at + record.u16[(at + recordHeader.size) >> 1]
    this.readsCut++
    return bytes
  }

  #count(kind: number, record: RecordBuffer, at: number, bytes: number): void {
    this.#counts[kind]++
    if (this.#samples.has(kind)) return
    const sample = record.u8.subarray(at, Math.min(bytes, at + sampleBytes))
    this.#samples.set(kind, Buffer.from(sample).toString('hex'))
  }
}

/** Whether the sizes from `at` on lead to a good record or exactly to the end, in a few steps. */
function leadsOn({ u16 }: RecordBuffer, at: number, bytes: number): boolean {
  let next = at
  for (let step = 0; step < stepsMax && next + headerBytes <= bytes; step++) {
    const size = u16[(next + recordHeader.size) >> 1]
    if (size < headerBytes || size % 8 !== 0) return false
    next += size
    if (next === bytes) return true
    if (next + headerBytes > bytes) return false
    const kind = u16[(next + recordHeader.kind) >> 1]
    if (kind < kindsMax && bytesOfKind[kind] !== 0 &&
      bytesOfKind[kind] === u16[(next + recordHeader.size) >> 1]) return true
  }
  return false
}

function nameOf(kind: number): EventKind | 'unknown' {
  return kindInfos.find((info) => info.number === kind)?.kind ?? 'unknown'
}
