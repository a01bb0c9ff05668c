/** What lies in a log's folder: segment files in order, and how their names become durable. */
import { closeSync, fsyncSync, openSync, promises, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf, logErrorOf } from './errors.ts'

/** A segment file as the folder shows it. */
export interface SegmentFile {
  name: string
  path: string
  firstPosition: number
  bytes: number
}

const SEGMENT_NAME = /^(\d{20})\.seg$/

/** The file name of the segment whose first frame has `firstPosition`. */
export function segmentName(firstPosition: number): string {
  return `${String(firstPosition).padStart(20, '0')}.seg`
}

/** The segments of a folder, oldest first; other files are ignored. Throws LogError. */
export function listSegments(dir: string): SegmentFile[] {
  const segments: SegmentFile[] = []
  for (const name of readNames(dir).sort()) {
    const match = SEGMENT_NAME.exec(name)
    if (!match) continue
    const path = join(dir, name)
    const bytes = sizeOf(path)
    // Retention may remove a segment between the listing and the look at it.
    if (bytes === null) continue
    segments.push({ name, path, firstPosition: Number(match[1]), bytes })
  }
  return segments
}

/** Makes created, renamed and removed names durable. Throws LogError. */
export async function syncFolder(dir: string): Promise<void> {
  try {
    const folder = await promises.open(dir, 'r')
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  } catch (error) {
    throw logErrorOf('sync', dir, error)
  }
}

/** The same for the time before a log is open. */
export function syncFolderBlocking(dir: string): void {
  try {
    const fd = openSync(dir, 'r')
    try {
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    throw logErrorOf('sync', dir, error)
  }
}

function readNames(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch (error) {
    throw logErrorOf('list', dir, error)
  }
}

function sizeOf(path: string): number | null {
  try {
    return statSync(path).size
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw logErrorOf('read', path, error)
  }
}
