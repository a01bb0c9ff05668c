/**
 * Stage 8: the event log. A position is a batch. What is appended becomes durable in groups: all
 * batches that arrive while the disk is busy share the next sync (group commit).
 */
import { join } from 'node:path'
import { LogReader } from '../log/cursor.ts'
import type { Entry, ReadRange } from '../log/cursor.ts'
import { LogError } from '../log/errors.ts'
import { openLog } from '../log/writer.ts'
import type { LogWriter, Removed } from '../log/writer.ts'
import type { Batch } from '../proto/batch.ts'
import type { CorrelatorSettings } from './config.ts'

/** A batch of the log, opened once for all who look at it. */
export interface LoggedBatch {
  position: number
  batch: Batch
  /** Memory that it holds, bytes. */
  bytes: number
}

/** Who is told of what became durable. */
export interface LogListener {
  /** Every batch in log order, before its node is told. */
  onStored(logged: LoggedBatch): void
  /** After each sync, when onStored was called for all of it. */
  onSynced(): void
}

export interface EventLogOptions {
  settings: CorrelatorSettings
  report(line: string): void
}

/** How long a failed sync waits for the next attempt, and what refused nodes are told. */
export const RETRY_MS = 1000

/** Memory that an opened batch holds beside its columns: views, names, the received message. */
const BATCH_OVERHEAD_BYTES = 16 * 1024

/** The event log of one correlator. */
export class EventLog {
  readonly dir: string
  /** Why nothing can be stored now; null when all is well. */
  trouble: LogError | null = null
  /** Bytes of batches between append and `release`. */
  inFlightBytes = 0
  readonly #log: LogWriter
  readonly #options: EventLogOptions
  #listener: LogListener | null = null
  #waiting: LoggedBatch[] = []
  #awaited: { position: number, resolve: () => void }[] = []
  #running: Promise<void> | null = null
  #dirty = false
  #retry: NodeJS.Timeout | undefined
  /** Batches that left by retention. */
  removedBatches = 0

  /** Opens or makes `<data>/log`. Throws LogError. */
  constructor(options: EventLogOptions) {
    const { settings } = options
    this.#options = options
    this.dir = join(settings.data, 'log')
    this.#log = openLog(this.dir, {
      segmentBytesMax: settings.segment_bytes_max,
      bytesMax: settings.log_bytes_max,
      whenFull: 'remove_oldest',
      nowMs: Date.now,
      onRemoved: (removed) => this.#removed(removed),
      onProblem: (error) => options.report(`event log: ${error.message}`),
    })
    for (const cut of this.#log.recovered) {
      options.report(`event log: an unfinished end was cut off: ${JSON.stringify(cut)}`)
    }
    for (const problem of this.#log.problems) {
      options.report(`event log: ${problem.segment}: ${problem.what}. ${problem.action}`)
    }
  }

  /** Whom to tell; to be set before the first append. */
  deliverTo(listener: LogListener): void {
    this.#listener = listener
  }

  /** Oldest position there; `synced + 1` when the log is empty. */
  get first(): number { return this.#log.first }
  /** Last durable position. */
  get synced(): number { return this.#log.synced }
  get bytes(): number { return this.#log.bytes }
  /** First position of the newest segment. */
  get segmentFirst(): number { return this.#log.segmentFirst }
  /** Hash of the last durable batch, hex. */
  get chainHead(): string { return this.#log.chainHead }

  /**
   * Takes a batch that was checked; `payload` must not be changed afterwards. It is durable when
   * `onStored` is called. Throws LogError; then it was not taken.
   */
  append(payload: Uint8Array, batch: Batch): number {
    const position = this.#log.append(payload)
    const bytes = batchMemory(batch)
    this.#waiting.push({ position, batch, bytes })
    this.inFlightBytes += bytes
    this.#dirty = true
    this.#running ??= this.#commit()
    return position
  }

  /** Says that nobody looks at this batch any more. */
  release(logged: LoggedBatch): void {
    this.inFlightBytes -= logged.bytes
  }

  /** Reads what is durable; see LogReader. */
  read(range: ReadRange = {}): Generator<Entry, void, undefined> {
    const to = Math.min(range.to ?? Infinity, this.synced)
    return new LogReader(this.dir).read({ ...range, to })
  }

  /** Waits until what was appended before this call is durable, or could not be made so. */
  durable(): Promise<void> {
    if (this.#waiting.length === 0 || this.trouble !== null) return Promise.resolve()
    return new Promise((resolve) => {
      this.#awaited.push({ position: this.#waiting.at(-1)!.position, resolve })
    })
  }

  /** Waits until nothing is being written. Under load that is never: for the end only. */
  async settled(): Promise<void> {
    while (this.#running !== null) await this.#running
  }

  /** Makes a last attempt to store what waits, and gives the folder back. */
  async close(): Promise<void> {
    clearTimeout(this.#retry)
    await this.settled()
    clearTimeout(this.#retry)
    await this.#log.close()
  }

  #removed(removed: Removed): void {
    this.removedBatches += removed.frames
    const { segments, frames } = removed
    this.#options.report(`event log: ${segments} segments with ${frames} batches left by `
      + 'retention (log_bytes_max)')
  }

  async #commit(): Promise<void> {
    // The batches of this turn of the event loop are worth one sync together.
    await new Promise(setImmediate)
    try {
      while (this.#dirty) {
        this.#dirty = false
        await this.#log.sync()
        if (this.trouble !== null) this.#options.report('event log: batches are stored again')
        this.trouble = null
        this.#deliver()
      }
    } catch (error) {
      this.#failed(error)
    } finally {
      this.#running = null
    }
  }

  #deliver(): void {
    const { synced } = this.#log
    const count = this.#waiting.findIndex(({ position }) => position > synced)
    const stored = this.#waiting.splice(0, count < 0 ? this.#waiting.length : count)
    for (const logged of stored) this.#listener?.onStored(logged)
    if (stored.length > 0) this.#listener?.onSynced()
    const met = this.#awaited.filter(({ position }) => position <= synced || this.trouble !== null)
    this.#awaited = this.#awaited.filter((one) => !met.includes(one))
    for (const { resolve } of met) resolve()
  }

  #failed(error: unknown): void {
    if (!(error instanceof LogError)) throw error
    if (this.trouble?.code !== error.code) this.#options.report(`event log: ${error.message}`)
    this.trouble = error
    // A part may have become durable before the failure.
    this.#deliver()
    this.#dirty = true
    this.#retry = setTimeout(() => { this.#running ??= this.#commit() }, RETRY_MS)
  }
}

/** Memory that an opened batch holds, bytes. */
export function batchMemory(batch: Batch): number {
  const { columns_bytes, payload } = batch.envelope
  return columns_bytes + payload.length + BATCH_OVERHEAD_BYTES
}
