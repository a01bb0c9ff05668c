/**
 * The writing end of a log. `append` numbers, hashes and keeps a frame in memory; `flush` hands
 * what waits to the kernel; `sync` makes it durable. Frames stay in memory until they are durable,
 * so that a full or failing disk loses nothing that was appended: the next `sync` writes again.
 */
import { mkdirSync, promises } from 'node:fs'
import { ActiveSegment } from './active-segment.ts'
import { chainHash } from './chain.ts'
import { errnoOf, LogError, logErrorOf, type LogProblem } from './errors.ts'
import { syncFolder, type SegmentFile } from './folder.ts'
import { encodeFrameHeader, FRAME_HEADER_BYTES, PAYLOAD_BYTES_MAX } from './frame.ts'
import { lockFolder, type FolderLock } from './lock.ts'
import { recoverFolder, type Recovered, type Recovery } from './recovery.ts'
import { SEGMENT_HEADER_BYTES } from './segment.ts'

/** Limits of a log and where it reports. */
export interface LogOptions {
  /** Size at which a new segment begins. */
  segmentBytesMax: number
  /** Size of the whole log; it may be passed by one segment while nothing can be removed. */
  bytesMax: number
  /** At `bytesMax`: oldest segments leave, or `append` throws LOG_FULL. */
  whenFull: 'remove_oldest' | 'refuse'
  /** Clock for the segment header, ms since the epoch. */
  nowMs: () => number
  /** Largest payload; default and bound 16 MiB. */
  frameBytesMax?: number
  /** Memory for what is not durable yet; beyond it `append` throws LOG_BACKLOG. Default 64 MiB. */
  unsyncedBytesMax?: number
  /** The next position is never below this one: pass the mark + 1. Default 1. */
  firstPosition?: number
  /** Told of every removal by `bytesMax`. */
  onRemoved?: (removed: Removed) => void
  /** Told when old segments cannot be removed; the frames of that sync are safe. */
  onProblem?: (error: LogError) => void
}

/** Segments that left, oldest first; all zero when none did. */
export interface Removed {
  segments: number
  frames: number
  bytes: number
}

interface UnsyncedFrame {
  position: number
  previousHash: Buffer
  hash: Buffer
  header: Buffer
  payload: Uint8Array
  bytes: number
}

const MIB = 1024 * 1024
const UNSYNCED_BYTES_MAX = 64 * MIB
/** One system call: at most 1,024 buffers (two per frame), and a bound on the work to take back. */
const WRITE_FRAMES_MAX = 512
const WRITE_BYTES_MAX = 8 * MIB

/**
 * Opens the folder for writing, makes it if it is not there, recovers its end and takes its lock.
 * Throws LogError; synchronous, since nothing can be done before it is open.
 */
export function openLog(dir: string, options: LogOptions): LogWriter {
  checkOptions(dir, options)
  try {
    mkdirSync(dir, { recursive: true, mode: 0o750 })
  } catch (error) {
    throw logErrorOf('create', dir, error)
  }
  const lock = lockFolder(dir)
  try {
    return new LogWriter(dir, options, lock, recoverFolder(dir))
  } catch (error) {
    lock.release()
    throw error
  }
}

/** A log open for writing; made by `openLog`. One per folder. */
export class LogWriter {
  readonly dir: string
  /** Unfinished ends that were cut off at opening. */
  readonly recovered: readonly Recovered[]
  /** Damage met at opening; nothing was removed. */
  readonly problems: readonly LogProblem[]
  readonly #options: Required<Pick<LogOptions, 'frameBytesMax' | 'unsyncedBytesMax'>> & LogOptions
  readonly #lock: FolderLock
  readonly #sealed: Omit<SegmentFile, 'name'>[]
  #active: ActiveSegment | null = null
  // In order of position; the first #written of them are in the active segment.
  #unsynced: UnsyncedFrame[] = []
  #written = 0
  #unsyncedBytes = 0
  #writtenBytes = 0
  #sealedBytes: number
  #next: number
  #hash: Buffer
  #synced: number
  #syncedHash: Buffer
  #folderDirty = false
  #closed = false
  #running: Promise<unknown> = Promise.resolve()
  #waiting: { durable: boolean, done: Promise<number> } | null = null

