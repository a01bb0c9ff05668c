// The rows of one kind as typed arrays. The generated classes in gen/events.ts add the fields.
// 64-bit values are two 32-bit words, low word first: reading them so costs a tenth of a BigInt.

/** Bytes of records as the ring gives them, in the three widths in which fields are read. */
export interface RecordBuffer {
  u8: Uint8Array
  u16: Uint16Array
  u32: Uint32Array
}

/** Views of one buffer. `buffer.byteLength` must be a multiple of 4. */
export function recordBuffer(buffer: ArrayBuffer): RecordBuffer {
  return { u8: new Uint8Array(buffer), u16: new Uint16Array(buffer), u32: new Uint32Array(buffer) }
}

/** Gives every string of a batch a small number. Index 0 is the empty string. */
export class StringTable {
  readonly list: string[] = ['']
  /** Length of all strings, UTF-16 units: at most a third of their bytes. */
  units = 0
  private readonly indexes = new Map<string, number>([['', 0]])

  index(text: string): number {
    const known = this.indexes.get(text)
    if (known !== undefined) return known
    const index = this.list.push(text) - 1
    this.indexes.set(text, index)
    this.units += text.length
    return index
  }

  /** Text of the bytes from `at`, up to a NUL or `bytesMax`. */
  indexOfBytes(bytes: Uint8Array, at: number, bytesMax: number): number {
    if (bytes[at] === 0) return 0
    let end = at
    while (end < at + bytesMax && bytes[end] !== 0) end++
    return this.index(decodeText(bytes, at, end))
  }

  /** As indexOfBytes, but NUL separates parts: up to the last byte that is not NUL. */
  indexOfList(bytes: Uint8Array, at: number, bytesMax: number): number {
    let end = at + bytesMax
    while (end > at && bytes[end - 1] === 0) end--
    return end === at ? 0 : this.index(decodeText(bytes, at, end))
  }

  clear(): void {
    this.list.length = 1
    this.units = 0
    this.indexes.clear()
    this.indexes.set('', 0)
  }
}

function decodeText(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8')
}

type Numbers = Uint8Array | Uint16Array | Uint32Array

/** A longer copy of `array`. */
export function grown<T extends Numbers>(array: T, length: number): T {
  const next = new (array.constructor as new (length: number) => T)(length)
  next.set(array)
  return next
}

/** The bytes of the first `length` elements; a view, not a copy. */
export function bytesOf(array: Numbers, length: number): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, length * array.BYTES_PER_ELEMENT)
}

/**
 * Column bytes as elements of `type`: `rows * perRow` of them. A missing column is zeros.
 * Throws RangeError when the column has another length.
 */
export function columnOf<T extends Numbers>(
  type: {
    new (buffer: ArrayBufferLike, offset: number, length: number): T
    BYTES_PER_ELEMENT: number
  },
  bytes: Uint8Array | undefined,
  elements: number,
  name: string,
): T {
  const wanted = elements * type.BYTES_PER_ELEMENT
  if (!bytes || bytes.length === 0) return new type(new ArrayBuffer(wanted), 0, elements)
  if (bytes.length !== wanted) {
    throw new RangeError(`column ${name} has ${bytes.length} bytes, not ${wanted}`)
  }
  if (bytes.byteOffset % type.BYTES_PER_ELEMENT === 0) {
    return new type(bytes.buffer, bytes.byteOffset, elements)
  }
  // Not slice(): on a Buffer that is a view, as misaligned as this one.
  return new type(new Uint8Array(bytes).buffer, 0, elements)
}

/** Two words as an exact value. */
export function bigOf(words: Uint32Array, row: number): bigint {
  return (BigInt(words[2 * row + 1]) << 32n) | BigInt(words[2 * row])
}

/** Two words as a number; exact up to 2^53. */
export function numberOf(words: Uint32Array, row: number): number {
  return words[2 * row + 1] * 4294967296 + words[2 * row]
}

/** Writes an exact value or an amount as two words. Negative and fractional values are refused. */
export function setWords(words: Uint32Array, row: number, value: bigint | number): void {
  if (value < 0 || (typeof value === 'number' && !Number.isSafeInteger(value))) {
    throw new RangeError(`${value} is not a 64-bit amount`)
  }
  if (typeof value === 'number') {
    words[2 * row] = value % 4294967296
    words[2 * row + 1] = Math.floor(value / 4294967296)
  } else {
    words[2 * row] = Number(value & 0xffffffffn)
    words[2 * row + 1] = Number((value >> 32n) & 0xffffffffn)
  }
}

/** Column bytes of one kind as they are in a Columns message. */
export type ColumnMessage = Record<string, Uint8Array>
