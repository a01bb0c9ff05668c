/** What the log says of stores: where they are, and who read and changed what in a range. */
import type { StorePolicy } from '../../policy/policy.ts'
import { learningPolicy } from '../../policy/learning.ts'
import { parsePolicy } from '../../policy/parse.ts'
import type { EventJson } from '../../proto/event-json.ts'
import { StoreBlindness, StoreContent } from './store-sights.ts'

/** A store as a node told it. */
export interface StoreSite {
  node_id: string
  /** `watched`, `absent`, `unresolved` or `gone`. */
  state: string
  path: string
  fs_type: string
  mount_source: string
  reason: string
  since: string
}

/** What a class of workloads did to a store in the range. */
export interface Reader {
  store: string
  workload_class: string
  bytes: number
  calls: number
  /** Most distinct files that one process read. */
  files_distinct: number
  /** Highest of one report, which covers five seconds or more. */
  bytes_per_second: number
  /** In one day, UTC. */
  bytes_most_per_day: number
  bytes_by_mechanism: Record<string, number>
  /** By the program and how it read. A few: the others are one. */
  bytes_by_program: { program: string, mechanism: string, bytes: number }[]
  /** Files that it created, deleted and so on, by operation, and all together. */
  changes: Record<string, number>
  changes_total: number
  /** Bytes of files that it deleted or cut short. */
  bytes_lost: number
  /** Directories that it listed. */
  directories_listed: number
  /** A few of each. */
  workloads: string[]
  nodes: string[]
  programs: string[]
  /** Bytes that the policy did not let it read, and changes that it did not let it make. */
  bytes_not_permitted: number
  changes_not_permitted: number
  /** Of reads, changes and listings together. */
  first_seen: string
  last_seen: string
  /** '' when it read nothing. */
  first_read: string
  last_read: string
}

/** A reader, and what only serves to count. */
type Counted = Omit<Reader, 'bytes_by_program'> & {
  days: Map<string, number>
  uses: Map<string, Reader['bytes_by_program'][number]>
}

/** As in StoreStates: what is read in a moment is no rate. */
const REPORT_MS = 5000
const READERS_MAX = 100_000
const SITES_MAX = 100_000
const NODES_MAX = 65_536
const CONNECTIONS_MAX = 65_536
const LISTED_MAX = 8
const USES_MAX = 32
const OTHERS = 'others'
const NETWORK = 'network'

export class StoreReadings {
  /** Of the policy in force last, in its order. */
  stores: readonly StorePolicy[] = []
  /** Reports and places beyond the bounds, which are in no number. */
  unlisted = 0
  readonly #sites = new Map<string, StoreSite & { store: string }>()
  readonly #boots = new Map<string, string>()
  readonly #readers = new Map<string, Counted>()
  /** What open connections have brought so far, and when they told it. */
  readonly #connections = new Map<string, { bytes: number, timeMs: number }>()
  readonly #fromMs: number
  /** What files hold by their manifests, and what of the reads could not be seen. */
  readonly content = new StoreContent()
  readonly blindness = new StoreBlindness()

  /** @param fromMs where the range begins, milliseconds since 1970 */
  constructor(fromMs: number) {
    this.#fromMs = fromMs
  }

  /** Takes an event over that says what is watched and how, in the order of the log. */
  learn(event: EventJson): void {
    if (event['kind'] === 'policy_applied') {
      const text = textOf(event, 'text')
      const { policy } = text === '' ? { policy: learningPolicy() } : parsePolicy(text)
      if (policy !== null) this.stores = policy.stores
    } else if (event['kind'] === 'store_seen') this.#learnSite(event)
    else if (event['kind'] === 'probe_state') this.blindness.learn(event)
  }

