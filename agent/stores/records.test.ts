import { describe, expect, it } from 'vitest'
import { recordBuffer } from '../../proto/columns.ts'
import { kindInfos, recordOffsets } from '../../proto/gen/events.ts'
import { StoreIds } from './ids.ts'
import { StoreRecords } from './records.ts'

const numberOf = (kind: string) => kindInfos.find((info) => info.kind === kind)!.number
const ids = new StoreIds()
const id = ids.idOf('imagenet')

/** A record at 1,024 whose store is `store` and whose sketch holds one file. */
function recordOf(kind: 'store_read' | 'store_write' | 'store_listing', store: number) {
  const record = recordBuffer(new ArrayBuffer(4096))
  record.u32[(1024 + recordOffsets[kind].store_id) >> 2] = store
  const view = new DataView(record.u8.buffer as ArrayBuffer)
  const sketch = 4095n << 48n | 4095n << 32n | 1n << 31n
  view.setBigUint64(1024 + recordOffsets.store_read.files_distinct, sketch, true)
  return { record, files: () => view.getBigUint64(1024 + recordOffsets.store_read.files_distinct, true), sketch }
}

describe('records about stores', () => {
  it('get the name of the store, and reads the number of files', () => {
    const records = new StoreRecords((one) => ids.nameOf(one))
    const { record, files } = recordOf('store_read', id)
    expect(records.complete(record, 1024, numberOf('store_read'))).toEqual({ store: 'imagenet' })
    expect(files()).toBe(1n)
    for (const kind of ['store_write', 'store_listing'] as const) {
      expect(records.complete(recordOf(kind, id).record, 1024, numberOf(kind))).toEqual({ store: 'imagenet' })
    }
    expect(records.misses).toBe(0)
  })

  it('of a store that nobody knows go on without its name, which is counted', () => {
    const records = new StoreRecords((one) => ids.nameOf(one))
    const { record, files } = recordOf('store_read', 77)
    expect(records.complete(record, 1024, numberOf('store_read'))).toBeUndefined()
    expect([records.misses, files()]).toEqual([1, 1n])
  })

  it('of other kinds are left as they are', () => {
    const records = new StoreRecords(() => 'x')
    const { record, files, sketch } = recordOf('store_read', id)
    expect(records.complete(record, 1024, numberOf('process_exec'))).toBeUndefined()
    expect([records.misses, files()]).toEqual([0, sketch])
  })
})

it('a store keeps its number, and the names given first are forgotten when they are too many', () => {
  const many = new StoreIds()
  expect([many.idOf('a'), many.idOf('b'), many.idOf('a')]).toEqual([1, 2, 1])
  expect([many.nameOf(2), many.nameOf(3)]).toEqual(['b', undefined])
  for (let i = 0; i < 4095; i++) many.idOf(`s${i}`)
  expect([many.nameOf(1), many.nameOf(2), many.idOf('a')]).toEqual([undefined, 'b', 4098])
})
