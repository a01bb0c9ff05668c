/**
 * The reading end of a log: in the writer's process or another one, while the log grows. It reads
 * what is complete and takes an unfinished end of the last segment for a write in flight. It checks
 * checksums, not the chain (`verify.ts` does): hashing would cost most of the speed. Flushed frames
 * are read too; who may only see durable ones reads up to the `synced` of the writer.
 */
import { closeSync, fstatSync, openSync } from 'node:fs'
import { errnoOf, LogError, logErrorOf, type LogProblem } from './errors.ts'
import { listSegments, type SegmentFile } from './folder.ts'
import { PlaceIndex } from './places.ts'
import { decodeSegmentHeader, FORMAT_VERSION, SEGMENT_HEADER_BYTES } from './segment.ts'
import { FrameWalker, readBytes, WHAT_OF_STEP } from './walk.ts'

/** One payload of the log. */
export interface Entry {
  position: number
  /** A view into a larger buffer; it stays valid, and keeps about 1 MiB alive while held. */
  payload: Buffer
}

/** A range of positions, both ends included, and who is told of damage in it. */
export interface ReadRange {
  /** Default: the oldest there. When that one has left already, reading begins at the oldest. */
  from?: number
  /** Default: the newest there. */
  to?: number
  /** Told of each damaged or missing place, then reading goes on; without it, `read` throws. */
  onProblem?: (problem: LogProblem) => void
}

// How the walk through one segment ended, the first position not read, and what stands there.
interface Outcome {
  end: 'complete' | 'in_flight' | 'broken' | 'gone'
  next: number
  problem?: LogProblem
}

/** Reads a folder's log. Holds no file open between reads. */
export class LogReader {
  readonly #dir: string
  readonly #places = new PlaceIndex()
  #segments: SegmentFile[]

  /** Opens a folder for reading. Throws LogError LOG_NOT_FOUND or LOG_NOT_PERMITTED. */
  constructor(dir: string) {
    this.#dir = dir
    this.#segments = listSegments(dir)
  }

  /** The oldest position in the folder now, or null when it holds no segment. */
  get first(): number | null {
    this.#segments = listSegments(this.#dir)
    return this.#segments[0]?.firstPosition ?? null
  }

  /**
   * Gives the frames of a range in order and ends behind the last complete one; to follow, read
   * again from the position behind it. Throws LogError LOG_DAMAGED (only without `onProblem`),
   * LOG_VERSION, LOG_NOT_PERMITTED, LOG_IO.
   */
  * read(range: ReadRange = {}): Generator<Entry, void, undefined> {
    const { to = Infinity } = range
    this.#segments = listSegments(this.#dir)
    let next = Math.max(range.from ?? 0, this.#segments[0]?.firstPosition ?? 0)
    while (next <= to) {
      const { segment, following } = this.#segmentOf(next)
      if (segment === undefined) return
      if (segment.firstPosition > next) {
        report(range, missing(segment, next))
        next = segment.firstPosition
      }
      const outcome = yield* this.#readSegment(segment, { ...range, from: next })
      next = Math.max(next, outcome.next)
      if (next > to) return
      if (following === undefined || outcome.end === 'gone') {
        // The list was made before the walk: what came since decides whether this is the end.
        this.#segments = listSegments(this.#dir)
        if (outcome.end === 'gone' || this.#segmentOf(next).following !== undefined) continue
        if (this.#segmentOf(next).segment?.path !== segment.path) continue
        if (outcome.end === 'broken' && outcome.problem) report(range, outcome.problem)
        return
      }
      if (outcome.problem !== undefined) report(range, outcome.problem)
      else if (next < following.firstPosition) report(range, missing(following, next))
      next = Math.max(next, following.firstPosition)
    }
  }

  // The segment that holds `position`, or the oldest when all are behind it; and the one after.
  #segmentOf(position: number): { segment?: SegmentFile, following?: SegmentFile } {
    let low = 0
    let high = this.#segments.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#segments[middle].firstPosition <= position) low = middle + 1
      else high = middle
    }
    const index = Math.max(0, low - 1)
    return { segment: this.#segments[index], following: this.#segments[index + 1] }
  }

  * #readSegment(
    segment: SegmentFile, range: ReadRange & { from: number },
  ): Generator<Entry, Outcome, undefined> {
    const { path } = segment
    const fd = openSegment(path)
    if (fd === null) return { end: 'gone', next: range.from }
    try {
      const size = fstatSync(fd).size
      const walker = this.#start(fd, segment, size, range)
      if (walker === null) {
        return { end: 'in_flight', next: range.from, problem: badHeader(segment) }
      }
      try {
        return yield* this.#readFrames(walker, segment, range)
      } finally {
        // Also when the reader stops here for now.
        this.#places.resumeAt(segment.firstPosition, walker.nextPosition, walker.nextOffset)
      }
    } catch (error) {
      throw logErrorOf('read', path, error)
    } finally {
      closeSync(fd)
    }
  }

  // A walker at the nearest known place before `from`; null when not even the header is complete.
  #start(
    fd: number, segment: SegmentFile, size: number, range: ReadRange & { from: number },
  ): FrameWalker | null {
    const { path, firstPosition } = segment
    const known = this.#places.nearest(firstPosition, range.from)
    if (known !== null && known.offset <= size) {
      const walker = new FrameWalker(fd, path, { ...known, size })
      // A file cut off and written again since has other frames at other places.
      if (walker.skip() !== 'bad_header') {
        walker.nextOffset = known.offset
        walker.nextPosition = known.position
        return walker
      }
    }
    this.#places.forget(firstPosition)
    if (size < SEGMENT_HEADER_BYTES) return null
    const header = decodeSegmentHeader(readBytes(fd, path, 0, SEGMENT_HEADER_BYTES))
    if (header !== null && header.version > FORMAT_VERSION) {
      const what = `format version ${header.version} is newer than ${FORMAT_VERSION}`
      throw new LogError('LOG_VERSION', { operation: 'read', path, what })
    }
    // Frames carry their own position and checksums: they can be read without the header.
    if (header?.firstPosition !== firstPosition) report(range, badHeader(segment))
    return new FrameWalker(fd, path, {
      offset: SEGMENT_HEADER_BYTES, position: firstPosition, size,
    })
  }

