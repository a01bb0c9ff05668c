/**
 * Who led to whom: connections with both ends, and for each process the ones that led to it. Paths
 * are not stored: they are found when asked for, so that what comes late changes them. Bounded.
 */
import type { Event } from '../../proto/batch-cursor.ts'
import type { EventViews } from '../../proto/gen/events.ts'
import type { HopLink } from '../finding.ts'
import type { Lineage, LineageProcess } from '../lineage.ts'
import type { Source } from '../names/source-table.ts'
import { copyAddress, flag } from './connection-columns.ts'
import type { AcceptedSnapshot } from './rows/accepted.ts'
import { Ahead } from './ahead.ts'
import { Connections } from './connections.ts'
import type { ConnectionOptions, ConnectionsSnapshot, EndEvent } from './connections.ts'
import { EndReader } from './end-reader.ts'
import { Entries, KUBELET_PORT } from './entries.ts'
import type { EntriesSnapshot } from './entries.ts'
import { askedOverUnix, entered, ranFile } from './local-hops.ts'
import { ACCEPTED, sideOf } from './sides.ts'
import type { OneConnectionEvent } from './sides.ts'
import { OriginRules, newOrigins, originsOf } from './origins.ts'
import type { OriginsSnapshot } from './origins.ts'
import { STALE_MAX, headsOf, taint } from './heads.ts'
import { TCP, addressKey } from './keys.ts'
import { Parentless } from './parentless.ts'
import type { ParentlessSnapshot } from './parentless.ts'
import { SearchBudget } from './search-budget.ts'
import type { SearchBudgetSnapshot } from './search-budget.ts'
import { SharedFiles } from './shared-files.ts'
import type { SharedFilesSnapshot } from './shared-files.ts'
import { Waiting } from './waiting.ts'
import type { WaitingSnapshot } from './waiting.ts'

export type GraphSnapshot = {
  connections: ConnectionsSnapshot
  origins: OriginsSnapshot
  accepted: AcceptedSnapshot
  forgotten: number
  files: SharedFilesSnapshot
  entries: EntriesSnapshot
  waiting: WaitingSnapshot
  searches: SearchBudgetSnapshot
  parentless: ParentlessSnapshot
}

type IsTranslated = (bytes: Uint8Array, at: number, port: number) => boolean

/** A process that was seen so long ago has no parent that comes late. */
const PARENT_MS = 60_000
const DEPTH_MAX = 16
const ADOPTED_MAX = 256

export class Graph {
  readonly connections: Connections
  readonly rules: OriginRules
  readonly waiting = new Waiting()
  readonly searches = new SearchBudget()
  /** Connection of the event; -1 when it has none. */
  current = -1
  /** The event brought the second end of the connection. */
  met = false
  /** For who judges: what leads to the connection of the event is to be searched. */
  toSearch = false
  /** Connections of which the event changed what leads to them. */
  stale: number[] = []
  /** Numbers of processes by the parent that is not known yet. */
  private readonly parentless = new Parentless()
  private fresh: LineageProcess | null = null
  readonly files = new SharedFiles()
  readonly entries = new Entries()
  readonly lineage: Lineage
  readonly ahead: Ahead
  readonly reader: EndReader
  private readonly isTranslated: IsTranslated

  /** @param isTranslated whether an address and port stand for another one, such as a Service */
  constructor(
    lineage: Lineage, options: ConnectionOptions = {}, isTranslated: IsTranslated = () => false,
  ) {
    this.isTranslated = isTranslated
    this.lineage = lineage
    this.connections = new Connections(options)
    this.rules = new OriginRules(this.connections, (number) => lineage.get(number))
    this.ahead = new Ahead(this.connections, this.rules, lineage)
    this.reader = new EndReader(this.ahead)
    lineage.onForget = (process) => this.forget(process)
  }

  /** Takes what an event says. `nowMs` is the watermark. */
  learn(event: Event, source: Source, process: LineageProcess | null, nowMs: number): void {
    this.current = -1
    this.met = this.toSearch = false
    if (this.stale.length > 0) this.stale = []
    this.connections.nowMs = nowMs
    if (this.fresh !== null) this.adopt(this.fresh)
    this.fresh = null
    switch (event.kind) {
      case 'connection_open':
        return this.opened(event, source, process, event.columns.at_start[event.row] !== 0)
      case 'connection_close':
        return this.closed(event, source)
      case 'connection_totals':
        return this.goesOn(event, source, process)
      case 'datagram_flow': case 'rdma_connection':
        return this.flowed(event, source, process)
      case 'vsock_connection':
        return this.vsock(event, source, process)
      case 'unix_connection':
        this.current = askedOverUnix(this, event, source, process)
        return
      case 'process_stdio': case 'socket_received':
        if (process !== null) this.handed(event, source, process)
        return
      case 'shared_file_written':
        if (process !== null) this.files.note(event, process, source.number, nowMs)
        return
      case 'process_exec':
        if (process !== null) this.ran(event, source, process)
    }
  }

  /** The watermark has moved on. */
  advance(nowMs: number): void {
    this.connections.nowMs = nowMs
    this.connections.advance()
  }