  /** Use `openLog`. */
  constructor(dir: string, options: LogOptions, lock: FolderLock, recovery: Recovery) {
    this.dir = dir
    this.recovered = recovery.recovered
    this.problems = recovery.problems
    this.#options = {
      frameBytesMax: PAYLOAD_BYTES_MAX, unsyncedBytesMax: UNSYNCED_BYTES_MAX, ...options,
    }
    this.#lock = lock
    this.#sealedBytes = 0
    this.#next = Math.max(recovery.next, options.firstPosition ?? 1)
    this.#hash = this.#syncedHash = recovery.hash
    this.#synced = this.#next - 1
    // Positions inside a segment have no holes, so one that must jump begins a new segment.
    if (recovery.lastIsOpen && recovery.next === this.#next) {
      this.#active = ActiveSegment.reopen(recovery.segments.pop()!)
    }
    this.#sealed = recovery.segments
    for (const segment of this.#sealed) this.#sealedBytes += segment.bytes
  }

  /** The oldest position still there; equal to `next` when the log is empty. */
  get first(): number {
    const oldest = this.#sealed[0] ?? this.#active
    return oldest?.firstPosition ?? this.#next - this.#unsynced.length
  }

  /** First position of the segment that is written to; `next` when none is open. */
  get segmentFirst(): number {
    return this.#active?.firstPosition ?? this.#next
  }

  /** The position that the next append gets. */
  get next(): number {
    return this.#next
  }

  /** The last position that is durable. */
  get synced(): number {
    return this.#synced
  }

  /** Bytes in segment files. */
  get bytes(): number {
    return this.#sealedBytes + (this.#active?.bytes ?? 0)
  }

  /** Bytes in memory that are not durable yet. */
  get unsyncedBytes(): number {
    return this.#unsyncedBytes
  }

  /** Those of them that are not in segment files yet. */
  get unwrittenBytes(): number {
    return this.#unsyncedBytes - this.#writtenBytes
  }

  /** Chain hash (hex) of the frame at `synced`: keep it elsewhere and the log is evidence. */
  get chainHead(): string {
    return this.#syncedHash.toString('hex')
  }

  /**
   * Takes a frame and gives its position. The payload is kept, not copied: do not change it until
   * it is synced. Throws LogError LOG_FRAME_TOO_LARGE, LOG_BACKLOG, LOG_FULL or LOG_CLOSED; then
   * the frame was not taken and the position is given to the next one.
   */
  append(payload: Uint8Array): number {
    const bytes = FRAME_HEADER_BYTES + payload.length
    this.#refuse(payload.length, bytes)
    const position = this.#next
    const previousHash = this.#hash
    const hash = chainHash(previousHash, position, payload)
    const header = encodeFrameHeader(position, hash, payload)
    this.#unsynced.push({ position, previousHash, hash, header, payload, bytes })
    this.#unsyncedBytes += bytes
    this.#hash = hash
    this.#next = position + 1
    return position
  }

  /** Hands all appended frames to the kernel: safe from a killed process, not from a power cut. */
  flush(): Promise<number> {
    return this.#enqueue(false)
  }

  /**
   * Makes all frames appended before this call durable; gives the last durable position. Calls
   * made while one is running share the next one. Rejects with LogError: then frames above
   * `synced` are still held, and the next call tries again.
   */
  sync(): Promise<number> {
    return this.#enqueue(true)
  }