  * #readFrames(
    walker: FrameWalker, segment: SegmentFile, range: ReadRange & { from: number },
  ): Generator<Entry, Outcome, undefined> {
    const { from, to = Infinity } = range
    while (walker.nextPosition <= to) {
      const wanted = walker.nextPosition >= from
      const step = wanted ? walker.step() : walker.skip()
      if (step === 'frame' || step === 'bad_payload') {
        this.#places.remember(segment.firstPosition, walker.position, walker.offset)
      }
      if (step === 'bad_payload') {
        report(range, damaged(segment, walker.offset, walker.position, step))
      } else if (step === 'frame') {
        if (wanted) yield { position: walker.position, payload: walker.payload }
      } else {
        return ending(walker, segment, step, from)
      }
    }
    return { end: 'complete', next: walker.nextPosition }
  }
}

function ending(
  walker: FrameWalker, segment: SegmentFile, step: 'end' | 'cut_off' | 'bad_header', from: number,
): Outcome {
  const next = Math.max(walker.nextPosition, from)
  if (step === 'end') return { end: 'complete', next }
  const problem = damaged(segment, walker.nextOffset, next, step)
  return { end: step === 'cut_off' ? 'in_flight' : 'broken', next, problem }
}

function openSegment(path: string): number | null {
  try {
    return openSync(path, 'r')
  } catch (error) {
    // Retention removed it since the folder was listed.
    if (errnoOf(error) === 'ENOENT') return null
    throw logErrorOf('open', path, error)
  }
}

function report(range: ReadRange, problem: LogProblem): void {
  if (range.onProblem !== undefined) return range.onProblem(problem)
  const { segment, offset, position, what } = problem
  throw new LogError('LOG_DAMAGED', {
    operation: 'read', path: segment, what: `${what} (offset ${offset}, position ${position})`,
  })
}

function damaged(
  segment: SegmentFile, offset: number, position: number, step: keyof typeof WHAT_OF_STEP,
): LogProblem {
  const action = step === 'bad_payload'
    ? 'This frame is lost, reading went on behind it. Restore the segment from a copy.'
    : 'The rest of this segment cannot be read. Restore the segment from a copy.'
  return { segment: segment.name, offset, position, what: WHAT_OF_STEP[step], action }
}

function badHeader(segment: SegmentFile): LogProblem {
  return {
    segment: segment.name, offset: 0, position: segment.firstPosition,
    what: 'the segment header is damaged or belongs to another segment',
    action: 'Its frames were read all the same. Restore the segment from a copy.',
  }
}

function missing(following: SegmentFile, position: number): LogProblem {
  return {
    segment: following.name, offset: 0, position,
    what: `positions ${position} to ${following.firstPosition - 1} are missing before this segment`,
    action: 'They left by retention while being read, or were removed. Restore them from a copy.',
  }
}
