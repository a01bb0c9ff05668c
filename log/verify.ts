/** Walks a whole log and checks everything: headers, checksums, positions and the hash chain. */
import { closeSync, openSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { CHAIN_START, chainHash } from './chain.ts'
import { errnoOf, logErrorOf, type LogProblem } from './errors.ts'
import { listSegments, type SegmentFile } from './folder.ts'
import { decodeSegmentHeader, FORMAT_VERSION, SEGMENT_HEADER_BYTES } from './segment.ts'
import { FrameWalker, readBytes, WHAT_OF_STEP } from './walk.ts'

/** What was found; keys as in the JSON of `vedette verify`. */
export interface Verification {
  /** No problem found. An unfinished end is none: see `tail_bytes`. */
  ok: boolean
  segments: number
  /** Intact frames. */
  frames: number
  /** Bytes in segment files. */
  bytes: number
  /** Positions of the first and last intact frame, null when there is none. */
  first: number | null
  last: number | null
  /** Hash of the last frame reached: compare it with one kept elsewhere. */
  chain_head: string
  /** Bytes of an unfinished frame at the very end: a write in flight, or one that was cut short. */
  tail_bytes: number
  /** In order; the first one is where the chain breaks. At most 1,000. */
  problems: LogProblem[]
  /** Problems found beyond those. */
  problems_left_out: number
}

interface Chain {
  hash: Buffer
  /** Position the next frame must have, null before the first segment. */
  next: number | null
  /** Whether `hash` belongs to the frame right before `next`. */
  anchored: boolean
}

const PROBLEMS_MAX = 1000
/** Work between two looks at the event loop: some 10 ms of hashing. */
const TURN_BYTES = 8 * 1024 * 1024

/** Verifies the log in `dir`; may run beside a writer. Throws LogError when it cannot read. */
export async function verifyLog(dir: string): Promise<Verification> {
  const result: Verification = {
    ok: true, segments: 0, frames: 0, bytes: 0, first: null, last: null,
    chain_head: '', tail_bytes: 0, problems: [], problems_left_out: 0,
  }
  const chain: Chain = { hash: CHAIN_START, next: null, anchored: false }
  const segments = listSegments(dir)
  for (const [index, segment] of segments.entries()) {
    await verifySegment(segment, index === segments.length - 1, chain, result)
  }
  result.ok = result.problems.length === 0
  result.chain_head = chain.hash.toString('hex')
  return result
}

async function verifySegment(
  segment: SegmentFile, isLast: boolean, chain: Chain, result: Verification,
): Promise<void> {
  const { path, bytes: size, firstPosition: position } = segment
  try {
    const fd = openIfThere(path)
    if (fd === null) return removedMeanwhile(segment, result)
    try {
      result.segments++
      result.bytes += size
      if (isLast && size < SEGMENT_HEADER_BYTES) {
        result.tail_bytes = size
        return
      }
      verifyHeader(segment, readBytes(fd, path, 0, SEGMENT_HEADER_BYTES), chain, result)
      const start = { offset: SEGMENT_HEADER_BYTES, position, size }
      await verifyFrames(new FrameWalker(fd, path, start), segment, isLast, chain, result)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    throw logErrorOf('verify', path, error)
  }
}

function verifyHeader(
  segment: SegmentFile, bytes: Buffer, chain: Chain, result: Verification,
): void {
  const { firstPosition } = segment
  const header = decodeSegmentHeader(bytes)
  const problem = (what: string): void => note(result, segment, 0, firstPosition, what)
  if (chain.next !== null && firstPosition !== chain.next) {
    // After a broken segment its unread frames are known to be missing: one problem is enough.
    if (chain.anchored) problem(`expected position ${chain.next}, a segment was removed`)
    chain.anchored = false
  }
  chain.next = firstPosition
  if (firstPosition === 1) chain.anchored = true
  if (header === null) return problem('the segment header is damaged')
  if (header.version !== FORMAT_VERSION) problem(`unknown format version ${header.version}`)
  if (header.firstPosition !== firstPosition) {
    problem(`the header says first position ${header.firstPosition}: the file was renamed`)
  }
  if (chain.anchored && !header.previousHash.equals(chain.hash)) {
    problem('the chain hash in the header is not that of the frame before')
  }
  chain.hash = header.previousHash
  chain.anchored = true
}

async function verifyFrames(
  walker: FrameWalker, segment: SegmentFile, isLast: boolean, chain: Chain, result: Verification,
): Promise<void> {
  let turnAt = walker.nextOffset + TURN_BYTES
  for (;;) {
    const step = walker.step()
    const { offset, position } = walker
    if (step === 'end') return
    if (step === 'cut_off' && isLast) {
      result.tail_bytes = walker.size - walker.nextOffset
      return
    }
    if (step === 'cut_off' || step === 'bad_header') {
      const what = `${WHAT_OF_STEP[step]}; the rest of the segment cannot be checked`
      note(result, segment, walker.nextOffset, walker.nextPosition, what)
      chain.anchored = false
      chain.next = walker.nextPosition
      return
    }
    if (step === 'bad_payload') note(result, segment, offset, position, WHAT_OF_STEP[step])
    else verifyLink(walker, segment, chain, result)
    // The stored hash, also after damage: each break is named once, not at every frame behind it.
    chain.hash = Buffer.from(walker.hash)
    chain.anchored = true
    chain.next = walker.nextPosition
    if (walker.nextOffset >= turnAt) {
      turnAt = walker.nextOffset + TURN_BYTES
      await setImmediate()
    }
  }
}

function verifyLink(
  walker: FrameWalker, segment: SegmentFile, chain: Chain, result: Verification,
): void {
  const { position, payload, hash, offset } = walker
  result.frames++
  result.first ??= position
  result.last = position
  if (!chain.anchored || chainHash(chain.hash, position, payload).equals(hash)) return
  const what = 'the chain is broken: this frame or the one before was changed'
  note(result, segment, offset, position, what)
}

function openIfThere(path: string): number | null {
  try {
    return openSync(path, 'r')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}

// Retention beside us takes the oldest: quiet as long as nothing before it was verified.
function removedMeanwhile(segment: SegmentFile, result: Verification): void {
  if (result.frames === 0) return
  note(result, segment, 0, segment.firstPosition, 'the segment was removed during this check')
}

function note(
  result: Verification, segment: SegmentFile, offset: number, position: number, what: string,
): void {
  if (result.problems.length >= PROBLEMS_MAX) {
    result.problems_left_out++
    return
  }
  const action = 'Compare with a copy of this segment; keep this one as evidence.'
  result.problems.push({ segment: segment.name, offset, position, what, action })
}
