/** Who has data of stores in hand: trees of processes that read it, or were sent what others did. */
import type { Context } from '../../../detect/context.ts'
import type { Evidence, Hop } from '../../../detect/finding.ts'
import { flag } from '../../../detect/graph/connection-columns.ts'
import type { LineageProcess } from '../../../detect/lineage.ts'
import { evidenceOf, tellHop } from '../../lateral-story.ts'
import { actorInWords } from '../../actor.ts'
import { receivedSinceMs, receiverOf, sendersOf, targetOf, treeOf } from './legs.ts'
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

/** A tree of processes that has data of stores. Plain data. Times: wall clock of its node. */
export interface Carrier {
  key: string
  /** Bytes that it read, or was sent of what others read, by store. */
  stores: Map<string, number>
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
  /** The trees before it, the one that read first; and how it came from there. */
  from: string[]
  hops: Hop[]
  told: { incident: string | null; bytesIn: number; bytesOut: number } | null
}

interface Counted {
  serial: number
  /** Counted so far; and those that were sent before anything was read. */
  bytes: number
  base: number
  /** Handed on to the tree at the other end. */
  passed: number
}

export interface CarrierState {
  carriers: Map<string, Carrier>
  /** Carrier by the slot of a connection that led to it. */
  byWay: Map<number, string>
  counted: Map<number, Counted>
  /** Large ones of senders that have nothing in hand, as far as is known yet. */
  early: Map<number, { leg: Leg; trees: string[] }>
  /** Carriers that are judged again in a moment: a chain may be raised by then. */
  again: Set<string>
  /** Carriers that left because there were too many. */
  forgotten: number
}

const CARRIERS_MAX = 2048
const COUNTED_MAX = 65_536
const EARLY_MAX = 2048
const WAYS_MAX = 8
const OUTLETS_MAX = 16
const STORES_MAX = 8
const EVIDENCE_MAX = 4
const FROM_MAX = 8
/** Less says nothing. */
const EARLY_BYTES_MIN = 1 << 20
/** The first read of a process and what it sends are told by several programs of one kernel. */
const SLACK_MS = 1000
/** Of so many connections it could have come of, a process belongs to none for certain. */
const OF_MAX = 4

export function newCarriers(): CarrierState {
  return {
    carriers: new Map(), byWay: new Map(), counted: new Map(), early: new Map(),
    again: new Set(), forgotten: 0,
  }
}

/** What can be done with them. `news` is called for a carrier of which more is known. */
export class Carriers {
  private readonly state: CarrierState
  private readonly context: Context
  private readonly news: (carrier: Carrier) => void

  constructor(state: CarrierState, context: Context, news: (carrier: Carrier) => void) {
    this.state = state
    this.context = context
    this.news = news
  }

  /** The process of the event read so much of a store. */
  read(process: LineageProcess, store: string, bytes: number, fromMs: number, toMs: number): void {
    const isNew = !this.state.carriers.has(treeOf(process, this.context))
    const carrier = this.of(process, fromMs)
    carrier.sinceMs = Math.min(carrier.sinceMs, fromMs)
    carrier.lastMs = Math.max(carrier.lastMs, toMs)
    add(carrier, store, bytes)
    if (carrier.evidence.length < EVIDENCE_MAX) carrier.evidence.push(this.context.evidence)
    if (this.findWays(carrier, process) || isNew) this.takeEarly(carrier)
    this.news(carrier)
  }

  /** So much went over a direction of a connection. */
  sent(leg: Leg): void {
    const carrier = this.senderOf(leg)
    if (carrier !== null) {
      if (this.count(carrier, leg)) this.news(carrier)
    } else if (leg.bytes >= EARLY_BYTES_MIN) this.noteEarly(leg)
  }

  /** So much more went out, over connections that are in no graph. */
  sentBeside(process: LineageProcess, target: Target, bytes: number, atMs: number): void {
    const carrier = this.state.carriers.get(treeOf(process, this.context))
    if (carrier === undefined || !target.crosses) return
    this.put(carrier, target, bytes, atMs, null)
    this.news(carrier)
  }

