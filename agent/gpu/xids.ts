// Errors that the drivers of GPUs tell of in the kernel's log, as events.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { xidFacts } from '../../gpu/xid.ts'
import type { GpuXid, Process } from '../../proto/gen/events.ts'
import type { Clock } from '../clock.ts'
import { Budget } from '../enrich/budget.ts'
import { AgentError } from '../errors.ts'
import type { Loss } from '../spool/gaps.ts'
import { KernelLog, openKmsg } from './kmsg.ts'
import type { KernelMessage, LogFile } from './kmsg.ts'
import { parseXidLine } from './xid-line.ts'

export interface XidsOptions {
  clock: Clock
  /** Where the root of the node is. */
  root: string
  add(kind: 'gpu_xid', values: Partial<GpuXid>, time: bigint, process: Partial<Process>): void
  /** What is known of a running process by its pid; nothing when it is unknown. */
  processOf(pid: number): Partial<Process>
  /** An error was told. */
  seen(): void
  noteLoss(loss: Loss): void
  complain(error: AgentError): void
  /** Opens the log; throws when it cannot be read. */
  openLog?(): LogFile
  /** Nanoseconds since boot without suspend, as the kernel stamps its messages. */
  monotonicNs?(): bigint
}

/** Modules whose messages are read. */
const modules = ['nvidia', 'nvidia_nvswitch']
const lookMs = 60_000
const readMs = 1000
/** A full log of 1 MiB has about 10,000 records: half a millisecond per turn. */
const recordsPerTurn = 500
/** A broken GPU may tell the same thousands of times. */
const eventsPerSecond = 100

/**
 * Watches from start() to stop(). What was in the log before is not told: an earlier run did. On a
 * node without such a driver it asks once a minute whether there is one.
 */
export class Xids {
  readonly #options: XidsOptions
  readonly #budget = new Budget(eventsPerSecond)
  #log: KernelLog | undefined
  #timers: { look?: NodeJS.Timeout, read?: NodeJS.Timeout } = {}
  #old = true
  #lookedNs = 0n
  #lost = 0
  /** Errors that were told, errors beyond the limit, and messages overwritten before a look. */
  readonly counts = { told: 0, refused: 0, messages_lost: 0 }

  constructor(options: XidsOptions) {
    this.#options = options
  }

  /** Opens the log; says so when it cannot be read, and then watches nothing. */
  start(): void {
    const { clock, complain, openLog = openKmsg } = this.#options
    try {
      this.#log = new KernelLog(openLog())
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? String(error)
      // Without a driver there is nothing in it that would be missed.
      if (this.#driverIsThere()) {
        complain(new AgentError('GPU_LOG_UNREADABLE',
          `/dev/kmsg cannot be read (${code}), so that errors of GPUs are not seen`))
      }
      return
    }
    this.#lookedNs = clock.now().bootNs
    // The old messages are passed over now, so that all that is there later is new.
    this.#turn()
    this.#timers.look = setInterval(() => this.look(), lookMs).unref()
  }

  /** A driver may have come: reads, or goes on reading, while there is one. */
  look(): void {
    if (this.#log && !this.#timers.read && this.#driverIsThere()) this.#turn()
  }

  stop(): void {
    clearInterval(this.#timers.look)
    clearTimeout(this.#timers.read)
    this.#timers = {}
    this.#log?.close()
    this.#log = undefined
  }

  /** Reads some, and comes again: soon when there is more, and as long as there is a driver. */
  #turn(): void {
    this.#timers.read = undefined
    if (!this.#log) return
    let more = false
    try {
      more = this.#log.read((message) => this.#take(message), recordsPerTurn)
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? String(error)
      this.stop()
      this.#options.complain(new AgentError(
        'GPU_LOG_UNREADABLE', `/dev/kmsg cannot be read any more (${code})`))
      return
    }
    this.#noteLosses()
    if (!more) this.#old = false
    if (!more && !this.#driverIsThere()) return
    this.#timers.read = setTimeout(() => this.#turn(), more ? 0 : readMs).unref()
  }

  #take({ text, time_us }: KernelMessage): void {
    if (this.#old) return
    const found = parseXidLine(text)
    if (!found) return
    const { add, clock, noteLoss, processOf, seen } = this.#options
    const { bootNs } = clock.now()
    if (!this.#budget.take()) {
      this.counts.refused++
      noteLoss({
        event_kind: 'gpu_xid', stage: 'probe', count: 1, from_time: bootNs, to_time: bootNs,
        reason: `GPUs told of more than ${eventsPerSecond} errors per second`,
      })
      return
    }
    this.counts.told++
    const facts = xidFacts(found.is_switch ? 0 : found.xid)
    add('gpu_xid', {
      ...found, xid_name: facts?.name, xid_category: facts?.category ??
        (found.is_switch ? 'fabric' : undefined),
      critical: facts?.critical ?? isFatalSwitchError(found.text, found.is_switch), source: 'kmsg',
    }, bootNs - this.#ageNs(time_us), found.xid_pid === 0 ? {} : processOf(found.xid_pid))
    seen()
  }

  /** The kernel's own clock may be off by a little, but nothing comes from the future. */
  #ageNs(timeUs: number): bigint {
    const { monotonicNs = process.hrtime.bigint } = this.#options
    const age = monotonicNs() - BigInt(timeUs) * 1000n
    return age > 0n ? age : 0n
  }

  #noteLosses(): void {
    const { clock, noteLoss } = this.#options
    const { bootNs } = clock.now()
    const more = this.#log!.lost - this.#lost
    this.#lost = this.#log!.lost
    if (more > 0 && !this.#old) {
      this.counts.messages_lost += more
      noteLoss({
        event_kind: 'gpu_xid', stage: 'probe', count: more, from_time: this.#lookedNs,
        to_time: bootNs, reason: 'messages of the kernel were overwritten before they were read: ' +
          'errors of GPUs may be among them',
      })
    }
    this.#lookedNs = bootNs
  }

  #driverIsThere(): boolean {
    const { root } = this.#options
    return modules.some((name) => existsSync(join(root, 'sys/module', name)))
  }
}

/** An SXid says itself whether it is fatal: "20034, Fatal, Link 30 …". */
function isFatalSwitchError(text: string, isSwitch: boolean): boolean {
  return isSwitch && /^Fatal\b/.test(text)
}