  /** Removes segments that are wholly before `position`, never the active one. */
  dropBefore(position: number): Promise<Removed> {
    if (this.#closed) return Promise.reject(this.#closedError('remove'))
    return this.#alone(() => this.#removeWhile(() => this.#firstBehind() <= position))
  }

  /**
   * Syncs, closes and gives the folder back, also when the sync fails: then it rejects, and the
   * frames above `synced` are gone with the process.
   */
  async close(): Promise<void> {
    if (this.#closed) return
    const synced = this.sync()
    this.#closed = true
    try {
      await synced
    } finally {
      await this.#alone(async () => this.#active?.close())
      this.#lock.release()
    }
  }

  #refuse(payloadBytes: number, bytes: number): void {
    const { frameBytesMax, unsyncedBytesMax, bytesMax, whenFull } = this.#options
    const refused = (code: 'LOG_FRAME_TOO_LARGE' | 'LOG_BACKLOG' | 'LOG_FULL', what: string) =>
      new LogError(code, { operation: 'append', path: this.dir, what })
    if (this.#closed) throw this.#closedError('append')
    if (payloadBytes > frameBytesMax) {
      throw refused('LOG_FRAME_TOO_LARGE', `${payloadBytes} bytes; the limit is ${frameBytesMax}`)
    }
    if (this.#unsyncedBytes > 0 && this.#unsyncedBytes + bytes > unsyncedBytesMax) {
      throw refused('LOG_BACKLOG', `${this.#unsyncedBytes} bytes are not durable yet`)
    }
    if (whenFull === 'refuse' && this.bytes + this.unwrittenBytes + bytes > bytesMax) {
      throw refused('LOG_FULL', `${this.bytes} of ${bytesMax} bytes are used`)
    }
  }

  #closedError(operation: string): LogError {
    return new LogError('LOG_CLOSED', { operation, path: this.dir })
  }

  #enqueue(durable: boolean): Promise<number> {
    if (this.#closed) return Promise.reject(this.#closedError(durable ? 'sync' : 'flush'))
    if (this.#waiting === null) {
      const done = this.#alone(() => {
        const wanted = this.#waiting!.durable
        this.#waiting = null
        return this.#store(wanted)
      })
      this.#waiting = { durable, done }
    }
    this.#waiting.durable ||= durable
    return this.#waiting.done
  }

  // Everything that touches files goes through here, one after the other.
  #alone<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#running.then(work)
    this.#running = result.catch(() => {})
    return result
  }

  async #store(durable: boolean): Promise<number> {
    await this.#writeUnwritten()
    if (durable) await this.#syncActive()
    if (this.#options.whenFull === 'remove_oldest') await this.#retain()
    return this.#synced
  }

  async #writeUnwritten(): Promise<void> {
    const { segmentBytesMax } = this.#options
    while (this.#written < this.#unsynced.length) {
      const first = this.#unsynced[this.#written]
      if (this.#active === null || !this.#active.hasRoom(first.bytes, segmentBytesMax)) {
        await this.#roll(first)
      }
      const active = this.#active!
      const buffers: Uint8Array[] = []
      let bytes = 0
      let end = this.#written
      for (; end < this.#unsynced.length && end - this.#written < WRITE_FRAMES_MAX; end++) {
        const frame = this.#unsynced[end]
        const most = Math.min(WRITE_BYTES_MAX, segmentBytesMax - active.bytes)
        if (bytes > 0 && bytes + frame.bytes > most) break
        buffers.push(frame.header, frame.payload)
        bytes += frame.bytes
      }
      await active.write(buffers)
      this.#written = end
      this.#writtenBytes += bytes
    }
  }

  // A segment is durable before the next one exists: only the last can have an unfinished end.
  async #roll(first: UnsyncedFrame): Promise<void> {
    await this.#syncActive()
    const old = this.#active
    const { position: firstPosition, previousHash } = first
    const createdMs = this.#options.nowMs()
    this.#folderDirty = true
    this.#active = await ActiveSegment.create(this.dir, { firstPosition, createdMs, previousHash })
    if (old === null) return
    this.#sealed.push({ path: old.path, firstPosition: old.firstPosition, bytes: old.bytes })
    this.#sealedBytes += old.bytes
    await old.close()
  }

  async #syncActive(): Promise<void> {
    if (this.#active === null) return
    // Frames that arrive meanwhile are behind #written and wait for the next sync.
    const count = this.#written
    if (count === 0 && !this.#folderDirty) return
    try {
      await this.#active.sync()
    } catch (error) {
      await this.#rewind(this.#active)
      throw error
    }
    if (this.#folderDirty) await syncFolder(this.dir)
    this.#folderDirty = false
    if (count === 0) return
    for (const frame of this.#unsynced.splice(0, count)) {
      this.#unsyncedBytes -= frame.bytes
      this.#synced = frame.position
      this.#syncedHash = frame.hash
    }
    this.#written = 0
    this.#writtenBytes = 0
  }

  async #rewind(active: ActiveSegment): Promise<void> {
    this.#written = 0
    this.#writtenBytes = 0
    if (active.syncedBytes > 0) return active.rewind()
    this.#active = null
    await active.discard()
  }

  async #retain(): Promise<void> {
    try {
      const removed = await this.#removeWhile(() => this.bytes > this.#options.bytesMax)
      if (removed.segments > 0) this.#options.onRemoved?.(removed)
    } catch (error) {
      // The frames are stored all the same, so the sync did what it promised.
      if (!(error instanceof LogError)) throw error
      this.#options.onProblem?.(error)
    }
  }

  async #removeWhile(leaves: () => boolean): Promise<Removed> {
    const removed = { segments: 0, frames: 0, bytes: 0 }
    // The newest segment stays even when nothing writes to it: its name keeps the positions.
    const keep = this.#active === null ? 1 : 0
    while (this.#sealed.length > keep && this.#firstBehind() <= this.#synced + 1 && leaves()) {
      const { path, firstPosition, bytes } = this.#sealed[0]
      await removeFile(path)
      this.#folderDirty = true
      removed.segments++
      removed.frames += this.#firstBehind() - firstPosition
      removed.bytes += bytes
      this.#sealed.shift()
      this.#sealedBytes -= bytes
    }
    return removed
  }

  // First position behind the oldest sealed segment.
  #firstBehind(): number {
    const following = this.#sealed[1] ?? this.#active
    return following?.firstPosition ?? this.#next - this.#unsynced.length
  }
}

