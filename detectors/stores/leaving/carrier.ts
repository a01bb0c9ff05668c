/** A tree of processes that has data of stores in hand. Plain data and functions. */
import type { Context } from '../../../detect/context.ts'
import type { Evidence, Hop } from '../../../detect/finding.ts'
import { flag } from '../../../detect/graph/connection-columns.ts'
import type { Leg, Target } from './legs.ts'

/** What went to one place. */
export interface Outlet {
  target: Target
  bytes: number
  /** When the last of it went, wall clock of its node, milliseconds. */
  lastMs: number
  /** Connection that it went over last, and which use of the slot; -1 when it is in no graph. */
  slot: number
  serial: number
  hop: Hop | null
}

/** What one tree read, in the hands of it or of another one. */
interface Parcel {
  bytes: number
  /** Bytes by store. */
  stores: Map<string, number>
  /** When some of it came last, by the clock of who has it. */
  lastMs: number
  /** The trees before, the one that read first; and the connections that it came over. */
  from: string[]
  hops: Hop[]
}

/** A tree of processes that has data of stores. Plain data. Times: wall clock of its node. */
export interface Carrier {
  key: string
  /** By the tree that read it; itself, too. */
  parcels: Map<string, Parcel>
  bytesIn: number
  sinceMs: number
  lastMs: number
  /** Watermark. */
  touchedMs: number
  /** Who read or was sent it first: number of the process, and in words. */
  process: number
  who: string
  subject: string
  workload: string
  node_id: string
  evidence: Evidence[]
  /** Connections that led to its readers: which use of each slot. */
  ways: Map<number, number>
  outlets: Map<string, Outlet>
  /** Connections that carried more than it had in hand: it may turn out to have more. */
  waiting: Map<number, Leg>
  told: { incident: string | null; bytesIn: number; bytesOut: number } | null
}

const STORES_MAX = 8
/** What comes within such a time comes together. */
const SAME_TIME_MS = 60_000

/**
 * Which of the parcels is sent on: what it reads itself, unless something came from elsewhere long
 * after that. A server reads its weights at its start, and may be made a relay days later.
 */
export function mainParcel({ key, parcels }: Carrier): Parcel {
  const own = parcels.get(key)
  const latest = [...parcels.values()].reduce((a, b) => b.lastMs > a.lastMs ? b : a)
  return own !== undefined && own.lastMs > latest.lastMs - SAME_TIME_MS ? own : latest
}

/** What it has of what a tree read; made when it had nothing of it. */
export function parcelOf(carrier: Carrier, reader: string, from: string[], hops: Hop[]): Parcel {
  let parcel = carrier.parcels.get(reader)
  if (parcel === undefined) {
    carrier.parcels.set(reader, parcel = { bytes: 0, stores: new Map(), lastMs: 0, from, hops })
  }
  return parcel
}

export function addBytes(carrier: Carrier, parcel: Parcel, store: string, bytes: number): void {
  carrier.bytesIn += bytes
  parcel.bytes += bytes
  const { stores } = parcel
  const name = stores.has(store) || stores.size < STORES_MAX ? store : ''
  stores.set(name, (stores.get(name) ?? 0) + bytes)
}

/** Somebody was led to it, or it goes out, over a chain that was raised. */
export function isOfChain(carrier: Carrier, outlet: Outlet, context: Context): boolean {
  const ways = [...carrier.ways, [outlet.slot, outlet.serial] as const]
  return ways.some(([slot, serial]) => isInChain(slot, serial, context))
}

export function isInChain(slot: number, serial: number, { graph }: Context): boolean {
  const { columns } = graph.connections
  return slot >= 0 && columns.serial.get(slot) === serial &&
    (columns.flags.get(slot) & flag.inChain) !== 0
}
