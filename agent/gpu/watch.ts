// Reads the state of GPUs every minute, and soon after something was done to it; tells what is
// different, and who did something just before.

import { AgentError } from '../errors.ts'
import type { Act, ActKind } from './acts.ts'
import { GpuState } from './state.ts'
import type { Reading, StateChange } from './state.ts'
import type { GpuState as GpuStateEvent, Process } from '../../proto/gen/events.ts'

/** One source of the state. At most one reading of it is under way. */
export interface StateReader {
  name: string
  /**
   * `thorough`: with what is slow, since something was done to a GPU. Undefined: it was better not
   * to read this time, and all is as it was.
   */
  read(nowMs: number, thorough: boolean): Promise<Reading | undefined>
  /** What is told when it takes too long. */
  noAnswer(seconds: number): Reading
}

export interface GpuWatchOptions {
  readers: readonly StateReader[]
  state?: GpuState
  /** Nanoseconds since boot. */
  now(): bigint
  add(kind: 'gpu_state', values: Partial<GpuStateEvent>, time: bigint,
    process: Partial<Process> | undefined): void
  actorOf(subject: string, now: bigint): Act | undefined
  complain(error: AgentError): void
  intervalMs?: number
  /** From the first hint to the reading; what comes meanwhile is part of it. */
  hintDelayMs?: number
  timeoutMs?: number
}

/** What was done since the start. */
export interface GpuWatchCounts {
  /** By reader; `late` ones end in one of the others some day. `seconds`: the last that ended. */
  readers: ReadonlyMap<string, { ok: number, failed: number, late: number, seconds: number }>
  items: number
  /** Items that found no room. */
  left: number
}

const intervalDefaultMs = 60_000
const hintDelayDefaultMs = 2000
const timeoutDefaultMs = 5000
/** Acts after which the GPU's own flash is worth a look. */
const thoroughAfter: ReadonlySet<string> = new Set(['gpu_call', 'gpu_xid'])
/** So often at most it is read then. */
const thoroughIntervalMs = 600_000

/** The watch over all readers. */
export class GpuWatch {
  readonly #options: GpuWatchOptions
  readonly #state: GpuState
  /** Readers at work; late: they take too long. */
  readonly #busy = new Map<StateReader, { late: boolean, again: boolean }>()
  readonly #told = new Set<StateReader>()
  readonly #counts: Map<string, { ok: number, failed: number, late: number, seconds: number }>
  #interval: NodeJS.Timeout | undefined
  #hinted: NodeJS.Timeout | undefined
  #thoroughAtMs = -Infinity
  #thorough = false
  #stopped = false

  constructor(options: GpuWatchOptions) {
    this.#options = options
    this.#state = options.state ?? new GpuState()
    this.#counts = new Map(options.readers.map(({ name }) =>
      [name, { ok: 0, failed: 0, late: 0, seconds: 0 }]))
  }

  get counts(): GpuWatchCounts {
    return { readers: this.#counts, items: this.#state.size, left: this.#state.left }
  }

  start(): void {
    this.look()
    this.#interval = setInterval(() => this.look(), this.#options.intervalMs ?? intervalDefaultMs)
    this.#interval.unref()
  }

  /** What is read still is not waited for, and tells nothing any more. */
  stop(): void {
    this.#stopped = true
    clearInterval(this.#interval)
    clearTimeout(this.#hinted)
  }

  /** Something was done that may change the state: it is read soon. */
  hint(kind: ActKind | 'gpu_xid'): void {
    if (thoroughAfter.has(kind)) this.#thorough = true
    this.#hinted ??= setTimeout(() => {
      this.#hinted = undefined
      this.look()
    }, this.#options.hintDelayMs ?? hintDelayDefaultMs).unref()
  }

  /** Begins a reading of every reader that has none under way. */
  look(): void {
    if (this.#stopped) return
    const nowMs = this.#nowMs()
    const thorough = this.#thorough && nowMs - this.#thoroughAtMs >= thoroughIntervalMs
    this.#thorough = false
    if (thorough) this.#thoroughAtMs = nowMs
    for (const reader of this.#options.readers) {
      const busy = this.#busy.get(reader)
      if (!busy) void this.#read(reader, nowMs, thorough)
      // Its items grow old meanwhile.
      else if (busy.late) this.#apply(reader, reader.noAnswer(this.#timeoutS))
      // What it reads now may be what was before.
      else busy.again = true
    }
  }

  get #timeoutS(): number { return (this.#options.timeoutMs ?? timeoutDefaultMs) / 1000 }

  async #read(reader: StateReader, beganMs: number, thorough: boolean): Promise<void> {
    const counts = this.#counts.get(reader.name)!
    const busy = { late: false, again: false }
    this.#busy.set(reader, busy)
    const late = setTimeout(() => {
      busy.late = true
      counts.late++
      if (!this.#stopped) this.#apply(reader, reader.noAnswer(this.#timeoutS))
    }, this.#timeoutS * 1000)
    late.unref()
    try {
      const reading = await reader.read(beganMs, thorough)
      clearTimeout(late)
      counts.seconds = (this.#nowMs() - beganMs) / 1000
      counts[reading?.answered === false ? 'failed' : 'ok']++
      if (reading && !this.#stopped) this.#apply(reader, reading)
    } catch (error) {
      clearTimeout(late)
      counts.failed++
      this.#options.complain(new AgentError('GPU_STATE_UNREADABLE',
        `the ${reader.name} part of the state of GPUs could not be read: ${String(error)}`, error))
    } finally {
      this.#busy.delete(reader)
    }
    if (busy.again && !this.#stopped) void this.#read(reader, this.#nowMs(), false)
  }

  #apply(reader: StateReader, reading: Reading): void {
    const first = !this.#told.has(reader)
    // A library that comes later is news, but what it says of the GPUs is not what somebody did.
    if (reading.answered) this.#told.add(reader)
    for (const change of this.#state.apply(reader.name, reading, this.#nowMs())) {
      this.#tell(change, first)
    }
  }

  #tell({ now, oldValue, changes }: StateChange, first: boolean): void {
    const { add, actorOf, now: clock } = this.#options
    const seenAt = clock()
    const actor = first ? undefined : actorOf(now.subject, seenAt)
    add('gpu_state', {
      subject: now.subject, item: now.item, value: now.value, old_value: oldValue,
      reading: now.reading, reason: now.reason, source: now.source, changes,
      pci_address: now.pci_address,
      ...actor && {
        actor_kind: actor.kind, actor_action: actor.action,
        actor_age_ms: Number((seenAt - actor.time) / 1_000_000n),
      },
    }, seenAt, actor?.process)
  }

  #nowMs(): number { return Number(this.#options.now() / 1_000_000n) }
}
