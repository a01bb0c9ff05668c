// Stage 5, event → batch on disk: the one entrance for all events of the agent. It numbers them,
// refuses by class what does not fit, and keeps the account of both.

import type { Clock } from './clock.ts'
import type { RecordSink } from './decode.ts'
import { Accounts } from './spool/accounts.ts'
import { Gaps } from './spool/gaps.ts'
import type { Loss } from './spool/gaps.ts'
import { sequenceAfter } from './spool/sequence.ts'
import { SpoolStore } from './spool/store.ts'
import type { StoreOptions } from './spool/store.ts'
import { LogError } from '../log/errors.ts'
import { BatchBuilder } from '../proto/batch-builder.ts'
import type { RecordBuffer } from '../proto/columns.ts'
import { kindInfos } from '../proto/gen/events.ts'
import type { EventKind, EventValues, Process } from '../proto/gen/events.ts'
import type { ProcessFactsOf } from '../proto/process-table.ts'

export interface SpoolOptions extends Omit<StoreOptions, 'changed'> {
  node_id: string
  boot_id: string
  clock: Clock
  /** Most events of a batch. */
  eventsPerBatchMax: number
  /** Longest time that an event waits for its batch to leave. */
  flushIntervalMs: number
  factsOf: ProcessFactsOf
}

export type DropClass = 'low' | 'normal' | 'critical'

/** From this fill on, events of a class are refused. The rest is for critical ones. */
const refusedFrom: Record<DropClass, number> = { low: 0.90, normal: 0.95, critical: Infinity }
/** Rows for gap events that join a full batch; what is more waits for the next one. */
const gapRows = 64
const gapIntervalNs = 1_000_000_000n
const infoOf = new Map(kindInfos.map((info) => [info.kind, info]))

/** Events in, durable batches out. */
export class Spool implements RecordSink {
  readonly #options: SpoolOptions
  readonly store: SpoolStore
  readonly accounts = new Accounts()
  readonly #gaps = new Gaps()
  readonly #builder: BatchBuilder
  /** By kind number: 1 while the entrance refuses it; how many it refused since the last batch. */
  readonly #refuses = new Uint8Array(256)
  readonly #refused = new Float64Array(256)
  readonly #dropped: Record<DropClass, number> = { low: 0, normal: 0, critical: 0 }
  readonly #listeners: (() => void)[] = []
  #timer: NodeJS.Timeout | undefined
  #nextSeq: number
  #closedAtNs: bigint
  #gapsToldNs = 0n
  /** Number of the first event of this run. */
  readonly firstSeq: number

  /** Opens the folder. Throws LogError when it cannot be used. */
  constructor(options: SpoolOptions) {
    this.#options = options
    this.store = new SpoolStore({ ...options, changed: () => this.#stored() })
    this.#builder = new BatchBuilder({
      eventsMax: options.eventsPerBatchMax + gapRows, factsOf: options.factsOf,
    })
    const { bootNs } = options.clock.now()
    this.#closedAtNs = bootNs
    this.#nextSeq = this.firstSeq = sequenceAfter(this.store.last, options.boot_id, bootNs)
  }

