/**
 * The connections of all nodes, each with both of its ends, which come in either order. Bounded:
 * columns that grow up to a maximum, no object per connection. Closed connections leave first, then
 * those that were opened longest ago.
 */
import { ConnectionColumns, copyAddress, flag } from './connection-columns.ts'
import type { ColumnsSnapshot } from './connection-columns.ts'
import { ROW_DOUBLES, ROW_WORDS, inDoubles, inWords } from './rows/connection-row.ts'
import { KeyIndex } from './rows/key-index.ts'

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
  readonly index: KeyIndex
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
    const { index, columns: { words } } = this
    const { side, low, high, translated } = end
    this.met = false
    let other = NONE
    let nearest = Infinity
    let same = NONE
    for (let place = index.seek(index.home(low), low, high, translated); place !== NONE;
      place = index.seek(place + 1, low, high, translated)) {
      const slot = index.slotAt(place)
      const flags = words[ROW_WORDS * slot + inWords.flags]
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
    const { index, columns: { words } } = this
    let found = NONE
    let open = NONE
    for (let place = index.seek(index.home(low), low, high, false); place !== NONE;
      place = index.seek(place + 1, low, high, false)) {
      const slot = index.slotAt(place)
      if (side !== 0) {
        const flags = words[ROW_WORDS * slot + inWords.flags]
        if ((flags & side) === 0) continue
        if ((flags & (side << 2)) === 0) open = slot
      }
      if (found === NONE || this.startMs(slot) >= this.startMs(found)) found = slot
    }
    return open === NONE ? found : open
  }

  /** One end closed. Amounts as the client counts. */
  close(slot: number, side: number, atMs: number, sent: number, received: number): void {
    const { words, doubles } = this.columns
    const row = ROW_WORDS * slot
    this.count(slot, sent, received)
    if (side === flag.serverSeen) doubles[ROW_DOUBLES * slot + inDoubles.serverEndMs] = atMs
    words[row + inWords.flags] |= side << 2
    if (words[row + inWords.refs] === 0) this.idle(slot)
  }

  /** What passed so far, as the client counts; the larger of what the ends say. */
  count(slot: number, sent: number, received: number): void {
    const { doubles } = this.columns
    const row = ROW_DOUBLES * slot
    if (sent > doubles[row + inDoubles.bytesSent]) doubles[row + inDoubles.bytesSent] = sent
    if (received > doubles[row + inDoubles.bytesReceived]) {
      doubles[row + inDoubles.bytesReceived] = received
    }
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
    const { words } = this.columns
    const row = ROW_WORDS * slot
    if (words[row + inWords.refs]++ > 0 || (words[row + inWords.flags] & flag.idle) === 0) return
    this.unlink(slot)
    words[row + inWords.flags] &= ~flag.idle
    this.append(slot, 0)
  }

  /** Takes back a `hold` of this use of the slot. */
  release(slot: number, serial: number): void {
    const { words } = this.columns
    const row = ROW_WORDS * slot
    if (words[row + inWords.serial] !== serial) return
    if (--words[row + inWords.refs] === 0 && this.isClosed(slot)) this.idle(slot)
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
    const { words, doubles } = this.columns
    const row = ROW_DOUBLES * slot
    return (words[ROW_WORDS * slot + inWords.flags] & flag.clientSeen) !== 0
      ? doubles[row + inDoubles.clientMs] + doubles[row + inDoubles.clientOffset]
      : doubles[row + inDoubles.serverMs] + doubles[row + inDoubles.serverOffset]
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
    const { words, doubles } = columns
    const row = ROW_WORDS * slot
    words[row + inWords.low] = end.low
    words[row + inWords.high] = end.high
    words[row + inWords.refs] = words[row + inWords.flags] = words[row + inWords.zone] = 0
    words[row + inWords.headBefore] = 0
    const wide = ROW_DOUBLES * slot
    doubles[wide + inDoubles.client] = doubles[wide + inDoubles.server] = 0
    doubles[wide + inDoubles.holder] = 0
    doubles[wide + inDoubles.bytesSent] = doubles[wide + inDoubles.bytesReceived] = 0
    doubles[wide + inDoubles.serverEndMs] = Infinity
    columns.protocol.set(slot, end.protocol)
    columns.means.set(slot, end.means)
    const isClient = end.side === flag.clientSeen
    words[row + inWords.clientPort] = isClient ? end.nearPort : end.farPort
    words[row + inWords.serverPort] = isClient ? end.farPort : end.nearPort
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
    const { words, doubles } = columns
    const row = ROW_WORDS * slot
    const wide = ROW_DOUBLES * slot
    words[row + inWords.flags] |= end.side |
      (end.atStart ? flag.atStart : 0) | (end.translated ? flag.translated : 0)
    if (end.translated && this.met) this.index.matchAny(slot, words[row + inWords.low])
    if (end.side === flag.clientSeen) {
      words[row + inWords.clientSource] = end.source
      doubles[wide + inDoubles.client] = end.process
      doubles[wide + inDoubles.clientSeq] = end.seq
      doubles[wide + inDoubles.clientMs] = end.atMs
      doubles[wide + inDoubles.clientOffset] = end.offsetMs
    } else {
      if (this.isTranslated(slot)) {
        // The server knows its own address.
        copyAddress(columns.serverAddr, columns.addressAt(slot), end.nearAddr, end.nearAt)
        words[row + inWords.serverPort] = end.nearPort
      }
      words[row + inWords.serverSource] = end.source
      doubles[wide + inDoubles.server] = end.process
      doubles[wide + inDoubles.serverSeq] = end.seq
      doubles[wide + inDoubles.serverMs] = end.atMs
      doubles[wide + inDoubles.serverOffset] = end.offsetMs
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
    this.free = this.newerThan(slot)
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
    const { words, doubles } = this.columns
    const row = ROW_WORDS * slot
    if ((words[row + inWords.flags] & flag.idle) !== 0) return
    this.unlink(slot)
    words[row + inWords.flags] |= flag.idle
    doubles[ROW_DOUBLES * slot + inDoubles.idleMs] = this.nowMs
    this.append(slot, 2)
  }

  private remove(slot: number): void {
    this.unlink(slot)
    const { words, links } = this.columns
    const row = ROW_WORDS * slot
    this.index.remove(slot, words[row + inWords.low])
    words[row + inWords.serial]++
    links[row + inWords.newer] = this.free
    this.free = slot
    this.size--
  }

  private newerThan(slot: number): number {
    return this.columns.links[ROW_WORDS * slot + inWords.newer]
  }

  private append(slot: number, list: number): void {
    const { lists, columns: { links } } = this
    const row = ROW_WORDS * slot
    const last = lists[list + 1]
    links[row + inWords.older] = last
    links[row + inWords.newer] = NONE
    if (last === NONE) lists[list] = slot
    else links[ROW_WORDS * last + inWords.newer] = slot
    lists[list + 1] = slot
  }

  private unlink(slot: number): void {
    const { lists, columns: { links } } = this
    const row = ROW_WORDS * slot
    const list = (links[row + inWords.flags] & flag.idle) !== 0 ? 2 : 0
    const older = links[row + inWords.older]
    const newer = links[row + inWords.newer]
    if (older === NONE) lists[list] = newer
    else links[ROW_WORDS * older + inWords.newer] = newer
    if (newer === NONE) lists[list + 1] = older
    else links[ROW_WORDS * newer + inWords.older] = older
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
    const { low, high } = this.columns
    for (const list of [0, 2]) {
      for (let slot = this.lists[list]; slot !== NONE; slot = this.newerThan(slot)) {
        this.index.insert(slot, low.get(slot), high.get(slot), this.isTranslated(slot))
      }
    }
  }
}