  /** The tree that sends: a connection that led to it says more than who accepted for it. */
  private senderOf(leg: Leg): Carrier | null {
    const { carriers, byWay } = this.state
    if (leg.down) {
      const led = carriers.get(byWay.get(leg.slot) ?? '')
      if (led?.ways.get(leg.slot) === leg.serial) return led
    }
    if (carriers.size === 0) return null
    for (const key of this.treesOf(leg)) {
      const carrier = carriers.get(key)
      if (carrier !== undefined) return carrier
    }
    return null
  }

  private treesOf(leg: Leg): string[] {
    const { context } = this
    return sendersOf(leg, context).flatMap((number) => {
      const process = number === 0 ? null : context.processOf(number)
      return process === null ? [] : [treeOf(process, context)]
    })
  }

  /** True when it is news. */
  private count(carrier: Carrier, leg: Leg): boolean {
    const { state, context } = this
    const { columns } = context.graph.connections
    if (columns.serial.get(leg.slot) !== leg.serial) return false
    const related = leg.endMs >= carrier.sinceMs - SLACK_MS &&
      leg.startMs <= carrier.lastMs + context.setting('window_ms')
    const known = state.counted.get(leg.id)
    const counted: Counted = known?.serial === leg.serial ? known
      : { serial: leg.serial, bytes: 0, base: 0, passed: 0 }
    const more = leg.bytes - counted.bytes
    counted.bytes = Math.max(counted.bytes, leg.bytes)
    keepLatest(state.counted, leg.id, counted, COUNTED_MAX)
    if (!related) counted.base += Math.max(0, more)
    carrier.touchedMs = context.watermarkMs
    const passing = Math.min(counted.bytes - counted.base, carrier.bytesIn) - counted.passed
    const receiver = passing > 0 ? receiverOf(leg, context) : null
    const out = related && more > 0
    if (!out && receiver === null) return false
    const hop = this.hopOf(leg)
    if (receiver !== null && this.pass(carrier, receiver, leg, passing, hop)) {
      counted.passed += passing
    }
    if (!out) return false
    const target = targetOf(leg, context)
    if (target.crosses) this.put(carrier, target, more, leg.endMs, { leg, hop })
    return target.crosses
  }

  private put(
    carrier: Carrier, target: Target, bytes: number, atMs: number,
    by: { leg: Leg; hop: Hop } | null,
  ): void {
    const place = `${target.zone} ${target.address}`
    const outlet = carrier.outlets.get(place) ??
      { target, bytes: 0, lastMs: atMs, slot: -1, serial: 0, hop: null }
    outlet.bytes += bytes
    outlet.lastMs = Math.max(outlet.lastMs, atMs)
    // One that is not allowed stays it.
    if (outlet.target.allowed) outlet.target = target
    if (by !== null) {
      Object.assign(outlet, { slot: by.leg.slot, serial: by.leg.serial, hop: by.hop })
    }
    keepLatest(carrier.outlets, place, outlet, OUTLETS_MAX)
  }

  /** The other end has it now. False when it had it before. */
  private pass(
    carrier: Carrier, receiver: LineageProcess, leg: Leg, bytes: number, hop: Hop,
  ): boolean {
    const { context } = this
    const key = treeOf(receiver, context)
    if (key === carrier.key || carrier.from.includes(key)) return false
    if (carrier.from.length >= FROM_MAX) return false
    const isNew = !this.state.carriers.has(key)
    const sinceMs = receivedSinceMs(leg, context)
    if (Number.isNaN(sinceMs)) return false
    const next = this.of(receiver, sinceMs)
    if (isNew) {
      next.from = [...carrier.from, carrier.key]
      next.hops = [...carrier.hops, hop]
      next.evidence = [...hop.evidence ?? []].slice(0, EVIDENCE_MAX)
    }
    next.lastMs = Math.max(next.lastMs, sinceMs + (leg.endMs - leg.startMs))
    const total = carrier.bytesIn
    for (const [store, part] of carrier.stores) add(next, store, bytes * part / total)
    if (isNew) {
      this.findWays(next, receiver)
      this.takeEarly(next)
    }
    this.news(next)
    return true
  }

