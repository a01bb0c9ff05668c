/**
 * The connections of all nodes, each with both of its ends, which come in either order. Bounded:
 * columns that grow up to a maximum, no object per connection. Closed connections leave first, then
 * those that were opened longest ago.
 */
import { ConnectionColumns, copyAddress, flag } from './connection-columns.ts'
import type { ColumnsSnapshot } from './connection-columns.ts'
import { KeyIndex } from './key-index.ts'

/** What the event of one end says. */
export interface EndEvent {
  low: number
  high: number
  /** `flag.clientSeen` or `flag.serverSeen`. */
  side: number
  process: number
  source: number
  seq: number
  atMs: number
  offsetMs: number
  atStart: boolean
  /** The far end has another address than this one sees. */
  translated: boolean
  protocol: number
  means: number
  nearAddr: Uint8Array
  nearAt: number
  nearPort: number
  farAddr: Uint8Array
  farAt: number
  farPort: number
}

export interface ConnectionOptions {
  connectionsMax?: number
  /** A closed connection waits so long for news of its other end, by the watermark. */
  closedKeepMs?: number
  /** Events of the two ends of one connection are not further apart, by their nodes' clocks. */
  skewMs?: number
}

export type ConnectionsSnapshot = {
  columns: ColumnsSnapshot
  used: number
  size: number
  free: number
  lists: number[]
  evictions: number
}

const NONE = -1
const FIRST_CAPACITY = 64

export class Connections {
  readonly columns = new ConnectionColumns()
  /** Connections that left before their time was over. */
  evictions = 0
  size = 0
  /** Watermark; set by the owner. */
  nowMs = 0
  /** The end of the last `open` met its other end. */
  met = false
  private readonly index: KeyIndex
  private used = 0
  private free = NONE
  /** Oldest and newest of those in use, and of those that are closed and that nobody refers to. */
  private lists = Int32Array.of(NONE, NONE, NONE, NONE)
  private readonly max: number
  private readonly closedKeepMs: number
  private readonly skewMs: number

  constructor(options: ConnectionOptions = {}) {
    this.max = options.connectionsMax ?? 1_000_000
    this.closedKeepMs = options.closedKeepMs ?? 180_000
    this.skewMs = options.skewMs ?? 120_000
    this.columns.resize(Math.min(this.max, FIRST_CAPACITY))
    this.index = new KeyIndex(2 * FIRST_CAPACITY)
  }

  /** Bytes of all columns and their index. */
  get bytes(): number {
    return this.columns.bytes + this.index.bytes
  }

  /** Slot of the connection of an end: it begins here, or the end meets the other one. */
  open(end: EndEvent): number {
    const { columns, index } = this
    const { side, low, high, translated } = end
    this.met = false
    let other = NONE
    let nearest = Infinity
    let same = NONE
    for (let place = index.seek(index.home(low), low, high, translated); place !== NONE;
      place = index.seek(place + 1, low, high, translated)) {
      const slot = index.slotAt(place)
      const flags = columns.flags.get(slot)
      if ((flags & side) !== 0) {
        if (same === NONE && (flags & (side << 2)) === 0) same = slot
        continue
      }
      const apartMs = this.apart(slot, end)
      // Of several, the latest.
      if (apartMs <= nearest) {
        nearest = apartMs
        other = slot
      }
    }
    if (same !== NONE) {
      // An agent that starts again tells once more what stands.
      if (end.atStart) return same
      // The same addresses and ports again: the end of the connection before was not told.
      this.close(same, side, end.atMs, 0, 0)
    }
    this.met = other !== NONE && nearest <= this.skewMs
    const slot = this.met ? other : this.add(end)
    this.fill(slot, end)
    return slot
  }

  /** The newest connection with this end; -1 when there is none. `side` 0: whichever end. */
  find(low: number, high: number, side: number): number {
    const { columns, index } = this
    let found = NONE
    let open = NONE
    for (let place = index.seek(index.home(low), low, high, false); place !== NONE;
      place = index.seek(place + 1, low, high, false)) {
      const slot = index.slotAt(place)
      if (side !== 0) {
        const flags = columns.flags.get(slot)
        if ((flags & side) === 0) continue
        if ((flags & (side << 2)) === 0) open = slot
      }
      if (found === NONE || this.startMs(slot) >= this.startMs(found)) found = slot
    }
    return open === NONE ? found : open
  }

