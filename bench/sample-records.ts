// Records as the kernel writes them, made in user space by the released layout (proto/lock.json).

import { parseAddress } from '../proto/address.ts'
import { recordBuffer } from '../proto/columns.ts'
import type { RecordBuffer } from '../proto/columns.ts'
import lock from '../proto/lock.json' with { type: 'json' }

export type RecordValues = Record<string, number | string>

interface Layout { number: number, record_bytes: number, fields: Record<string, FieldLayout> }
interface FieldLayout { column: string, offset?: number }

const layouts = lock.kinds as unknown as Record<string, Layout>

/** Room for one record, written again and again. */
export class RecordWriter {
  readonly record: RecordBuffer
  readonly #bytes: DataView
  readonly #text: Buffer

  constructor() {
    const buffer = new ArrayBuffer(1024)
    this.record = recordBuffer(buffer)
    this.#bytes = new DataView(buffer)
    this.#text = Buffer.from(buffer)
  }

  /** Everything that is not in `values` is zero. Numbers up to 2^53; addresses as text. */
  write(kind: string, values: RecordValues): void {
    const { number, record_bytes: bytes, fields } = layouts[kind]
    this.record.u8.fill(0, 0, bytes)
    this.#fields(layouts['record_header'].fields, { ...values, kind: number, size: bytes })
    this.#fields(fields, values)
  }

  #fields(fields: Record<string, FieldLayout>, values: RecordValues): void {
    for (const [name, { column, offset }] of Object.entries(fields)) {
      const value = values[name]
      if (offset !== undefined && value !== undefined) this.#field(column, offset, value)
    }
  }

  #field(column: string, offset: number, value: number | string): void {
    const view = this.#bytes
    switch (column) {
      case 'u8': return view.setUint8(offset, Number(value))
      case 'u16': return view.setUint16(offset, Number(value), true)
      case 'u32': return view.setUint32(offset, Number(value), true)
      case 'u64': return view.setBigUint64(offset, BigInt(value), true)
      case 'address': return this.record.u8.set(parseAddress(String(value)), offset)
      default: this.#text.write(String(value), offset)
    }
  }
}
