/**
 * State of the correlator at a position of the event log, so that a restart need not read the
 * whole log. A file per snapshot, `<position>.snap`: it holds what came of all batches up to and
 * including that position. Written whole or not at all.
 *
 *    0  4  crc32 of the rest
 *    4  …  msgpack of Snapshot
 */
import { promises, readFileSync, readdirSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { pack, unpack } from 'msgpackr'
import { syncFolder } from '../../log/folder.ts'
import type { CorrelatorSettings } from '../config.ts'
import { CorrelatorError, messageOf } from '../errors.ts'
import type { StoredProgress } from '../ingest/sequences.ts'

/** What a snapshot holds. */
export interface Snapshot {
  version: 1
  /** Last position of the event log that went in. */
  position: number
  /** Engine.snapshot(). */
  engine: Uint8Array
  sequences: StoredProgress[]
  /** SHA-256 of the policy in force, hex; empty for none yet. */
  policy_sha256: string
}

/** Folder of the snapshots. */
export function snapshotFolder(settings: CorrelatorSettings): string {
  return join(settings.data, 'snapshots')
}

const NAME = /^(\d{20})\.snap$/

/** Positions of the snapshots in a folder, newest first; none when there is no folder. */
export function snapshotPositions(dir: string): number[] {
  let names: string[]
  try {
    names = readdirSync(dir)
  } catch {
    return []
  }
  return names.map((name) => Number(NAME.exec(name)?.[1] ?? NaN))
    .filter((position) => !Number.isNaN(position)).sort((a, b) => b - a)
}

/** Reads one. Throws SNAPSHOT_DAMAGED for anything but a whole snapshot of that position. */
export function readSnapshot(dir: string, position: number): Snapshot {
  const path = join(dir, nameOf(position))
  try {
    const bytes = readFileSync(path)
    if (bytes.readUInt32LE(0) !== crc32(bytes.subarray(4))) throw new Error('checksum differs')
    const snapshot = unpack(bytes.subarray(4)) as Snapshot
    if (snapshot.version !== 1) throw new Error(`version ${String(snapshot.version)} is not known`)
    if (snapshot.position !== position) throw new Error('it belongs to another position')
    return snapshot
  } catch (error) {
    throw new CorrelatorError('SNAPSHOT_DAMAGED', `${path}: ${messageOf(error)}`, error)
  }
}

/** Writes one. Rejects with the error of the file system; then the old ones are as they were. */
export async function writeSnapshot(dir: string, snapshot: Snapshot): Promise<void> {
  const path = join(dir, nameOf(snapshot.position))
  const fresh = `${path}.new`
  const body = pack(snapshot)
  const head = Buffer.alloc(4)
  head.writeUInt32LE(crc32(body))
  await promises.mkdir(dir, { recursive: true, mode: 0o750 })
  try {
    const file = await promises.open(fresh, 'w', 0o640)
    try {
      await file.writev([head, body])
      await file.datasync()
    } finally {
      await file.close()
    }
    await promises.rename(fresh, path)
  } catch (error) {
    await promises.rm(fresh, { force: true })
    throw error
  }
  await syncFolder(dir)
}

/**
 * Removes the snapshots that no log goes on from: the batch after them has left. The newest stays.
 *
 * @param first oldest position of the event log
 */
export function removeSnapshots(dir: string, first: number): void {
  const [, ...older] = snapshotPositions(dir)
  for (const position of older) {
    if (position < first - 1) unlinkSync(join(dir, nameOf(position)))
  }
}

function nameOf(position: number): string {
  return `${String(position).padStart(20, '0')}.snap`
}
