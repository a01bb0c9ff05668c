/** Walks the frames of one segment file in big reads. Shared by readers, recovery and verify. */
import { readSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { logErrorOf } from './errors.ts'
import { decodeFrameHeader, FRAME_HEADER_BYTES } from './frame.ts'

/**
 * What stands at the place looked at:
 * - `frame`: an intact frame; the walker has moved behind it
 * - `bad_payload`: header intact, payload not; the walker has moved behind it
 * - `end`: exactly the end of the file
 * - `cut_off`: the file ends inside a frame: a write in flight, or one that never finished
 * - `bad_header`: no intact frame header, or one with a position that does not belong here
 */
export type Step = 'frame' | 'bad_payload' | 'end' | 'cut_off' | 'bad_header'

/** The steps that are damage, unless it is the unfinished end of a log, in plain words. */
export const WHAT_OF_STEP = {
  bad_payload: 'the payload does not match its checksum',
  bad_header: 'no intact frame header with the next position stands here',
  cut_off: 'the file ends inside a frame',
}

const CHUNK_BYTES = 1024 * 1024

/** Where to begin; `position` is the one that the frame at `offset` must have. */
export interface WalkStart {
  offset: number
  position: number
  /** Bytes of the file that may be looked at. */
  size: number
}

/** A place in a segment file and the frame last stepped over. */
export class FrameWalker {
  readonly #fd: number
  readonly #path: string
  // Bytes [#chunkOffset, #chunkOffset + #chunk.length) of the file.
  #chunk: Buffer = Buffer.alloc(0)
  #chunkOffset = 0
  /** Bytes of the file that may be looked at; raise it when the file has grown. */
  size: number
  /** Place and position of what the next step looks at. */
  nextOffset: number
  nextPosition: number
  /** The frame last stepped over; `payload` and `hash` are views that stay valid. */
  offset = 0
  position = 0
  payload: Buffer = this.#chunk
  hash: Buffer = this.#chunk

  constructor(fd: number, path: string, start: WalkStart) {
    this.#fd = fd
    this.#path = path
    this.size = start.size
    this.nextOffset = start.offset
    this.nextPosition = start.position
  }

  /** Steps over one frame and checks both checksums. Throws LogError when the disk fails. */
  step(): Step {
    return this.#advance(true)
  }

  /** Steps over one frame without reading its payload; only its header is checked. */
  skip(): Step {
    return this.#advance(false)
  }

  #advance(payloadToo: boolean): Step {
    const offset = this.nextOffset
    const left = this.size - offset
    if (left <= 0) return 'end'
    if (left < FRAME_HEADER_BYTES || !this.#load(offset, FRAME_HEADER_BYTES)) return 'cut_off'
    let at = offset - this.#chunkOffset
    const header = decodeFrameHeader(this.#chunk, at)
    if (header === null || header.position !== this.nextPosition) return 'bad_header'
    const frameBytes = FRAME_HEADER_BYTES + header.payloadBytes
    if (left < frameBytes) return 'cut_off'
    if (payloadToo && !this.#load(offset, frameBytes)) return 'cut_off'
    this.offset = offset
    this.position = header.position
    this.hash = header.hash
    this.nextOffset = offset + frameBytes
    this.nextPosition = header.position + 1
    if (!payloadToo) return 'frame'
    at = offset - this.#chunkOffset
    this.payload = this.#chunk.subarray(at + FRAME_HEADER_BYTES, at + frameBytes)
    return crc32(this.payload) === header.payloadCrc ? 'frame' : 'bad_payload'
  }

  // False when the file has become shorter than `size` says.
  #load(offset: number, bytes: number): boolean {
    const end = this.#chunkOffset + this.#chunk.length
    if (offset >= this.#chunkOffset && offset + bytes <= end) return true
    // A new chunk each time, so that payloads handed out before stay valid: 2 µs per 13 KB frame.
    const wanted = Math.max(bytes, Math.min(CHUNK_BYTES, this.size - offset))
    this.#chunk = readBytes(this.#fd, this.#path, offset, wanted)
    this.#chunkOffset = offset
    return this.#chunk.length >= bytes
  }
}

/** Reads up to `bytes` bytes at `offset`; fewer at the end of the file. Throws LogError. */
export function readBytes(fd: number, path: string, offset: number, bytes: number): Buffer {
  const buffer = Buffer.allocUnsafeSlow(bytes)
  let done = 0
  try {
    while (done < bytes) {
      const count = readSync(fd, buffer, done, bytes - done, offset + done)
      if (count === 0) break
      done += count
    }
  } catch (error) {
    throw logErrorOf('read', path, error)
  }
  return buffer.subarray(0, done)
}
