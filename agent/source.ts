// Stage 2: pulls records from the ring in batches, on a timer that follows the load.

import type { NativeFailure } from '../native/index.ts'
import { recordBuffer } from '../proto/columns.ts'
import type { RecordBuffer } from '../proto/columns.ts'
import type { KernelCount } from './spool/accounts.ts'

/** What source needs of the kernel; KernelObject of native/index.ts is it. */
export interface Kernel {
  readRing(buffer: ArrayBuffer): number
  readIterator(program: string, buffer: ArrayBuffer): number | NativeFailure
  ringPending(): number
  counters(): KernelCount[]
  faults(): Record<string, number>
  programStats(): { name: string }[]
  detach(program: string): void
}

export interface SourceOptions {
  kernel: Kernel
  /** Size of the ring, as it was loaded. */
  ring_bytes: number
  /**
   * Programs that are run at the start, in this order; and then every `every_ms`, unless 0. A late
   * one may not be loaded yet.
   */
  iterators: readonly { program: string, every_ms: number, late?: true }[]
  /**
   * Takes one batch: whole records in the first `bytes` of the views. The buffer is reused: what
   * is kept must be copied before this returns.
   */
  consume(records: RecordBuffer, bytes: number): void
  /** An iterator that the kernel refused; source goes on. */
  failed(program: string, failure: NativeFailure): void
}

/** Since the start, and now. */
export interface SourceCounters {
  /** By kind number, counted in the kernel. */
  kinds: KernelCount[]
  /** Failures counted in the kernel, by name. */
  faults: Record<string, number>
  /** Bytes that wait in the ring. */
  pending_bytes: number
  batches: number
  bytes: number
  /** Bytes of the largest batch since the last call. */
  batch_bytes_max: number
}

/** One batch: about 2,000 connections. Large enough that the call into C++ costs nothing. */
const batchBytes = 256 * 1024
/** Then other work gets its turn: 4 MiB of records are some milliseconds. */
const batchesPerTurnMax = 16
const delayMsMin = 1
const delayMsMax = 50
/** While nothing happens: a timer that fires costs Node 0.12 ms, whatever it does. */
const delayMsEmptyMax = 100

/**
 * How long to sleep before the next turn, by what waited in the ring when this turn began. Pure.
 * Half as long when an eighth of the ring was full, twice as long when less than a 64th was: a
 * burst has to outrun the timer by far before a record is lost. An empty ring of 16 MiB takes
 * 100 ms of a million records a second.
 */
export function nextDelayMs(delayMs: number, pendingBytes: number, ringBytes: number): number {
  if (pendingBytes === 0) return Math.min(delayMsEmptyMax, delayMs * 2)
  if (pendingBytes > ringBytes / 8) return Math.max(delayMsMin, delayMs / 2)
  if (pendingBytes < ringBytes / 64) return Math.min(delayMsMax, delayMs * 2)
  return Math.min(delayMsMax, delayMs)
}

/** Pulls from start() to stop(). */
export class Source {
  readonly #options: SourceOptions
  readonly #records: RecordBuffer = recordBuffer(new ArrayBuffer(batchBytes))
  #timer: NodeJS.Timeout | undefined
  #immediate: NodeJS.Immediate | undefined
  readonly #late: ReadonlySet<string>
  readonly #periods = new Map<string, NodeJS.Timeout>()
  #delayMs = delayMsMax
  #batches = 0
  #bytes = 0
  #batchBytesMax = 0

  constructor(options: SourceOptions) {
    this.#options = options
    this.#late = new Set(
      options.iterators.filter(({ late }) => late).map(({ program }) => program))
  }

  /** Runs the iterators, then begins to pull. The programs are attached already. */
  start(): void {
    for (const { program, every_ms: ms } of this.#options.iterators) {
      if (this.#runIterator(program) && ms > 0) {
        this.#periods.set(program, setInterval(() => this.#runPeriodic(program), ms))
      }
    }
    this.#turn()
  }

  /**
   * Detaches every program, hands over what still waits, and runs the periodic iterators a last
   * time: for what is in their maps. The kernel object stays open.
   */
  stop(): void {
    clearTimeout(this.#timer)
    clearImmediate(this.#immediate)
    const { kernel } = this.#options
    for (const { name } of kernel.programStats()) kernel.detach(name)
    while (this.#pull() > 0);
    for (const [program, period] of this.#periods) {
      clearInterval(period)
      this.#runIterator(program)
    }
    this.#periods.clear()
  }

  counters(): SourceCounters {
    const { kernel } = this.#options
    const counters = {
      kinds: kernel.counters(), faults: kernel.faults(), pending_bytes: kernel.ringPending(),
      batches: this.#batches, bytes: this.#bytes, batch_bytes_max: this.#batchBytesMax,
    }
    this.#batchBytesMax = 0
    return counters
  }

  #turn(): void {
    const { kernel, ring_bytes: ringBytes } = this.#options
    this.#delayMs = nextDelayMs(this.#delayMs, kernel.ringPending(), ringBytes)
    for (let batch = 0; batch < batchesPerTurnMax; batch++) {
      // A batch that is far from full has emptied the ring.
      if (this.#pull() < batchBytes / 2) {
        this.#timer = setTimeout(() => this.#turn(), this.#delayMs)
        return
      }
    }
    this.#immediate = setImmediate(() => this.#turn())
  }

  /** One batch from the ring to the consumer; its bytes. */
  #pull(): number {
    const bytes = this.#options.kernel.readRing(this.#records.u8.buffer as ArrayBuffer)
    if (bytes > 0) this.#handOver(bytes)
    return bytes
  }

  #handOver(bytes: number): void {
    this.#batches++
    this.#bytes += bytes
    this.#batchBytesMax = Math.max(this.#batchBytesMax, bytes)
    this.#options.consume(this.#records, bytes)
  }

  /** What is in the ring is older than what an iterator makes now: it goes first. */
  #runPeriodic(program: string): void {
    for (let batch = 0; batch < batchesPerTurnMax && this.#pull() > 0; batch++);
    if (this.#runIterator(program)) return
    clearInterval(this.#periods.get(program))
    this.#periods.delete(program)
  }

  /** False when the kernel refuses it, which is reported once. */
  #runIterator(program: string): boolean {
    const buffer = this.#records.u8.buffer as ArrayBuffer
    for (;;) {
      const result = this.#options.kernel.readIterator(program, buffer)
      if (typeof result !== 'number') {
        if (this.#late.has(program) && result.code === 'ENOENT') return true
        this.#options.failed(program, result)
        return false
      }
      if (result === 0) return true
      this.#handOver(result)
    }
  }
}