  get nodeId(): string { return this.#options.node_id }
  get bootId(): string { return this.#options.boot_id }
  /** Number of the next event. */
  get nextSeq(): number { return this.#nextSeq + this.#builder.count }
  /** Events refused since the start, by class. */
  get dropped(): Readonly<Record<DropClass, number>> { return this.#dropped }
  /** Losses that no gap event tells yet. */
  get gapsWaiting(): number { return this.#gaps.size }

  /** Calls `listener` after batches became durable or left. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /**
   * Takes a checked record, or refuses it and counts that. `texts`: what user space knows of it, by
   * the names of text fields.
   */
  takeRecord(
    record: RecordBuffer, at: number, kind: number, texts?: Readonly<Record<string, string>>,
  ): void {
    const builder = this.#builder
    if (this.#refuses[kind] !== 0) {
      this.#refused[kind]++
      return
    }
    builder.appendRecord(record, at)
    if (texts) builder.setTexts(texts)
    if (builder.count === 1) this.#wait()
    if (builder.count >= this.#options.eventsPerBatchMax || builder.full) this.#close()
  }

  /** Takes an event made in user space; `time` in nanoseconds since boot, default now. */
  add<K extends EventKind>(
    kind: K, values: Partial<EventValues[K]>, time?: bigint, process?: Partial<Process>,
  ): void {
    const { number } = infoOf.get(kind)!
    this.accounts.of(kind).produced++
    if (this.#refuses[number] !== 0) {
      this.#refused[number]++
      return
    }
    this.#builder.append(kind, values, time ?? this.#options.clock.now().bootNs, process)
    if (this.#builder.count === 1) this.#wait()
    if (this.#builder.count >= this.#options.eventsPerBatchMax || this.#builder.full) this.#close()
  }

  /** The process of this pid and start time (two words) runs another program now. */
  forgetProcess(pid: number, startLow: number, startHigh: number): void {
    this.#builder.forgetProcess(pid, startLow, startHigh)
  }

  /** Events were lost elsewhere: a gap event will say so. */
  noteLoss(loss: Loss): void {
    this.#gaps.note(loss)
  }

  /** Numbers up to `seq` were given to events that this spool does not know: go on behind them. */
  skipTo(seq: number): void {
    if (seq < this.#nextSeq) return
    this.#nextSeq = seq + 1
  }

  /** Closes the open batch and makes it durable; false when the disk fails (it is tried again). */
  flush(): Promise<boolean> {
    this.#close(true)
    return this.store.sync()
  }

  /** Flushes and closes. Rejects with LogError when events could not be made durable. */
  async close(): Promise<void> {
    this.#close(true)
    clearTimeout(this.#timer)
    await this.store.close()
  }

  #wait(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#close()
    }, this.#options.flushIntervalMs)
  }

  /** The open batch becomes a frame; with what was lost meanwhile. */
  #close(tellAllGaps = false): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const builder = this.#builder
    const now = this.#options.clock.now()
    this.#countRefused(now.bootNs)
    const tell = tellAllGaps || now.bootNs - this.#gapsToldNs >= gapIntervalNs
    const gaps = tell ? this.#gaps.take(gapRows) : []
    for (const gap of gaps) {
      this.accounts.of('gap').produced++
      builder.append('gap', gap, now.bootNs)
    }
    if (gaps.length > 0) this.#gapsToldNs = now.bootNs
    const stored = builder.count === 0 || this.#append(now.bootNs, now.wallNs)
    if (!stored) this.#gaps.putBack(gaps)
    this.#closedAtNs = now.bootNs
    if (tellAllGaps && stored && this.#gaps.size > 0) this.#close(true)
  }

  /** True when the store took the batch; it is made durable in the background. */
  #append(bootNs: bigint, wallNs: bigint): boolean {
    const { node_id, boot_id } = this.#options
    const counts = this.#builder.kindCounts()
    const { count } = this.#builder
    const frame = this.#builder.encode({
      node_id, boot_id, first_seq: this.#nextSeq, clock_offset_ns: wallNs - bootNs,
    })
    try {
      this.store.append(frame)
    } catch (error) {
      if (!(error instanceof LogError)) throw error
      for (const [kind, rows] of counts) this.#drop(kind, rows, bootNs, error.code)
      this.#setRefusals()
      void this.store.sync()
      return false
    }
    this.#nextSeq += count
    for (const [kind, rows] of counts) this.accounts.of(kind).stored += rows
    this.#setRefusals()
    void this.store.sync()
    return true
  }

  #countRefused(nowNs: bigint): void {
    for (const { kind, number } of kindInfos) {
      if (this.#refused[number] === 0) continue
      this.#drop(kind, this.#refused[number], nowNs, 'LOG_FULL')
      this.#refused[number] = 0
    }
  }

  #drop(kind: EventKind, count: number, nowNs: bigint, code: string): void {
    this.accounts.of(kind).dropped += count
    this.#dropped[infoOf.get(kind)!.dropClass] += count
    // A gap event that did not fit is told again; it needs no gap event of its own.
    if (kind === 'gap') return
    const why = code === 'LOG_FULL' ? 'the spool was full' : 'the disk of the spool failed'
    const reason = this.store.problem === undefined ? why : `${why} (${this.store.problem.code})`
    const range = { from_time: this.#closedAtNs, to_time: nowNs }
    this.#gaps.note({ event_kind: kind, stage: 'spool', count, reason, ...range })
  }

  #stored(): void {
    this.#setRefusals()
    for (const listener of this.#listeners) listener()
  }

  #setRefusals(): void {
    const { fill } = this.store
    for (const { number, dropClass } of kindInfos) {
      this.#refuses[number] = fill >= refusedFrom[dropClass] ? 1 : 0
    }
  }
}
