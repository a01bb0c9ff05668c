// The spool's log on disk: frames in, frames out in order, acknowledged ones leave. A disk that
// fails loses nothing at once: frames wait in memory, up to a bound, and are written again.

import { unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { BatchError, decodeEnvelope } from '../../proto/batch.ts'
import type { BatchEnvelope } from '../../proto/batch.ts'
import { LogReader } from '../../log/cursor.ts'
import type { Entry } from '../../log/cursor.ts'
import { LogError } from '../../log/errors.ts'
import type { LogProblem } from '../../log/errors.ts'
import { FRAME_HEADER_BYTES } from '../../log/frame.ts'
import { openMark } from '../../log/mark.ts'
import type { Mark } from '../../log/mark.ts'
import { openLog } from '../../log/writer.ts'
import type { LogWriter } from '../../log/writer.ts'

export interface StoreOptions {
  dir: string
  /** Size on disk that is never passed. */
  bytesMax: number
  /** Told of a failing disk, once per attempt, and of damage met at opening. */
  failed(error: LogError): void
  /** Told when the disk works again. */
  recovered(): void
  /** Told after frames became durable, and after frames left. */
  changed(): void
}

const MIB = 1024 * 1024
/** Memory for frames that a failing disk does not take. */
const unsyncedBytesMax = 16 * MIB
const retryMs = 1000
/** Places of damage that are told; what is lost by them is told when they are read to be sent. */
const damageMax = 3
/** The mark costs two syncs, and a lost one only means that the correlator is asked again. */
const markIntervalMs = 1000

/** A bounded queue of frames on disk. */
export class SpoolStore {
  readonly #options: StoreOptions
  readonly #log: LogWriter
  readonly #mark: Mark
  readonly #reader: LogReader
  #acked: number
  #waitingBytes = 0
  #retry: NodeJS.Timeout | undefined
  #tidy: NodeJS.Timeout | undefined
  #problem: LogError | undefined
  #closed = false
  /** The newest batch on disk at opening; undefined when there is none that can be read. */
  readonly last: BatchEnvelope | undefined
  /** The oldest one at opening that waits to be sent. */
  readonly firstWaiting: BatchEnvelope | undefined

  /** Opens or makes the folder. Throws LogError when it cannot be used. */
  constructor(options: StoreOptions) {
    this.#options = options
    const { dir, bytesMax } = options
    this.#mark = openMarkAnew(dir)
    this.#log = openLog(dir, {
      // Whole segments leave, so each is a small part of the spool.
      segmentBytesMax: Math.min(16 * MIB, Math.max(64 * 1024, Math.floor(bytesMax / 32))),
      bytesMax, whenFull: 'refuse', nowMs: Date.now, unsyncedBytesMax,
      firstPosition: this.#mark.position + 1,
    })
    this.#reader = new LogReader(dir)
    this.#acked = Math.max(this.#mark.position, this.#log.first - 1)
    for (const { segment, what } of this.#log.problems.slice(0, damageMax)) {
      const facts = { operation: 'open', path: dir, what: `${segment}: ${what}` }
      options.failed(new LogError('LOG_DAMAGED', facts))
    }
    const { first, last } = this.#lookThrough()
    this.firstWaiting = first
    this.last = last
  }

  /** Last durable position. */
  get synced(): number { return this.#log.synced }
  /** Every frame up to this position was acknowledged. */
  get ackedPosition(): number { return this.#acked }
  /** Frames that are not acknowledged. */
  get waitingFrames(): number { return this.#log.next - 1 - this.#acked }
  get waitingBytes(): number { return this.#waitingBytes }
  get diskBytes(): number { return this.#log.bytes }
  /** What is wrong with the disk now. */
  get problem(): LogError | undefined { return this.#problem }

  /** How full it is, 0 to 1: on disk, or in the memory that stands in for a failing disk. */
  get fill(): number {
    const { unsyncedBytes, unwrittenBytes, bytes } = this.#log
    const { bytesMax } = this.#options
    return Math.max((bytes + unwrittenBytes) / bytesMax, unsyncedBytes / unsyncedBytesMax)
  }

  /** Takes a frame. Throws LogError LOG_FULL, LOG_BACKLOG or LOG_CLOSED; then it was not taken. */
  append(frame: Buffer): number {
    const position = this.#log.append(frame)
    this.#waitingBytes += frame.length + FRAME_HEADER_BYTES
    return position
  }

  /** Makes what was appended durable; false when the disk fails: then it is tried again later. */
  async sync(): Promise<boolean> {
    if (this.#closed) return false
    try {
      await this.#log.sync()
    } catch (error) {
      this.#fail(error)
      return false
    }
    if (this.#problem !== undefined) {
      this.#problem = undefined
      this.#options.recovered()
    }
    this.#options.changed()
    return true
  }

  /** Durable frames that are not acknowledged, from a position on, in order. */
  read(from: number, onProblem: (problem: LogProblem) => void): Generator<Entry, void, undefined> {
    return this.#reader.read({ from: Math.max(from, this.#acked + 1), to: this.synced, onProblem })
  }

  /** Frames up to `position`, together `bytes` of payload in `frames`, need not be kept. */
  acknowledge(position: number, frames: number, bytes: number): void {
    this.#acked = Math.max(this.#acked, position)
    this.#waitingBytes = this.waitingFrames === 0
      ? 0 : Math.max(0, this.#waitingBytes - bytes - frames * FRAME_HEADER_BYTES)
    if (!this.#closed) this.#tidy ??= setTimeout(() => void this.#tidyUp(), markIntervalMs)
  }

  /** Syncs and closes. Rejects with LogError when frames could not be made durable. */
  async close(): Promise<void> {
    clearTimeout(this.#retry)
    clearTimeout(this.#tidy)
    if (!this.#closed) await this.#tidyUp()
    this.#closed = true
    await this.#log.close()
  }

  async #tidyUp(): Promise<void> {
    this.#tidy = undefined
    try {
      // First what frees space: the mark may not fit on a full disk.
      await this.#log.dropBefore(this.#acked + 1)
      this.#options.changed()
      await this.#mark.set(this.#acked)
    } catch (error) {
      // Frames are sent again after a restart, or leave the disk later.
      this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    if (!(error instanceof LogError)) throw error
    if (error.code === 'LOG_CLOSED') return
    this.#problem = error
    this.#options.failed(error)
    if (this.#closed || this.#retry !== undefined) return
    this.#retry = setTimeout(() => {
      this.#retry = undefined
      void this.sync()
    }, retryMs)
  }

  /** Counts what waits, and finds the first and the last batch. */
  #lookThrough(): { first?: BatchEnvelope, last?: BatchEnvelope } {
    const newest = this.#log.next - 1
    let first: Buffer | undefined
    let last: Buffer | undefined
    const from = Math.max(this.#log.first, Math.min(this.#acked + 1, newest))
    // Damage is told when the frames are read to be sent.
    for (const { position, payload } of this.#reader.read({ from, onProblem: () => {} })) {
      last = payload
      if (position <= this.#acked) continue
      this.#waitingBytes += payload.length + FRAME_HEADER_BYTES
      first ??= Buffer.from(payload)
    }
    // Copies: the buffer behind a payload is large.
    return { first: first && envelopeOf(first), last: last && envelopeOf(Buffer.from(last)) }
  }
}

/** The envelope of a frame; undefined when it is no batch. */
export function envelopeOf(payload: Uint8Array): BatchEnvelope | undefined {
  try {
    return decodeEnvelope(payload)
  } catch (error) {
    if (error instanceof BatchError) return undefined
    throw error
  }
}

/** A damaged mark only sends frames again. */
function openMarkAnew(dir: string): Mark {
  try {
    return openMark(dir)
  } catch (error) {
    if (!(error instanceof LogError) || error.code !== 'LOG_MARK_DAMAGED') throw error
    unlinkSync(join(dir, 'mark'))
    return openMark(dir)
  }
}
