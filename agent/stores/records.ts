// Records about stores on their way through the agent: the name of the store, and how many files
// the kernel's sketch stands for.

import type { RecordBuffer } from '../../proto/columns.ts'
import { kindInfos, recordOffsets, storeOperationNames } from '../../proto/gen/events.ts'
import { filesOfSketch } from './sketch.ts'

/** Text fields of these events. */
export type StoreTexts = { store: string }

const numberOf = (kind: string): number => kindInfos.find((info) => info.kind === kind)!.number
const readNumber = numberOf('store_read')
const writeNumber = numberOf('store_write')
const write = recordOffsets.store_write
const renamed = storeOperationNames.indexOf('rename')
/** By kind number, where the number of the store is. */
const idAt: ReadonlyMap<number, number> = new Map([
  [readNumber, recordOffsets.store_read.store_id],
  [writeNumber, recordOffsets.store_write.store_id],
  [numberOf('store_listing'), recordOffsets.store_listing.store_id],
])

/** Completes them. */
export class StoreRecords {
  readonly #nameOf: (id: number) => string | undefined
  /** Records of a store that nobody knows. */
  misses = 0

  constructor(nameOf: (id: number) => string | undefined) {
    this.#nameOf = nameOf
  }

  /** Completes the record at `at` in place; the texts that belong to it. Undefined for others. */
  complete(record: RecordBuffer, at: number, kind: number): StoreTexts | undefined {
    const offset = idAt.get(kind)
    if (offset === undefined) return undefined
    if (kind === readNumber) countFiles(record, at)
    const store = this.#nameOf(record.u32[(at + offset) >> 2])
    if (store === undefined) this.misses++
    return store === undefined ? undefined : { store }
  }
}

/** Where a file or folder is now, when this record tells of a rename in a store. */
export function renameIn(
  { u8, u32 }: RecordBuffer, at: number, kind: number,
): { device: number, inode: bigint, path: string } | undefined {
  if (kind !== writeNumber || u8[at + write.operation] !== renamed) return undefined
  const bytes = u8.subarray(at + write.path, at + write.old_path)
  const end = bytes.indexOf(0)
  const word = (at + write.inode) >> 2
  return {
    device: u32[(at + write.device) >> 2],
    inode: BigInt(u32[word + 1]) << 32n | BigInt(u32[word]),
    path: Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('utf8'),
  }
}

function countFiles({ u32 }: RecordBuffer, at: number): void {
  const word = (at + recordOffsets.store_read.files_distinct) >> 2
  const files = filesOfSketch(BigInt(u32[word + 1]) << 32n | BigInt(u32[word]))
  u32[word] = files % 2 ** 32
  u32[word + 1] = Math.floor(files / 2 ** 32)
}