function checkOptions(dir: string, options: LogOptions): void {
  const check = (name: keyof LogOptions, value: number, min: number, max: number): void => {
    if (value >= min && value <= max) return
    const what = `${name} is ${value}; it must be from ${min} to ${max}`
    throw new LogError('LOG_BAD_OPTION', { operation: 'open', path: dir, what })
  }
  const leastBytes = SEGMENT_HEADER_BYTES + FRAME_HEADER_BYTES
  check('segmentBytesMax', options.segmentBytesMax, leastBytes, 4096 * MIB)
  check('bytesMax', options.bytesMax, leastBytes, Number.MAX_SAFE_INTEGER)
  check('frameBytesMax', options.frameBytesMax ?? PAYLOAD_BYTES_MAX, 1, PAYLOAD_BYTES_MAX)
  check('unsyncedBytesMax', options.unsyncedBytesMax ?? UNSYNCED_BYTES_MAX, 1, 4096 * MIB)
  check('firstPosition', options.firstPosition ?? 1, 1, Number.MAX_SAFE_INTEGER)
}

async function removeFile(path: string): Promise<void> {
  try {
    await promises.unlink(path)
  } catch (error) {
    // Gone already, by hand or by an earlier attempt: what matters is that it is not there.
    if (errnoOf(error) !== 'ENOENT') throw logErrorOf('remove', path, error)
  }
}