  /** One end closed. Amounts as the client counts. */
  close(slot: number, side: number, atMs: number, sent: number, received: number): void {
    const { flags, serverEndMs } = this.columns
    this.count(slot, sent, received)
    if (side === flag.serverSeen) serverEndMs.set(slot, atMs)
    flags.set(slot, flags.get(slot) | side << 2)
    if (this.columns.refs.get(slot) === 0) this.idle(slot)
  }

  /** What passed so far, as the client counts; the larger of what the ends say. */
  count(slot: number, sent: number, received: number): void {
    const { bytesSent, bytesReceived } = this.columns
    if (sent > bytesSent.get(slot)) bytesSent.set(slot, sent)
    if (received > bytesReceived.get(slot)) bytesReceived.set(slot, received)
  }

  isClosed(slot: number): boolean {
    return (this.columns.flags.get(slot) & (flag.clientClosed | flag.serverClosed)) !== 0
  }

  private isTranslated(slot: number): boolean {
    return (this.columns.flags.get(slot) & flag.translated) !== 0
  }

  isAtStart(slot: number): boolean {
    return (this.columns.flags.get(slot) & flag.atStart) !== 0
  }

  /** Somebody refers to it: it stays, also when it is closed. */
  hold(slot: number): void {
    const { refs, flags } = this.columns
    const before = refs.get(slot)
    refs.set(slot, before + 1)
    if (before > 0 || (flags.get(slot) & flag.idle) === 0) return
    this.unlink(slot)
    flags.set(slot, flags.get(slot) & ~flag.idle)
    this.append(slot, 0)
  }

  /** Takes back a `hold` of this use of the slot. */
  release(slot: number, serial: number): void {
    if (this.columns.serial.get(slot) !== serial) return
    const left = this.columns.refs.get(slot) - 1
    this.columns.refs.set(slot, left)
    if (left === 0 && this.isClosed(slot)) this.idle(slot)
  }

  /** Forgets closed ones whose time is over. */
  advance(): void {
    const { idleMs } = this.columns
    for (let slot = this.lists[2]; slot !== NONE; slot = this.lists[2]) {
      if (this.nowMs - idleMs.get(slot) < this.closedKeepMs) return
      this.remove(slot)
    }
  }

  private startMs(slot: number): number {
    const { flags, clientMs, clientOffset, serverMs, serverOffset } = this.columns
    return (flags.get(slot) & flag.clientSeen) !== 0 ? clientMs.get(slot) + clientOffset.get(slot)
      : serverMs.get(slot) + serverOffset.get(slot)
  }

  /** Milliseconds between an end and the other one that waits in `slot`. */
  private apart(slot: number, end: EndEvent): number {
    // When a connection that stood before was seen says nothing of when it began.
    if (end.atStart || (this.columns.flags.get(slot) & flag.atStart) !== 0) return 0
    return Math.abs(this.startMs(slot) - end.atMs - end.offsetMs)
  }

  private add(end: EndEvent): number {
    const slot = this.place()
    const { columns } = this
    columns.low.set(slot, end.low)
    columns.high.set(slot, end.high)
    columns.refs.set(slot, 0)
    columns.flags.set(slot, 0)
    columns.zone.set(slot, 0)
    columns.headBefore.set(slot, 0)
    columns.client.set(slot, 0)
    columns.server.set(slot, 0)
    columns.holder.set(slot, 0)
    columns.bytesSent.set(slot, 0)
    columns.bytesReceived.set(slot, 0)
    columns.serverEndMs.set(slot, Infinity)
    columns.protocol.set(slot, end.protocol)
    columns.means.set(slot, end.means)
    const isClient = end.side === flag.clientSeen
    columns.clientPort.set(slot, isClient ? end.nearPort : end.farPort)
    columns.serverPort.set(slot, isClient ? end.farPort : end.nearPort)
    const at = columns.addressAt(slot)
    copyAddress(isClient ? columns.clientAddr : columns.serverAddr, at, end.nearAddr, end.nearAt)
    copyAddress(isClient ? columns.serverAddr : columns.clientAddr, at, end.farAddr, end.farAt)
    this.append(slot, 0)
    this.size++
    const tooMany = this.index.insert(slot, end.low, end.high, end.translated)
    if (tooMany !== NONE) {
      this.evictions++
      this.remove(tooMany)
    }
    return slot
  }

