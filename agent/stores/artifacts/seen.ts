// Which file a record of a store tells of, for who looks at what is in it.

import type { RecordBuffer } from '../../../proto/columns.ts'
import { kindInfos, recordOffsets, storeOperationNames } from '../../../proto/gen/events.ts'
import type { ProcessFactsOf } from '../../../proto/process-table.ts'
import { longAt, processOf, textAt } from '../../enrich/record-fields.ts'
import type { SeenArtifact } from '../digests.ts'

const numberOf = (kind: string): number => kindInfos.find((info) => info.kind === kind)!.number
const readNumber = numberOf('store_read')
const writeNumber = numberOf('store_write')
const pathBytesMax = 256
/** After these there is a file that was not there, or not like that. */
const makes = new Set(['create', 'modify', 'overwrite', 'truncate', 'rename', 'link'])

/** Undefined when the record at `at` tells of none, or not of its whole path. */
export function artifactOf(
  record: RecordBuffer, at: number, kind: number, store: string, factsOf: ProcessFactsOf,
): SeenArtifact | undefined {
  const changed = kind === writeNumber
  if (kind !== readNumber && !changed) return undefined
  const offsets = changed ? recordOffsets.store_write : recordOffsets.store_read
  const { u8, u32 } = record
  const path = textAt(record, at + offsets.path, pathBytesMax)
  if (path === '' || u8[at + offsets.path_cut] !== 0) return undefined
  if (changed) {
    const operation = u8[at + recordOffsets.store_write.operation]
    if (!makes.has(storeOperationNames[operation] ?? '')) return undefined
  }
  return {
    store, path, changed, inode: longAt(record, at + offsets.inode),
    device: u32[(at + offsets.device) >> 2],
    process: processOf(record, at, factsOf),
  }
}
