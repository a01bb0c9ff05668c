/**
 * What is known of stores and of who reads them: what is usual of each class of workloads, and what
 * running processes read lately. Pure; time is that of events. Bounded.
 */
import type { EventViews } from '../../proto/gen/events.ts'
import { UsualTable } from '../../stores/usual.ts'
import type { Novelty, Usual, UsualOptions, UsualSnapshot } from '../../stores/usual.ts'
import { ACCEPTED } from '../graph/sides.ts'
import type { Lineage, LineageProcess } from '../lineage.ts'
import { className, classOf } from '../names/workload-class.ts'
import { ProcessReads } from './process-reads.ts'
import type { ProcessReadsOptions, ProcessReadsSnapshot, ReadTotals } from './process-reads.ts'
import { StoreConnections } from './store-connections.ts'
import type { AmountEvent, StoreConnectionsSnapshot } from './store-connections.ts'

/** Instead of a mechanism of store_read: it came over a connection. */
export const NETWORK = 'network'

/** What the event that is looked at read of a store. Plain data. */
export interface StoreReading extends Novelty {
  store: string
  /** Key of the class of workloads, for `usualOf`. */
  workloadClass: string
  /** As in store_read, or `network`. */
  mechanism: string
  bytes: number
  /** Distinct files that the process has read so far by this mechanism; 0 when not known. */
  files: number
  bytesPerSecond: number
}

export type StoreStatesSnapshot = {
  usual: UsualSnapshot
  reads: ProcessReadsSnapshot
  connections: StoreConnectionsSnapshot
}

export type StoreStatesOptions = UsualOptions & ProcessReadsOptions

/** The store at an address, '' for none; of the zones. */
interface StorePlaces {
  storeAt(bytes: Uint8Array, at: number, port: number): string
}

/** Reports are for so long at least: what is read in a moment is no rate. */
const REPORT_MS = 5000

export class StoreStates {
  /** What the event read; null when it read nothing of a store. */
  current: StoreReading | null = null
  readonly #usual: UsualTable
  readonly #reads: ProcessReads
  readonly #connections = new StoreConnections()
  readonly #lineage: Lineage
  /** The latest answer, until something is read: several detectors ask the same of one event. */
  #asked: { workloadClass: string | number; store: string; usual: Usual | null } | null = null

  constructor(lineage: Lineage, options: StoreStatesOptions = {}) {
    this.#lineage = lineage
    this.#usual = new UsualTable(options)
    this.#reads = new ProcessReads(options)
  }

  /** Pairs of a class and a store that are known. */
  get size(): number { return this.#usual.size }

  /** Bytes of the arrays of what is usual. */
  get bytes(): number { return this.#usual.bytes }

  /** What was forgotten to make room. */
  get evictions(): number { return this.#usual.evictions + this.#reads.evictions }

  /** What found no room: stores with too many names, connections that their end tells. */
  get refused(): number { return this.#usual.refused + this.#connections.refused }

  /**
   * What is usual of a class and a store, from days before the one that runs; what was read in this
   * one is in it, with the event that is looked at. Null: the class has not read the store.
   *
   * @param workloadClass as `StoreReading`, or of `classOf`
   */
  usualOf(workloadClass: string | number, store: string): Usual | null {
    const asked = this.#asked
    if (asked?.workloadClass === workloadClass && asked.store === store) return asked.usual
    const usual = this.#usual.of(className(workloadClass), store)
    this.#asked = { workloadClass, store, usual }
    return usual
  }

  /** Every class and store with what is usual, for whoever shows it. */
  all(): Iterable<{ workloadClass: string; store: string; usual: Usual }> {
    return this.#usual.all()
  }

  /** Since when a store is known, and how many classes have read it; null when nobody has. */
  store(name: string): { firstMs: number; classes: number } | null {
    return this.#usual.store(name)
  }

  /**
   * What was read around a process: by itself, its descendants, and those of its ancestors of so
   * many generations in the same cgroup. `bytesSince` says how much of it lately.
   */
  readsAround(process: LineageProcess, generations = 3): readonly ReadTotals[] {
    return this.#reads.around(process, this.#lineage, generations)
  }

  /** For the engine: a process read files of a store. */
  read(event: EventViews['store_read'], process: LineageProcess | null, timeMs: number): void {
    const { store, mechanism, bytes, files_distinct: files } = event
    if (process === null || store === '') return
    this.#note(process, { store, mechanism, bytes, files, timeMs, ms: event.duration_ns / 1e6 })
  }

  /** For the engine: bytes came over connections, which may have been opened to a store. */
  received(
    event: AmountEvent, source: number, process: LineageProcess | null, timeMs: number,
    places: StorePlaces,
  ): void {
    const { columns, row } = event
    if (columns.direction[row] === ACCEPTED) return
    const store = places.storeAt(columns.remote_addr, 16 * row, columns.remote_port[row])
    if (store === '') return
    const { bytes, durationMs: ms } = this.#connections.take(event, source, timeMs)
    if (process === null || bytes === 0) return
    this.#note(process, { store, mechanism: NETWORK, bytes, files: 0, timeMs, ms })
  }

  #note(
    process: LineageProcess,
    { store, mechanism, bytes, files, timeMs, ms }: {
      store: string, mechanism: string, bytes: number, files: number, timeMs: number, ms: number
    },
  ): void {
    const workloadClass = className(classOf(process))
    const bytesPerSecond = bytes / (Math.max(REPORT_MS, ms) / 1000)
    const program = process.exe || process.comm
    this.#asked = null
    const novelty = this.#usual.note(workloadClass, store,
      { timeMs, bytes, files, bytesPerSecond, program })
    this.#reads.note(process, this.#lineage, store, bytes, timeMs)
    if (novelty === null) return
    this.current = { ...novelty, store, workloadClass, mechanism, bytes, files, bytesPerSecond }
  }

  /** The watermark has moved on. */
  advance(nowMs: number): void {
    this.#reads.advance(nowMs)
  }

  snapshot(): StoreStatesSnapshot {
    return {
      usual: this.#usual.snapshot(), reads: this.#reads.snapshot(),
      connections: this.#connections.snapshot(),
    }
  }

  /** Takes over what `snapshot` gave; this one must be empty. */
  restore({ usual, reads, connections }: StoreStatesSnapshot): void {
    this.#asked = null
    this.#usual.restore(usual)
    this.#reads.restore(reads)
    this.#connections.restore(connections)
  }
}