  /** Key of the connection of the event. */
  get key(): { low: number; high: number } { return this.reader.key }

  /** A process is seen for the first time: its event comes next. */
  seen(process: LineageProcess, nowMs: number): void {
    this.connections.nowMs = nowMs
    this.settle(process)
    if (this.parentless.size > 0) this.fresh = process
  }

  /** Descendants that were seen before it: what leads to their connections is known now. */
  private adopt(process: LineageProcess): void {
    const parents = [process]
    for (let i = 0; i < parents.length && i < ADOPTED_MAX; i++) {
      for (const number of this.parentless.take(parents[i])) {
        const child = this.lineage.get(number)
        if (child === null) continue
        this.settle(child)
        parents.push(child)
        for (const head of headsOf(this.connections.columns, child)) {
          if (this.stale.length < STALE_MAX) this.stale.push(head)
        }
      }
    }
  }

  /** Takes over from the parent what led to it, when that has not happened yet. */
  settle(process: LineageProcess, depth = 0): void {
    if (process.settled) return
    const { nowMs } = this.connections
    if (process.settledMs === 0) process.settledMs = nowMs || 1
    const old = nowMs - process.settledMs > PARENT_MS
    const parent = this.lineage.parentOf(process)
    if (parent === null || parent === process) {
      if (process.ppid <= 1 || old) process.settled = true
      else this.parentless.add(process)
      return
    }
    if (depth < DEPTH_MAX) this.settle(parent, depth + 1)
    if (parent.origins !== null) {
      const known = process.origins
      const origins = known ?? newOrigins()
      const guess = !origins.inherited.some(({ link }) => link === 'descendant')
      const startMs = (process.startHigh * 4294967296 + process.startLow) / 1e6
      this.rules.fork(parent.origins, parent, origins, startMs, guess)
      if (known === null && origins.inherited.length > 0) process.origins = origins
    }
    if (old || (parent.settled && process.settledMs !== nowMs)) process.settled = true
    else if (!parent.settled) this.parentless.add(process)
  }

  /** Number of the process at the other end of the current connection; 0 when it is not known. */
  otherProcess(side: number): number {
    const { client, server } = this.connections.columns
    return side === flag.clientSeen ? server.get(this.current) : client.get(this.current)
  }

  private opened(
    event: OneConnectionEvent, source: Source, process: LineageProcess | null, atStart: boolean,
  ): void {
    const end = this.reader.read(event, source, process, atStart)
    if (end.side === flag.clientSeen && end.protocol === TCP) {
      end.translated = this.isTranslated(end.farAddr, end.farAt, end.farPort)
    }
    if (end.nearPort === KUBELET_PORT && end.side === ACCEPTED && process !== null) {
      this.entries.noteKubelet(process)
    }
    this.begun(end, process, atStart)
  }

  /** An end of a connection was seen for the first time. */
  private begun(end: EndEvent, process: LineageProcess | null, atStart: boolean): void {
    const slot = this.connections.open(end)
    this.current = slot
    this.met = this.connections.met
    if (process === null) return
    if (end.side !== ACCEPTED) {
      if (this.met && this.isInteresting(process, end.atMs)) taint(this, slot)
      return
    }
    // Told once more by an agent that began again: it is among them.
    const origins = originsOf(process)
    if (atStart && this.rules.accepted.indexOf(origins, slot) >= 0) return
    const { client, clientMs } = this.connections.columns
    const peer = this.met ? this.lineage.get(client.get(slot)) : null
    const tainted = peer !== null && this.isInteresting(peer, clientMs.get(slot))
    this.rules.accept(origins, slot, addressKey(end.farAddr, end.farAt), tainted)
  }

  /** Others may have told the process what to do at a time of its node, beyond plain requests. */
  isInteresting(process: LineageProcess, atMs: number): boolean {
    if (!process.settled) this.settle(process)
    const { origins } = process
    return origins !== null && this.rules.isInteresting(origins, process, atMs)
  }

  private closed(event: OneConnectionEvent, source: Source): void {
    const side = sideOf(event)
    this.reader.keyOf(event, source, side)
    const slot = this.connections.find(this.key.low, this.key.high, side)
    this.current = slot
    if (slot < 0) return
    this.amounts(event, side, slot, true)
  }

  /** What passed so far over one that is open. */
  private goesOn(
    event: EventViews['connection_totals'], source: Source, process: LineageProcess | null,
  ): void {
    const side = sideOf(event)
    this.reader.keyOf(event, source, side)
    this.current = this.connections.find(this.key.low, this.key.high, side)
    // That it was opened may be lost.
    if (this.current < 0) this.opened(event, source, process, true)
    this.amounts(event, side, this.current, false)
  }