  /** The tree of a process, made when it had nothing in hand before. */
  private of(process: LineageProcess, sinceMs: number): Carrier {
    const { state, context } = this
    const key = treeOf(process, context)
    let carrier = state.carriers.get(key)
    if (carrier === undefined) {
      if (state.carriers.size >= CARRIERS_MAX) this.forgetOne()
      carrier = {
        key, stores: new Map(), bytesIn: 0, sinceMs, lastMs: sinceMs, touchedMs: 0,
        process: process.number, who: actorInWords(process, context),
        subject: context.subjectOf(process), workload: context.workloadOf(process),
        node_id: process.node_id, evidence: [], ways: new Map(), outlets: new Map(), from: [],
        hops: [], told: null,
      }
      state.carriers.set(key, carrier)
    }
    carrier.touchedMs = context.watermarkMs
    return carrier
  }

  /** Connections over which others told the process what to do. True when there are new ones. */
  private findWays(carrier: Carrier, process: LineageProcess): boolean {
    const { context: { graph }, state } = this
    let isNew = false
    graph.settle(process)
    for (const origin of process.origins?.inherited ?? []) {
      const { connection: slot, serial, of, reverse } = origin
      if (reverse || of > OF_MAX || !graph.rules.isAlive(origin)) continue
      if (carrier.ways.get(slot) === serial) continue
      keepLatest(carrier.ways, slot, serial, WAYS_MAX)
      keepLatest(state.byWay, slot, carrier.key, CARRIERS_MAX * WAYS_MAX)
      isNew = true
    }
    return isNew
  }

  private noteEarly(leg: Leg): void {
    keepLatest(this.state.early, leg.id, { leg, trees: this.treesOf(leg) }, EARLY_MAX)
  }

  /** What it sent was told before what it read. */
  private takeEarly(carrier: Carrier): void {
    const { early } = this.state
    for (const [id, { leg, trees }] of early) {
      const led = leg.down && carrier.ways.get(leg.slot) === leg.serial
      if (!led && !trees.includes(carrier.key)) continue
      early.delete(id)
      this.count(carrier, leg)
    }
  }

  private hopOf({ slot, serial }: Leg): Hop {
    const { context } = this
    const { client } = context.graph.connections.columns
    const actor = context.processOf(client.get(slot))
    const step = { connection: slot, serial, actor: actor?.number ?? 0, link: null, of: 1,
      reverse: false }
    const hop = tellHop(step, null, context.zonesOfConnection(slot, actor), context)
    return { ...hop, evidence: evidenceOf(slot, context) }
  }

  /** The one of which nothing was heard for the longest time. */
  private forgetOne(): void {
    const { carriers, byWay } = this.state
    const oldest = [...carriers.values()].reduce((a, b) => b.touchedMs < a.touchedMs ? b : a)
    for (const slot of oldest.ways.keys()) {
      if (byWay.get(slot) === oldest.key) byWay.delete(slot)
    }
    carriers.delete(oldest.key)
    this.state.forgotten++
  }
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

function add(carrier: Carrier, store: string, bytes: number): void {
  carrier.bytesIn += bytes
  const name = carrier.stores.has(store) || carrier.stores.size < STORES_MAX ? store : ''
  carrier.stores.set(name, (carrier.stores.get(name) ?? 0) + bytes)
}

/** Puts it last; the ones that were put longest ago leave. */
function keepLatest<K, V>(map: Map<K, V>, key: K, value: V, max: number): void {
  map.delete(key)
  map.set(key, value)
  for (const oldest of map.keys()) {
    if (map.size <= max) return
    map.delete(oldest)
  }
}
