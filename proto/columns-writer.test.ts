import { describe, expect, it } from 'vitest'
import { ColumnsWriter } from './columns-writer.ts'
import { messageType } from './messages.ts'

const type = messageType('Columns')
const column = (length: number, value: number) => new Uint8Array(length).fill(value)

describe('the writer of columns', () => {
  it('writes what the protobuf library writes', () => {
    const writer = new ColumnsWriter()
    for (const size of [0, 1, 127, 128, 20_000, 300_000]) {
      const message = {
        strings: ['', 'nginx', 'größer', 'x'.repeat(size)],
        kinds: column(size, 20),
        processes: { pid: column(4, 1), comm: column(size, 2) },
        connection_open: { local_addr: column(16 * size, 7), time: column(size, 3) },
      }
      const expected = Buffer.from(type.encode(message).finish())
      const decoded = type.toObject(type.decode(writer.encode(message)))
      expect(decoded).toEqual(type.toObject(type.decode(expected)))
    }
  })

  it('refuses a name that the schema does not know', () => {
    const writer = new ColumnsWriter()
    const kinds = column(1, 1)
    expect(() => writer.encode({ strings: [''], kinds, nothing: {} })).toThrow('nothing')
    expect(() => writer.encode({ strings: [''], kinds, gap: { width: kinds } })).toThrow('width')
  })

  it('leaves nothing of a longer message in the next one', () => {
    const writer = new ColumnsWriter()
    writer.encode({ strings: ['', 'secret'], kinds: column(1000, 9) })
    const next = writer.encode({ strings: [''], kinds: column(1, 1) })
    expect(type.toObject(type.decode(next))).toEqual({ strings: [''], kinds: Buffer.from([1]) })
  })
})