  #learnSite(event: EventJson): void {
    const node_id = textOf(event, 'node_id')
    const boot = textOf(event, 'boot_id')
    if (!this.#boots.has(node_id) && this.#boots.size >= NODES_MAX) {
      this.unlisted++
      return
    }
    if (this.#boots.get(node_id) !== boot) {
      // What it told before it was started again may be anywhere by now.
      for (const [key, site] of this.#sites) if (site.node_id === node_id) this.#sites.delete(key)
      this.#boots.set(node_id, boot)
    }
    const [store, path] = [textOf(event, 'store'), textOf(event, 'path')]
    const key = JSON.stringify([store, node_id, path, event['mount_namespace'] ?? 0])
    if (!this.#sites.has(key) && this.#sites.size >= SITES_MAX) {
      this.unlisted++
      return
    }
    this.#sites.set(key, {
      store, node_id, path, state: textOf(event, 'state'), fs_type: textOf(event, 'fs_type'),
      mount_source: textOf(event, 'mount_source'), reason: textOf(event, 'reason'),
      since: textOf(event, 'time'),
    })
  }

  /** Takes over an event of the range in which something was done; others are passed over. */
  count(event: EventJson): void {
    if (event['kind'] === 'gap') this.blindness.count(event)
    if (textOf(event, 'store') === '') return
    const ms = numberOf(event, 'duration_ns') / 1e6
    if (event['kind'] === 'store_read') {
      this.#add(event, textOf(event, 'mechanism'), numberOf(event, 'bytes'), ms)
    } else if (event['kind'] === 'store_write') this.#addChange(event)
    else if (event['kind'] === 'store_listing') {
      const reader = this.#readerOf(event)
      if (reader !== null) reader.directories_listed += numberOf(event, 'directories')
    } else if (event['kind'] === 'artifact_digest') this.content.take(event)
    else if (textOf(event, 'kind').startsWith('connection_')) this.#countConnection(event, ms)
  }

  /** Counts what a connection brought since it was told last. */
  #countConnection(event: EventJson, ms: number): void {
    const bytes = numberOf(event, 'bytes_received')
    if (event['kind'] === 'connection_repeat') {
      this.#add(event, NETWORK, bytes, ms)
      return
    }
    const key = JSON.stringify(['node_id', 'boot_id', 'connection_id'].map((one) => event[one]))
    const timeMs = Date.parse(textOf(event, 'time'))
    const before = this.#connections.get(key)
    if (event['kind'] === 'connection_close') this.#connections.delete(key)
    else if (event['kind'] !== 'connection_totals') return
    else if (before === undefined && this.#connections.size >= CONNECTIONS_MAX) {
      this.unlisted++
      return
    } else {
      this.#connections.set(key, { bytes: Math.max(bytes, before?.bytes ?? 0), timeMs })
      // What it brought before the range began is in no report of the range.
      if (before === undefined && timeMs - ms < this.#fromMs) return
    }
    const brought = bytes - (before?.bytes ?? 0)
    if (brought > 0) this.#add(event, NETWORK, brought, timeMs - (before?.timeMs ?? timeMs - ms))
  }

  /** The class that did it, which was seen again; null beyond the bound. */
  #readerOf(event: EventJson): Counted | null {
    const store = textOf(event, 'store')
    const workload_class = textOf(event, 'workload_class') || textOf(event, 'workload')
    const key = JSON.stringify([store, workload_class])
    const time = textOf(event, 'time')
    let reader = this.#readers.get(key)
    if (reader === undefined) {
      if (this.#readers.size >= READERS_MAX) {
        this.unlisted++
        return null
      }
      this.#readers.set(key, reader = newReader(store, workload_class, time))
    }
    if (time > reader.last_seen) reader.last_seen = time
    if (time < reader.first_seen) reader.first_seen = time
    list(reader.workloads, textOf(event, 'workload'))
    list(reader.nodes, textOf(event, 'node_id'))
    list(reader.programs, programOf(event))
    return reader
  }

  #addChange(event: EventJson): void {
    const reader = this.#readerOf(event)
    if (reader === null) return
    const [operation, count] = [textOf(event, 'operation'), numberOf(event, 'count')]
    reader.changes[operation] = (reader.changes[operation] ?? 0) + count
    reader.changes_total += count
    if (operation === 'delete' || operation === 'truncate') {
      reader.bytes_lost += numberOf(event, 'bytes')
    }
    if (event['permitted'] === false) reader.changes_not_permitted += count
  }

  #add(event: EventJson, mechanism: string, bytes: number, ms: number): void {
    const reader = this.#readerOf(event)
    if (reader === null) return
    reader.bytes += bytes
    reader.calls += numberOf(event, 'calls')
    reader.files_distinct = Math.max(reader.files_distinct, numberOf(event, 'files_distinct'))
    const rate = Math.round(bytes / (Math.max(REPORT_MS, ms) / 1000))
    reader.bytes_per_second = Math.max(reader.bytes_per_second, rate)
    reader.bytes_by_mechanism[mechanism] = (reader.bytes_by_mechanism[mechanism] ?? 0) + bytes
    addUse(reader.uses, programOf(event), mechanism, bytes)
    if (event['permitted'] === false) reader.bytes_not_permitted += bytes
    const time = textOf(event, 'time')
    const day = (reader.days.get(time.slice(0, 10)) ?? 0) + bytes
    reader.days.set(time.slice(0, 10), day)
    reader.bytes_most_per_day = Math.max(reader.bytes_most_per_day, day)
    if (time > reader.last_read) reader.last_read = time
    if (reader.first_read === '' || time < reader.first_read) reader.first_read = time
  }

  /** Where a store is, by node. */
  sitesOf(store: string): StoreSite[] {
    return [...this.#sites.values()].filter((site) => site.store === store)
      .map(({ store: _, ...site }) => site)
      .sort((a, b) => order(a.node_id, b.node_id) || order(a.path, b.path))
  }

  /** Who did something to a store: who read the most first, then who changed the most. */
  readersOf(store: string): Reader[] {
    return [...this.#readers.values()].filter((reader) => reader.store === store)
      .map(({ days: _, uses, ...reader }) => ({
        ...reader, bytes_by_program: [...uses.values()].sort((a, b) => b.bytes - a.bytes),
      }))
      .sort((a, b) => b.bytes - a.bytes || b.changes_total - a.changes_total ||
        order(a.workload_class, b.workload_class))
  }

  /** Stores of the policy in its order, then those that only the log knows and that are there. */
  names(): string[] {
    const there = [...this.#sites.values()].filter(({ state }) => state === 'watched')
    const told = [...this.#readers.values(), ...there].map(({ store }) => store)
    return [...new Set([...this.stores.map(({ name }) => name), ...told.sort()])]
  }
}

function newReader(store: string, workload_class: string, time: string): Counted {
  return {
    store, workload_class, bytes: 0, calls: 0, files_distinct: 0, bytes_per_second: 0,
    bytes_most_per_day: 0, bytes_by_mechanism: {}, changes: {}, changes_total: 0, bytes_lost: 0,
    directories_listed: 0, workloads: [], nodes: [], programs: [], bytes_not_permitted: 0,
    changes_not_permitted: 0, first_seen: time, last_seen: time, first_read: '', last_read: '',
    days: new Map(), uses: new Map(),
  }
}

function addUse(uses: Counted['uses'], program: string, mechanism: string, bytes: number): void {
  const key = JSON.stringify([program, mechanism])
  const use = uses.get(key)
  if (use !== undefined) use.bytes += bytes
  else if (uses.size < USES_MAX || program === OTHERS) uses.set(key, { program, mechanism, bytes })
  else addUse(uses, OTHERS, '', bytes)
}

function programOf(event: EventJson): string {
  return textOf(event, 'exe') || textOf(event, 'comm')
}

function list(names: string[], name: string): void {
  if (name !== '' && names.length < LISTED_MAX && !names.includes(name)) names.push(name)
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function textOf(event: EventJson, name: string): string {
  return String(event[name] ?? '')
}

function numberOf(event: EventJson, name: string): number {
  return Number(event[name] ?? 0)
}
