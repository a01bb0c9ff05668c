/** The segment that is written to. Each write names its offset: a failed one is written over. */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { logErrorOf } from './errors.ts'
import { segmentName, type SegmentFile } from './folder.ts'
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES, type SegmentHeader } from './segment.ts'

const open = promisify(fs.open)
const writev = promisify(fs.writev)
const fdatasync = promisify(fs.fdatasync)
const ftruncate = promisify(fs.ftruncate)
const close = promisify(fs.close)
const unlink = promisify(fs.unlink)

/** An open segment file; `bytes` are written, `syncedBytes` of them durable. */
export class ActiveSegment {
  readonly firstPosition: number
  readonly path: string
  readonly #fd: number
  bytes: number
  syncedBytes: number

  private constructor(path: string, firstPosition: number, fd: number, bytes: number) {
    this.path = path
    this.firstPosition = firstPosition
    this.#fd = fd
    this.bytes = bytes
    this.syncedBytes = bytes
  }

  /** Opens a recovered segment for appending. Throws LogError. */
  static reopen(segment: SegmentFile): ActiveSegment {
    const { path, firstPosition, bytes } = segment
    try {
      return new ActiveSegment(path, firstPosition, fs.openSync(path, 'r+'), bytes)
    } catch (error) {
      throw logErrorOf('open', path, error)
    }
  }

  /** Creates a segment and writes its header; leaves nothing behind when it fails. */
  static async create(
    dir: string, header: Omit<SegmentHeader, 'version'>,
  ): Promise<ActiveSegment> {
    const path = join(dir, segmentName(header.firstPosition))
    try {
      // Not exclusive: a file that a failed attempt left here holds nothing that was synced.
      const fd = await open(path, 'w', 0o640)
      const segment = new ActiveSegment(path, header.firstPosition, fd, 0)
      try {
        await segment.write([encodeSegmentHeader(header)])
      } catch (error) {
        await segment.discard()
        throw error
      }
      return segment
    } catch (error) {
      throw logErrorOf('create', path, error)
    }
  }

  /** Whether a segment limit of `bytesMax` leaves room for `bytes`; a first frame always fits. */
  hasRoom(bytes: number, bytesMax: number): boolean {
    return this.bytes <= SEGMENT_HEADER_BYTES || this.bytes + bytes <= bytesMax
  }

  /**
   * Appends all `buffers` or nothing: a partial write is taken back. At most 1,024 buffers, the
   * limit of the system call. Throws LogError.
   */
  async write(buffers: Uint8Array[]): Promise<void> {
    const start = this.bytes
    let offset = start
    let rest = buffers
    try {
      while (rest.length > 0) {
        const { bytesWritten } = await writev(this.#fd, rest, offset)
        offset += bytesWritten
        rest = dropBytes(rest, bytesWritten)
      }
    } catch (error) {
      const failure = logErrorOf('write', this.path, error)
      await this.#truncate(start)
      throw failure
    }
    this.bytes = offset
  }

  /** Makes all that is written durable. Throws LogError. */
  async sync(): Promise<void> {
    const bytes = this.bytes
    try {
      await fdatasync(this.#fd)
    } catch (error) {
      throw logErrorOf('sync', this.path, error)
    }
    this.syncedBytes = bytes
  }

  /**
   * Takes back what is not durable, to be written again: after a failed sync the kernel may call
   * the pages clean although they never reached the disk, so that a second sync would lie.
   */
  async rewind(): Promise<void> {
    this.bytes = this.syncedBytes
    await this.#truncate(this.syncedBytes)
  }

  /** Closes the file; what matters was said by `sync`, so a refusal here has no meaning. */
  async close(): Promise<void> {
    await close(this.#fd).catch(keepGoing)
  }

  /** Closes and removes a segment of which nothing is durable. */
  async discard(): Promise<void> {
    await this.close()
    await unlink(this.path).catch(keepGoing)
  }

  async #truncate(bytes: number): Promise<void> {
    // When this fails too, the next write goes over the same bytes, or the next open cuts them off.
    await ftruncate(this.#fd, bytes).catch(keepGoing)
  }
}

function keepGoing(): void {}

function dropBytes(buffers: Uint8Array[], bytes: number): Uint8Array[] {
  let left = bytes
  let index = 0
  while (index < buffers.length && left >= buffers[index].length) left -= buffers[index++].length
  const rest = buffers.slice(index)
  if (left > 0) rest[0] = rest[0].subarray(left)
  return rest
}
