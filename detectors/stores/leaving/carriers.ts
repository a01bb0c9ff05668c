/** Who has data of stores in hand: trees of processes that read it, or were sent what was read. */
import type { Context } from '../../../detect/context.ts'
import type { Hop } from '../../../detect/finding.ts'
import type { LineageProcess } from '../../../detect/lineage.ts'
import { evidenceOf, tellHop } from '../../lateral-story.ts'
import { actorInWords } from '../../actor.ts'
import { addBytes, parcelOf } from './carrier.ts'
import type { Carrier } from './carrier.ts'
import { receivedSinceMs, receiverOf, sendersOf, targetOf, treeOf } from './legs.ts'
import type { Leg, Target } from './legs.ts'

interface Counted {
  serial: number
  /** Counted so far; and those that were sent before anything was read. */
  bytes: number
  base: number
  /** Handed on to the tree at the other end, by the tree that read it. */
  passed: Record<string, number>
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
const EVIDENCE_MAX = 4
const FROM_MAX = 8
const PARCELS_MAX = 8
const WAITING_MAX = 32
/** Connections that one event can make looked at again. */
const STEPS_MAX = 256
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
  private steps = 0

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
    const parcel = parcelOf(carrier, carrier.key, [], [])
    parcel.lastMs = Math.max(parcel.lastMs, toMs)
    addBytes(carrier, parcel, store, bytes)
    if (carrier.evidence.length < EVIDENCE_MAX) carrier.evidence.push(this.context.evidence)
    if (this.findWays(carrier, process) || isNew) this.takeEarly(carrier)
    this.goOn(carrier)
    this.news(carrier)
  }

  /** It has more in hand than before: so had those that it sent to. */
  private goOn(carrier: Carrier): void {
    for (const leg of [...carrier.waiting.values()]) {
      if (this.steps++ < STEPS_MAX) this.count(carrier, leg)
    }
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
    carrier.waiting.delete(leg.id)
    if (columns.serial.get(leg.slot) !== leg.serial) return false
    const related = leg.endMs >= carrier.sinceMs - SLACK_MS &&
      leg.startMs <= carrier.lastMs + context.setting('window_ms')
    const known = state.counted.get(leg.id)
    const counted: Counted = known?.serial === leg.serial ? known
      : { serial: leg.serial, bytes: 0, base: 0, passed: {} }
    const more = leg.bytes - counted.bytes
    counted.bytes = Math.max(counted.bytes, leg.bytes)
    keepLatest(state.counted, leg.id, counted, COUNTED_MAX)
    if (!related) counted.base += Math.max(0, more)
    carrier.touchedMs = context.watermarkMs
    const receiver = receiverOf(leg, context)
    const sent = counted.bytes - counted.base
    if (sent > 0 && (sent > carrier.bytesIn || receiver === null)) {
      keepLatest(carrier.waiting, leg.id, leg, WAITING_MAX)
    }
    if (sent > 0 && receiver !== null) this.pass(carrier, receiver, leg, counted)
    if (!related || more <= 0) return false
    const target = targetOf(leg, context)
    if (!target.crosses) return false
    this.put(carrier, target, more, leg.endMs, { leg, hop: this.hopOf(leg) })
    return true
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

  /** The other end has it now: of each parcel its part. No parcel comes back to where it was. */
  private pass(carrier: Carrier, receiver: LineageProcess, leg: Leg, counted: Counted): void {
    const { state, context } = this
    const key = treeOf(receiver, context)
    const sinceMs = receivedSinceMs(leg, context)
    if (key === carrier.key || Number.isNaN(sinceMs)) return
    const isNew = !state.carriers.has(key)
    const part = Math.min(counted.bytes - counted.base, carrier.bytesIn) / carrier.bytesIn
    let next: Carrier | null = null
    for (const [reader, { bytes, stores, from, hops }] of carrier.parcels) {
      const more = bytes * part - (counted.passed[reader] ?? 0)
      if (more < 1 || key === reader || from.length >= FROM_MAX) continue
      const known = state.carriers.get(key)?.parcels
      const depth = known?.get(reader)?.from.length
      // It has it by a way that is no longer, or has no room for more.
      if (depth === undefined ? (known?.size ?? 0) >= PARCELS_MAX : depth <= from.length) continue
      const hop = this.hopOf(leg)
      next ??= this.of(receiver, sinceMs)
      const parcel = parcelOf(next, reader, [...from, carrier.key], [...hops, hop])
      if (parcel.from.at(-1) === carrier.key) parcel.hops = [...hops, hop]
      parcel.lastMs = Math.max(parcel.lastMs, sinceMs + (leg.endMs - leg.startMs))
      counted.passed[reader] = (counted.passed[reader] ?? 0) + more
      for (const [store, one] of stores) addBytes(next, parcel, store, more * one / bytes)
      if (isNew) next.evidence = (hop.evidence ?? []).slice(0, EVIDENCE_MAX)
    }
    if (next === null) return
    next.lastMs = Math.max(next.lastMs, sinceMs + (leg.endMs - leg.startMs))
    if (isNew) {
      this.findWays(next, receiver)
      this.takeEarly(next)
    }
    this.goOn(next)
    this.news(next)
  }

  /** The tree of a process, made when it had nothing in hand before. */
  private of(process: LineageProcess, sinceMs: number): Carrier {
    const { state, context } = this
    const key = treeOf(process, context)
    let carrier = state.carriers.get(key)
    if (carrier === undefined) {
      if (state.carriers.size >= CARRIERS_MAX) this.forgetOne()
      carrier = {
        key, parcels: new Map(), bytesIn: 0, sinceMs, lastMs: sinceMs, touchedMs: 0,
        process: process.number, who: actorInWords(process, context),
        subject: context.subjectOf(process), workload: context.workloadOf(process),
        node_id: process.node_id, evidence: [], ways: new Map(), outlets: new Map(),
        waiting: new Map(), told: null,
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

/** Puts it last; the ones that were put longest ago leave. */
function keepLatest<K, V>(map: Map<K, V>, key: K, value: V, max: number): void {
  map.delete(key)
  map.set(key, value)
  for (const oldest of map.keys()) {
    if (map.size <= max) return
    map.delete(oldest)
  }
}
