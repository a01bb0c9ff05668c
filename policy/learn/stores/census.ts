/**
 * What a log says of stores besides who used them: which ones policies named, where they were
 * found, and servers that may be stores and are in no policy. Bounded: what does not fit is
 * counted.
 */
import type { Event } from '../../../proto/batch-cursor.ts'
import { drillEnd } from '../../match/drill-ranges.ts'
import { isLoopback } from '../../match/cidr.ts'
import { parsePolicy } from '../../parse.ts'
import type { StorePolicy } from '../../policy.ts'
import { dayOf } from './access.ts'

/** Something that sent much to those who called it. */
export interface Server {
  address: string
  port: number
  bytes: number
  days: Set<number>
  programs: Set<string>
  nodes: Set<string>
  first_ms: number
  last_ms: number
}

export interface StoreCensus {
  /** Of the newest policy of the log; empty when it has none. */
  stores: readonly StorePolicy[]
  /** Of earlier policies, by name, when the newest has none of that name. */
  former: Map<string, StorePolicy>
  /** Nodes where a store is watched now, by name, each with what it is there. */
  sites: Map<string, Map<string, string>>
  servers: Server[]
  /** Times that something new did not fit. */
  unlisted: number
}

type Amount = Extract<Event, { kind: 'connection_close' | 'connection_repeat'
  | 'connection_totals' }>

const SERVERS_MAX = 20_000
const CONNECTIONS_MAX = 65_536
const STORES_MAX = 1024
const EACH_MAX = 64
const ACCEPTED = 2

/** Takes events in the order of the log. */
export class StoreCensusTaker {
  readonly #census: StoreCensus = {
    stores: [], former: new Map(), sites: new Map(), servers: [], unlisted: 0,
  }
  readonly #servers = new Map<string, Server>()
  /** Bytes that open connections have told so far. */
  readonly #open = new Map<string, number>()
  readonly #serversMax: number

  constructor(serversMax: number = SERVERS_MAX) {
    this.#serversMax = serversMax
  }

  /** Policies and places count whenever they come; amounts only when they are in the range. */
  take(event: Event, inRange: boolean): void {
    switch (event.kind) {
      case 'policy_applied':
        return this.#policy(event.text)
      case 'store_seen':
        return this.#site(event)
      case 'connection_close':
      case 'connection_repeat':
      case 'connection_totals':
        if (inRange) this.#amount(event)
    }
  }

  #policy(text: string): void {
    const stores = text === '' ? [] : parsePolicy(text).policy?.stores
    if (stores === undefined) return
    const { former } = this.#census
    for (const store of this.#census.stores) {
      if (former.size < STORES_MAX || former.has(store.name)) former.set(store.name, store)
      else this.#census.unlisted++
    }
    for (const { name } of stores) former.delete(name)
    this.#census.stores = stores
  }

  #site(event: Extract<Event, { kind: 'store_seen' }>): void {
    const { store, state, node_id, path, fs_type: type, mount_source: source } = event
    const { sites } = this.#census
    const nodes = sites.get(store) ?? new Map<string, string>()
    if (state !== 'watched') {
      if (state === 'gone') nodes.delete(node_id)
      return
    }
    if (sites.size >= STORES_MAX || nodes.size >= EACH_MAX) {
      this.#census.unlisted++
      return
    }
    nodes.set(node_id, `${path} (${[type, source].filter((one) => one !== '').join(' of ')})`)
    sites.set(store, nodes)
  }

  #amount(event: Amount): void {
    const { local_addr: near, remote_addr: far, direction } = event.columns
    const at = 16 * event.row
    if (direction[event.row] === ACCEPTED || isLoopback(far, at)) return
    if (drillEnd(near, at, far, at) !== null) return
    const bytes = this.#brought(event)
    if (bytes === 0) return
    const { remote_addr: address, remote_port: port, time_ms: timeMs } = event
    const key = `${address} ${port}`
    let server = this.#servers.get(key)
    if (server === undefined) {
      if (this.#servers.size >= this.#serversMax) {
        this.#census.unlisted++
        return
      }
      this.#servers.set(key, server = {
        address, port, bytes: 0, days: new Set(), programs: new Set(), nodes: new Set(),
        first_ms: timeMs, last_ms: timeMs,
      })
    }
    server.bytes += bytes
    server.days.add(dayOf(timeMs))
    server.first_ms = Math.min(server.first_ms, timeMs)
    server.last_ms = Math.max(server.last_ms, timeMs)
    if (server.programs.size < EACH_MAX) server.programs.add(event.exe || event.comm)
    if (server.nodes.size < EACH_MAX) server.nodes.add(event.node_id)
  }

  /** Each byte once: totals say what has come so far. */
  #brought(event: Amount): number {
    const { bytes_received: bytes } = event
    if (event.kind === 'connection_repeat') return bytes
    const key = `${event.node_id} ${event.boot_id} ${event.connection_id}`
    const before = this.#open.get(key) ?? 0
    if (event.kind === 'connection_close') this.#open.delete(key)
    else if (this.#open.size < CONNECTIONS_MAX || this.#open.has(key)) {
      this.#open.set(key, Math.max(before, bytes))
    } else {
      this.#census.unlisted++
      return 0
    }
    return Math.max(0, bytes - before)
  }

  /** What was found, in an order that the log alone decides. */
  finish(): StoreCensus {
    this.#census.servers = [...this.#servers.values()].sort((a, b) => b.bytes - a.bytes ||
      (a.address < b.address ? -1 : a.address > b.address ? 1 : a.port - b.port))
    return this.#census
  }
}
