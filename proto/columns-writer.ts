// Columns to protobuf bytes in one pass, in memory that is reused from batch to batch. The general
// encoder copies each column twice and leaves half a megabyte per batch to the garbage collector.
import type { ColumnMessage } from './columns.ts'
import { messageType } from './messages.ts'

/** A Columns message: everything that is in proto/gen/columns.proto, kinds by name. */
export type ColumnsMessage = { strings: readonly string[]; kinds: Uint8Array }
  & Record<string, ColumnMessage | readonly string[] | Uint8Array>

interface FieldPlan {
  tag: number
  /** Tags of the columns of a kind, by name. */
  columns: Map<string, number>
}

const lengthDelimited = 2
const bytesAtStart = 64 * 1024

/** Tag numbers by field name, from the generated .proto. */
const plan = planOf()

function planOf(): Map<string, FieldPlan> {
  const { fieldsArray: fields } = messageType('Columns')
  return new Map(fields.map((field) => {
    const { resolvedType } = field.resolve()
    const nested = resolvedType && 'fieldsArray' in resolvedType ? resolvedType.fieldsArray : []
    return [field.name, {
      tag: tagOf(field.id), columns: new Map(nested.map(({ name, id }) => [name, tagOf(id)])),
    }]
  }))
}

function tagOf(id: number): number {
  return (id << 3) | lengthDelimited
}

/** Writes message after message into the same memory, which grows to the largest. */
export class ColumnsWriter {
  #bytes = Buffer.allocUnsafeSlow(bytesAtStart)
  #at = 0

  /** The message as bytes: a view, valid until the next call. Throws RangeError on a wrong name. */
  encode(message: ColumnsMessage): Buffer {
    this.#at = 0
    for (const [name, value] of Object.entries(message)) {
      const field = plan.get(name)
      if (!field) throw new RangeError(`${name} is not in a Columns message`)
      if (Array.isArray(value)) this.#strings(field.tag, value)
      else if (value instanceof Uint8Array) this.#column(field.tag, value)
      else this.#kind(name, field, value as ColumnMessage)
    }
    return this.#bytes.subarray(0, this.#at)
  }

  #strings(tag: number, strings: readonly string[]): void {
    for (const text of strings) {
      const bytes = Buffer.byteLength(text)
      this.#head(tag, bytes)
      this.#at += this.#bytes.write(text, this.#at)
    }
  }

  #kind(name: string, field: FieldPlan, columns: ColumnMessage): void {
    const tags: number[] = []
    let bytes = 0
    for (const [column, { length }] of Object.entries(columns)) {
      const tag = field.columns.get(column)
      if (tag === undefined) throw new RangeError(`${name} has no column ${column}`)
      tags.push(tag)
      bytes += varintBytes(tag) + varintBytes(length) + length
    }
    this.#head(field.tag, bytes)
    Object.values(columns).forEach((column, i) => this.#column(tags[i], column))
  }

  #column(tag: number, column: Uint8Array): void {
    this.#head(tag, column.length)
    this.#bytes.set(column, this.#at)
    this.#at += column.length
  }

  /** Tag and length, and room for what follows. */
  #head(tag: number, bytes: number): void {
    const room = this.#at + 10 + bytes
    if (room > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(room, 2 * this.#bytes.length))
      this.#bytes.copy(grown, 0, 0, this.#at)
      this.#bytes = grown
    }
    this.#varint(tag)
    this.#varint(bytes)
  }

  #varint(value: number): void {
    while (value > 0x7f) {
      this.#bytes[this.#at++] = (value & 0x7f) | 0x80
      value >>>= 7
    }
    this.#bytes[this.#at++] = value
  }
}

function varintBytes(value: number): number {
  let bytes = 1
  while (value > 0x7f) {
    value >>>= 7
    bytes++
  }
  return bytes
}