  /** What passed, as the event says; and the end of it. */
  private amounts(
    event: OneConnectionEvent | EventViews['vsock_connection'], side: number, slot: number,
    ends: boolean,
  ): void {
    const { columns, row } = event
    let near = 0
    let far = 0
    if (event.kind !== 'connection_open' && event.kind !== 'rdma_connection') {
      near = event.bytes_sent
      far = event.bytes_received
    }
    const [sent, received] = side === ACCEPTED ? [far, near] : [near, far]
    if (!ends) return this.connections.count(slot, sent, received)
    const { flags, server } = this.connections.columns
    const again = (flags.get(slot) & (side << 2)) !== 0
    const atMs = (columns.time[2 * row + 1] * 4294967296 + columns.time[2 * row]) / 1e6
    this.connections.close(slot, side, atMs, sent, received)
    if (side !== ACCEPTED || again) return
    const origins = this.lineage.get(server.get(slot))?.origins
    if (origins) this.rules.ended(origins, slot)
  }

  /** Datagrams and queue pairs: one kind of event tells of their beginning, course and end. */
  private flowed(
    event: EventViews['datagram_flow' | 'rdma_connection'], source: Source,
    process: LineageProcess | null,
  ): void {
    const report = event.columns.report[event.row]
    const side = sideOf(event)
    if (report !== FLOW_FIRST) {
      this.reader.keyOf(event, source, side)
      this.current = this.connections.find(this.key.low, this.key.high, side)
      // What was told first may be lost.
      if (this.current < 0 && report === FLOW_PERIODIC) this.opened(event, source, process, true)
    } else this.opened(event, source, process, false)
    if (this.current >= 0) this.amounts(event, side, this.current, report === FLOW_LAST)
  }

  /** Between a virtual machine and its host, or within one of them. */
  private vsock(
    event: EventViews['vsock_connection'], source: Source, process: LineageProcess | null,
  ): void {
    const { columns, row } = event
    if (columns.error[row] !== 0) return
    const end = this.reader.vsock(event, source, process)
    if (columns.report[row] === FLOW_FIRST) {
      this.begun(end, process, false)
      // The calling end need not know its own id.
      const { columns: ends } = this.connections
      const at = ends.addressAt(this.current)
      if (end.side === ACCEPTED) copyAddress(ends.clientAddr, at, end.farAddr, end.farAt)
      return
    }
    this.current = this.connections.find(end.low, end.high, end.side)
    if (this.current >= 0) this.amounts(event, end.side, this.current, true)
  }

  /** A program was run: a file from shared storage, or in a container of others. */
  private ran(
    event: EventViews['process_exec'], source: Source, process: LineageProcess,
  ): void {
    if (this.files.size > 0) this.current = ranFile(this, event, source, process)
    const slot = entered(this, event, source, process)
    if (slot >= 0) this.current = slot
  }

  /** A program has a socket for a standard stream, or a process was handed one. */
  private handed(
    event: EventViews['process_stdio' | 'socket_received'], source: Source,
    process: LineageProcess,
  ): void {
    const link: HopLink = event.kind === 'process_stdio' ? 'stdio' : 'descriptor'
    for (const side of [flag.serverSeen, flag.clientSeen]) {
      this.reader.keyOf(event, source, side)
      const slot = this.connections.find(this.key.low, this.key.high, side)
      if (slot < 0) continue
      const { server, client, holder } = this.connections.columns
      const origins = originsOf(process)
      if (side === flag.clientSeen) {
        // It calls out: from here on it acts on the connection, and takes what comes over it.
        if (link === 'descriptor') {
          const opener = this.lineage.get(client.get(slot))
          const isOwn = opener === process || this.lineage.ancestry(process).includes(opener!)
          if (!isOwn) holder.set(slot, process.number)
        } else {
          this.rules.inherit(origins, slot, link, 1, true)
          this.rules.calledBack(origins, slot)
        }
        this.current = slot
      } else if (server.get(slot) !== process.number) {
        this.settle(process)
        this.rules.replaceGuesses(origins, slot)
        this.rules.inherit(origins, slot, link)
      }
      return
    }
  }

  private forget(process: LineageProcess): void {
    if (process.origins !== null) this.rules.release(process.origins)
    process.origins = null
  }

  snapshot(): GraphSnapshot {
    const origins: OriginsSnapshot = []
    for (const process of this.lineage.all()) {
      if (process.origins !== null) origins.push([process.number, process.origins])
    }
    return {
      connections: this.connections.snapshot(), origins,
      accepted: this.rules.accepted.snapshot(), forgotten: this.rules.forgotten,
      files: this.files.snapshot(), entries: this.entries.snapshot(),
      waiting: this.waiting.snapshot(),
      searches: this.searches.snapshot(),
      parentless: this.parentless.snapshot(),
    }
  }

  /** Takes over what `snapshot` gave; the lineage has been restored. */
  restore(from: GraphSnapshot): void {
    this.connections.restore(from.connections)
    for (const [number, origins] of from.origins) this.lineage.get(number)!.origins = origins
    this.rules.accepted.restore(from.accepted)
    this.rules.forgotten = from.forgotten
    this.files.restore(from.files)
    this.entries.restore(from.entries)
    this.waiting.restore(from.waiting)
    this.searches.restore(from.searches)
    this.parentless.restore(from.parentless)
  }
}

/** Values of `report` in the columns. */
const [FLOW_FIRST, FLOW_PERIODIC, FLOW_LAST] = [1, 2, 3]