  private fill(slot: number, end: EndEvent): void {
    const { columns } = this
    columns.flags.set(slot, columns.flags.get(slot) | end.side |
      (end.atStart ? flag.atStart : 0) | (end.translated ? flag.translated : 0))
    if (end.translated && this.met) this.index.matchAny(slot, columns.low.get(slot))
    if (end.side === flag.clientSeen) {
      columns.client.set(slot, end.process)
      columns.clientSource.set(slot, end.source)
      columns.clientSeq.set(slot, end.seq)
      columns.clientMs.set(slot, end.atMs)
      columns.clientOffset.set(slot, end.offsetMs)
    } else {
      if (this.isTranslated(slot)) {
        // The server knows its own address.
        copyAddress(columns.serverAddr, columns.addressAt(slot), end.nearAddr, end.nearAt)
        columns.serverPort.set(slot, end.nearPort)
      }
      columns.server.set(slot, end.process)
      columns.serverSource.set(slot, end.source)
      columns.serverSeq.set(slot, end.seq)
      columns.serverMs.set(slot, end.atMs)
      columns.serverOffset.set(slot, end.offsetMs)
    }
  }

  /** A free slot; the columns grow, or one connection leaves, to make one. */
  private place(): number {
    if (this.free === NONE && this.used === this.columns.capacity) {
      if (this.used < this.max) this.grow()
      else {
        this.evictions++
        this.remove(this.lists[2] === NONE ? this.lists[0] : this.lists[2])
      }
    }
    if (this.free === NONE) return this.used++
    const slot = this.free
    this.free = this.columns.newer.get(slot)
    return slot
  }

  private grow(): void {
    this.columns.resize(Math.min(this.max, 4 * this.used))
    this.index.grow(this.placesNeeded())
  }

  private placesNeeded(): number {
    let places = 2 * FIRST_CAPACITY
    while (places < 2 * this.columns.capacity) places *= 2
    return places
  }

  private idle(slot: number): void {
    const { flags, idleMs } = this.columns
    if ((flags.get(slot) & flag.idle) !== 0) return
    this.unlink(slot)
    flags.set(slot, flags.get(slot) | flag.idle)
    idleMs.set(slot, this.nowMs)
    this.append(slot, 2)
  }

  private remove(slot: number): void {
    this.unlink(slot)
    const { newer, low, serial } = this.columns
    this.index.remove(slot, low.get(slot))
    serial.set(slot, serial.get(slot) + 1)
    newer.set(slot, this.free)
    this.free = slot
    this.size--
  }

  private append(slot: number, list: number): void {
    const { older, newer } = this.columns
    const last = this.lists[list + 1]
    older.set(slot, last)
    newer.set(slot, NONE)
    if (last === NONE) this.lists[list] = slot
    else newer.set(last, slot)
    this.lists[list + 1] = slot
  }

  private unlink(slot: number): void {
    const { older, newer, flags } = this.columns
    const list = (flags.get(slot) & flag.idle) !== 0 ? 2 : 0
    if (older.get(slot) === NONE) this.lists[list] = newer.get(slot)
    else newer.set(older.get(slot), newer.get(slot))
    if (newer.get(slot) === NONE) this.lists[list + 1] = older.get(slot)
    else older.set(newer.get(slot), older.get(slot))
  }

  snapshot(): ConnectionsSnapshot {
    const { used, size, free, evictions } = this
    const columns = this.columns.snapshot(used)
    return { columns, used, size, free, lists: [...this.lists], evictions }
  }

  /** Takes over what `snapshot` gave; this one must be empty, with the same options. */
  restore(from: ConnectionsSnapshot): void {
    this.used = from.used
    let capacity = Math.min(this.max, FIRST_CAPACITY)
    while (capacity < from.used) capacity = Math.min(this.max, 4 * capacity)
    this.columns.resize(capacity)
    this.columns.restore(from.columns)
    this.size = from.size
    this.free = from.free
    this.lists = Int32Array.from(from.lists)
    this.evictions = from.evictions
    this.index.grow(this.placesNeeded())
    const { low, high, newer } = this.columns
    for (const list of [0, 2]) {
      for (let slot = this.lists[list]; slot !== NONE; slot = newer.get(slot)) {
        this.index.insert(slot, low.get(slot), high.get(slot), this.isTranslated(slot))
      }
    }
  }
}
