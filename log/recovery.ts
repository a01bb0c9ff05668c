/**
 * What a writer does with a folder before it appends. Only the last segment can have an unfinished
 * end: a segment is synced before the next one is created. What cannot be read there and has no
 * intact frame behind it is cut off and reported; a bad place with intact frames behind it is
 * damage, which is reported and left as it is, and writing goes on in a new segment.
 */
import { closeSync, fdatasyncSync, ftruncateSync, openSync, renameSync, unlinkSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { CHAIN_START } from './chain.ts'
import { LogError, logErrorOf, type LogProblem } from './errors.ts'
import { listSegments, syncFolderBlocking, type SegmentFile } from './folder.ts'
import { decodeFrameHeader, findFrameMarker, FRAME_HEADER_BYTES } from './frame.ts'
import { decodeSegmentHeader, FORMAT_VERSION, SEGMENT_HEADER_BYTES } from './segment.ts'
import { FrameWalker, readBytes, WHAT_OF_STEP } from './walk.ts'

/** The end that was cut off; keys as in the events and messages that report it. */
export interface Recovered {
  segment: string
  offset: number
  /** Bytes that were cut off. */
  bytes: number
  /** Position of the first frame that did not survive; the next append gets it again. */
  position: number
  what: string
}

/** A folder that is ready for appending. */
export interface Recovery {
  /** Oldest first, with the sizes after recovery. */
  segments: SegmentFile[]
  /** Whether appending may go on in the last segment; otherwise a new one must begin. */
  lastIsOpen: boolean
  next: number
  /** Chain hash of the last intact frame. */
  hash: Buffer
  recovered: Recovered[]
  problems: LogProblem[]
}

/** Bytes read at a time when looking for an intact frame behind a bad place. */
const SEARCH_BYTES = 1024 * 1024

/** Reads the end of the last segment and makes the folder ready for appending. Throws LogError. */
export function recoverFolder(dir: string): Recovery {
  const segments = listSegments(dir)
  const recovery: Recovery = {
    segments, lastIsOpen: false, next: 1, hash: CHAIN_START, recovered: [], problems: [],
  }
  let floor = 1
  for (let last = segments.at(-1); last !== undefined; last = segments.at(-1)) {
    if (recoverSegment(last, recovery, { sealed: floor > 1 })) break
    floor = Math.max(floor, last.firstPosition)
    segments.pop()
  }
  if (recovery.next < floor) recovery.lastIsOpen = false
  recovery.next = Math.max(recovery.next, floor)
  syncFolderBlocking(dir)
  return recovery
}

// False when the segment holds nothing and has left the row of segments.
function recoverSegment(
  segment: SegmentFile, recovery: Recovery, { sealed }: { sealed: boolean },
): boolean {
  const { path } = segment
  try {
    const fd = openSync(path, 'r+')
    try {
      const header = decodeSegmentHeader(readBytes(fd, path, 0, SEGMENT_HEADER_BYTES))
      if (header && header.version > FORMAT_VERSION) throw newerVersion(path, header.version)
      const named = header?.firstPosition === segment.firstPosition
      const walked = walkToEnd(fd, segment, header?.previousHash ?? CHAIN_START)
      if (!named && walked.next === segment.firstPosition) {
        setAside(segment, recovery)
        return false
      }
      recovery.next = walked.next
      recovery.hash = walked.hash
      if (!named) recovery.problems.push(badSegmentHeader(segment))
      recovery.problems.push(...walked.damage.map((bad) => damageInside(segment, bad)))
      const isDamaged = sealed || recovery.problems.length > 0
      if (walked.tail && isDamaged) recovery.problems.push(damageInside(segment, walked.tail))
      if (walked.tail && !isDamaged) cutOff(fd, segment, walked.tail, recovery)
      recovery.lastIsOpen = recovery.problems.length === 0
      // Frames that a killed writer had written but not synced are part of the log from now on.
      fdatasyncSync(fd)
      return true
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    throw logErrorOf('recover', path, error)
  }
}

/** A place that holds no intact frame. */
interface BadPlace {
  offset: number
  position: number
  what: string
}

interface Walked {
  next: number
  hash: Buffer
  /** Bad places with an intact frame behind them. */
  damage: BadPlace[]
  /** The first bad place with none behind it. */
  tail: BadPlace | null
}

function walkToEnd(fd: number, segment: SegmentFile, previousHash: Buffer): Walked {
  const position = segment.firstPosition
  const start = { offset: SEGMENT_HEADER_BYTES, position, size: segment.bytes }
  const walker = new FrameWalker(fd, segment.path, start)
  const walked: Walked = { next: position, hash: previousHash, damage: [], tail: null }
  for (;;) {
    const place = { offset: walker.nextOffset, position: walker.nextPosition }
    const step = walker.step()
    if (step === 'end') return walked
    if (step === 'frame') {
      if (walked.tail !== null) walked.damage.push(walked.tail)
      walked.tail = null
      walked.next = walker.nextPosition
      walked.hash = Buffer.from(walker.hash)
      continue
    }
    walked.tail ??= { ...place, what: WHAT_OF_STEP[step] }
    if (step === 'bad_payload') continue
    const found = findIntactFrame(fd, segment, place.offset + 1, place.position)
    if (found === null) return walked
    walker.nextOffset = found.offset
    walker.nextPosition = found.position
  }
}

function cutOff(fd: number, segment: SegmentFile, tail: BadPlace, recovery: Recovery): void {
  const bytes = segment.bytes - tail.offset
  recovery.recovered.push({ segment: segment.name, ...tail, bytes })
  ftruncateSync(fd, tail.offset)
  segment.bytes = tail.offset
}

// A file that was being created when the machine stopped has at most its header, or only zeros
// that were never synced. Something longer might be a segment that the disk destroyed: it is kept.
function setAside(segment: SegmentFile, recovery: Recovery): void {
  const { name, path, firstPosition: position, bytes } = segment
  if (bytes <= SEGMENT_HEADER_BYTES) {
    unlinkSync(path)
    const what = 'the segment header was never finished'
    recovery.recovered.push({ segment: name, offset: 0, bytes, position, what })
    return
  }
  renameSync(path, `${path}.damaged`)
  recovery.problems.push({
    segment: `${name}.damaged`, offset: 0, position,
    what: `${bytes} bytes hold neither a segment header nor an intact frame`,
    action: 'The file was set aside; compare it with a copy, then remove it.',
  })
}

// An intact frame at or behind `offset` with a position that fits there, or null.
function findIntactFrame(
  fd: number, segment: SegmentFile, offset: number, position: number,
): { offset: number, position: number } | null {
  let searched = offset
  while (searched < segment.bytes) {
    const bytes = readBytes(fd, segment.path, searched, SEARCH_BYTES + FRAME_HEADER_BYTES)
    let at = findFrameMarker(bytes, 0)
    for (; at >= 0 && at < SEARCH_BYTES; at = findFrameMarker(bytes, at + 1)) {
      const header = decodeFrameHeader(bytes, at)
      if (header === null) continue
      const found = { offset: searched + at, position: header.position }
      // Each frame between takes a header at least: an invented position cannot run away.
      const positionMax = position + (found.offset - offset) / FRAME_HEADER_BYTES + 1
      if (found.position < position || found.position > positionMax) continue
      const from = found.offset + FRAME_HEADER_BYTES
      const payload = readBytes(fd, segment.path, from, header.payloadBytes)
      const whole = payload.length === header.payloadBytes
      if (whole && crc32(payload) === header.payloadCrc) return found
    }
    searched += SEARCH_BYTES
  }
  return null
}

function damageInside(segment: SegmentFile, bad: BadPlace): LogProblem {
  const { offset, position, what } = bad
  const action = 'Nothing was removed; writing goes on in a new segment. Run `vedette verify`.'
  return { segment: segment.name, offset, position, what, action }
}

function badSegmentHeader(segment: SegmentFile): LogProblem {
  return {
    segment: segment.name, offset: 0, position: segment.firstPosition,
    what: 'the segment header is damaged or belongs to another segment',
    action: 'Nothing was removed; writing goes on in a new segment. Run `vedette verify`.',
  }
}

function newerVersion(path: string, version: number): LogError {
  const what = `format version ${version} is newer than ${FORMAT_VERSION}`
  return new LogError('LOG_VERSION', { operation: 'open', path, what })
}
