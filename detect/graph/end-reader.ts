/** Reads one end of a connection out of an event, into objects that are used again. */
import type { EventViews } from '../../proto/gen/events.ts'
import type { LineageProcess } from '../lineage.ts'
import type { Source } from '../names/source-table.ts'
import { flag, means } from './connection-columns.ts'
import type { EndEvent } from './connections.ts'
import { keyOfRow } from './keys.ts'
import type { ConnectionKey } from './keys.ts'
import { ACCEPTED, sideOf } from './sides.ts'
import type { OneConnectionEvent } from './sides.ts'

const NOWHERE = new Uint8Array(16)
/** Within one machine. */
const LOCAL_CID = 1

interface KnownKeys { keyOf(index: number, key: ConnectionKey): void }

export class EndReader {
  /** Key of the connection that was read last. */
  readonly key = { low: 0, high: 0 }
  /** The end that was read last. */
  readonly end: EndEvent = {
    low: 0, high: 0, side: 0, process: 0, source: 0, seq: 0, atMs: 0, offsetMs: 0, atStart: false,
    translated: false, protocol: 0, means: 0, nearAddr: NOWHERE, nearAt: 0, nearPort: 0,
    farAddr: NOWHERE, farAt: 0, farPort: 0,
  }

  private readonly ahead: KnownKeys

  /** @param ahead knows the keys of the events that open and close connections */
  constructor(ahead: KnownKeys) { this.ahead = ahead }

  /** The end that an event is about. */
  read(
    event: OneConnectionEvent, source: Source, process: LineageProcess | null, atStart: boolean,
  ): EndEvent {
    const { columns, row } = event
    const { end } = this
    const side = sideOf(event)
    this.keyOf(event, source, side)
    end.low = this.key.low
    end.high = this.key.high
    end.side = side
    end.process = process?.number ?? 0
    end.source = source.number
    end.seq = event.seq
    end.atMs = (columns.time[2 * row + 1] * 4294967296 + columns.time[2 * row]) / 1e6
    end.offsetMs = event.batch.clockOffsetMs
    end.atStart = atStart
    end.translated = false
    end.protocol = columns.protocol[row]
    end.means = means.network
    end.nearAddr = columns.local_addr
    end.farAddr = columns.remote_addr
    end.nearAt = end.farAt = 16 * row
    end.nearPort = columns.local_port[row]
    end.farPort = columns.remote_port[row]
    return end
  }

  /**
   * An end of a vsock connection. Its addresses hold the context ids. Those of the two ends are not
   * known to both, and the same on many hosts: their ports together are rarely the same.
   */
  vsock(
    event: EventViews['vsock_connection'], source: Source, process: LineageProcess | null,
  ): EndEvent {
    const { columns, row } = event
    const { end } = this
    end.side = columns.direction[row] === ACCEPTED ? flag.serverSeen : flag.clientSeen
    end.nearPort = columns.local_port[row]
    end.farPort = columns.remote_port[row]
    end.nearAddr = addressOfCid(columns.local_cid[row])
    end.farAddr = addressOfCid(columns.remote_cid[row])
    end.nearAt = end.farAt = 0
    const called = end.side === flag.serverSeen
    const cid = called ? columns.local_cid[row] : columns.remote_cid[row]
    const [from, to] = called ? [end.farPort, end.nearPort] : [end.nearPort, end.farPort]
    const place = cid === LOCAL_CID ? source.number : 0
    this.key.low = Math.imul(from ^ Math.imul(place, 0x9e3779b1), 0x85ebca6b) >>> 0
    this.key.high = (Math.imul(to ^ Math.imul(cid, 0xc2b2ae35), 0x27d4eb2f) ^ from) >>> 0
    end.low = this.key.low
    end.high = this.key.high
    end.process = process?.number ?? 0
    end.source = source.number
    end.seq = event.seq
    end.atMs = (columns.time[2 * row + 1] * 4294967296 + columns.time[2 * row]) / 1e6
    end.offsetMs = event.batch.clockOffsetMs
    end.atStart = end.translated = false
    end.protocol = 0
    end.means = means.vsock
    return end
  }

  /** The opening end of something that is no connection of the network, by `client`. */
  between(
    key: { low: number; high: number; means: number }, client: LineageProcess,
    event: EventViews['unix_connection' | 'process_exec'], source: Source,
  ): EndEvent {
    const { end } = this
    Object.assign(end, key, { side: flag.clientSeen, process: client.number, protocol: 0 })
    end.source = source.number
    end.seq = event.seq
    end.atMs = Number(event.time) / 1e6
    end.offsetMs = event.batch.clockOffsetMs
    end.nearAddr = end.farAddr = NOWHERE
    end.nearAt = end.farAt = end.nearPort = end.farPort = 0
    end.atStart = end.translated = false
    return end
  }

  /** The key of the connection of an event; `side` says which end it is about. */
  keyOf(
    event: OneConnectionEvent | EventViews['process_stdio' | 'socket_received'], source: Source,
    side: number,
  ): void {
    const { kind, index, row } = event
    if (kind === 'connection_open' || kind === 'connection_close') {
      this.ahead.keyOf(index, this.key)
    } else keyOfRow(event.columns, row, source.number, side, this.key)
  }
}

function addressOfCid(cid: number): Uint8Array {
  const bytes = new Uint8Array(16)
  new DataView(bytes.buffer).setUint32(12, cid)
  return bytes
}
