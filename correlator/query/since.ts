/** Where in the log events of a time begin, from the headers of the segments alone. */
import { closeSync, openSync } from 'node:fs'
import { listSegments } from '../../log/folder.ts'
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES } from '../../log/segment.ts'
import { readBytes } from '../../log/walk.ts'

/** How far the clock of a node may be ahead of the correlator's. */
const CLOCK_AHEAD_MS = 10 * 60_000

/**
 * A position before which no event of `fromMs` or later stands. Events come late, never early: a
 * segment holds nothing newer than the time at which the next one was begun, but for clocks that
 * are ahead.
 *
 * @param fromMs milliseconds since 1970; 0 for all
 */
export function firstPositionSince(dir: string, fromMs: number): number {
  const segments = listSegments(dir)
  let first = segments[0]?.firstPosition ?? 1
  if (fromMs === 0) return first
  for (const { path, firstPosition } of segments.slice(1)) {
    const createdMs = createdOf(path)
    if (createdMs === null) continue
    if (createdMs + CLOCK_AHEAD_MS >= fromMs) break
    first = firstPosition
  }
  return first
}

function createdOf(path: string): number | null {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch {
    // Retention took it: the ones behind it are looked at.
    return null
  }
  try {
    const bytes = readBytes(fd, path, 0, SEGMENT_HEADER_BYTES)
    if (bytes.length < SEGMENT_HEADER_BYTES) return null
    return decodeSegmentHeader(bytes)?.createdMs ?? null
  } finally {
    closeSync(fd)
  }
}
