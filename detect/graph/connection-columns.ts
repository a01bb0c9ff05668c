/** The fields of connections, in rows. */
import {
  ADDRESSES_AT, ROW_BYTES, ROW_DOUBLES, ROW_WORDS, inDoubles, inWords,
} from './rows/connection-row.ts'

const ADDRESS_BYTES = 16

/** Bits of `flags`. The first two are also the directions of the events of the two ends. */
export const flag = {
  clientSeen: 1, serverSeen: 2, clientClosed: 4, serverClosed: 8,
  /** It stood already when its agent started. */
  atStart: 16,
  /** A chain that was raised goes over it. */
  inChain: 32,
  /** It is in the list of those that are closed and that nobody refers to. */
  idle: 64,
  /** The client saw another address of the server than that one itself. */
  translated: 128,
  /** For who judges: it waits for its other end to be judged again. */
  held: 256,
  /** The workload that opened it had not talked there before. */
  firstSeen: 512,
  /** NET-001 follows it. */
  crossing: 1024,
} as const

/** How the two ends are connected. */
export const means = {
  network: 0,
  unix: 1,
  /** One end wrote a file that the other one ran. */
  file: 2,
  vsock: 3,
  /** One end had the other one put into a container that ran already. */
  exec: 4,
} as const

/** One field of 16 bits of all rows. */
class Halves {
  view = new Uint16Array(0)
  private readonly place: number
  /** @param at of the field in the row, bytes */
  constructor(at: number) { this.place = at / 2 }
  get(row: number): number { return this.view[ROW_BYTES / 2 * row + this.place] }
  set(row: number, value: number): void { this.view[ROW_BYTES / 2 * row + this.place] = value }
}

/** One field of 32 bits of all rows. */
class Words {
  view = new Uint32Array(0)
  private readonly place: number
  /** @param place of the field in the row, words */
  constructor(place: number) { this.place = place }
  get(row: number): number { return this.view[ROW_WORDS * row + this.place] }
  set(row: number, value: number): void { this.view[ROW_WORDS * row + this.place] = value }
}

/** One field of all rows that needs more than 32 bits. */
class Doubles {
  view = new Float64Array(0)
  private readonly place: number
  /** @param place of the field in the row, doubles */
  constructor(place: number) { this.place = place }
  get(row: number): number { return this.view[ROW_DOUBLES * row + this.place] }
  set(row: number, value: number): void { this.view[ROW_DOUBLES * row + this.place] = value }
}

export type ColumnsSnapshot = Uint8Array

/** Times are milliseconds since boot of the end's node. */
export class ConnectionColumns {
  /** Key of the connection. */
  readonly low = new Words(inWords.low)
  readonly high = new Words(inWords.high)
  /** The events of the two ends: numbers of the node and boot, and below of the event there. */
  readonly clientSource = new Words(inWords.clientSource)
  readonly serverSource = new Words(inWords.serverSource)
  readonly clientPort = new Words(inWords.clientPort)
  readonly serverPort = new Words(inWords.serverPort)
  /** For who judges: which zone the server was taken to be in, and by which policy. */
  readonly zone = new Words(inWords.zone)
  /** One more than the row of the head before it of the same client; 0 when none. */
  readonly headBefore = new Words(inWords.headBefore)
  readonly clientSeq = new Doubles(inDoubles.clientSeq)
  readonly serverSeq = new Doubles(inDoubles.serverSeq)
  /** Bits of `flag`. */
  readonly flags = new Words(inWords.flags)
  /** Counts up when the row is used again. */
  readonly serial = new Words(inWords.serial)
  /** Origins and chains that refer to it. */
  readonly refs = new Words(inWords.refs)
  readonly means = new Halves(68)
  readonly protocol = new Halves(70)
  /** Number of the process, as `client`; 0 when not known. */
  readonly server = new Doubles(inDoubles.server)
  readonly serverMs = new Doubles(inDoubles.serverMs)
  /** When the server's end closed; Infinity before. */
  readonly serverEndMs = new Doubles(inDoubles.serverEndMs)
  /** As the client counts. */
  readonly bytesSent = new Doubles(inDoubles.bytesSent)
  readonly bytesReceived = new Doubles(inDoubles.bytesReceived)
  readonly client = new Doubles(inDoubles.client)
  readonly clientMs = new Doubles(inDoubles.clientMs)
  /** To be added to the time of the end for wall clock milliseconds. */
  readonly clientOffset = new Doubles(inDoubles.clientOffset)
  readonly serverOffset = new Doubles(inDoubles.serverOffset)
  /** Watermark when it became idle. */
  readonly idleMs = new Doubles(inDoubles.idleMs)
  /** Another process that the client's end was handed to; 0 when none. */
  readonly holder = new Doubles(inDoubles.holder)
  /** All rows, for who is in a hurry: `inWords` and `inDoubles` say what is where. */
  words = new Uint32Array(0)
  doubles = new Float64Array(0)
  /**
   * The same as `words`. At `older` and `newer` are the neighbours in the list of its state, -1 for
   * none; `newer` is the next one of the free ones, too.
   */
  links = new Int32Array(0)
  /** Sixteen bytes each, at `addressAt`. */
  clientAddr = new Uint8Array(0)
  serverAddr = new Uint8Array(0)
  private rows = new Uint8Array(0)

  /** Rows that there is room for. */
  get capacity(): number { return this.rows.length / ROW_BYTES }

  get bytes(): number { return this.rows.length }

  /** Where the addresses of a row are in `clientAddr` and `serverAddr`. */
  addressAt(row: number): number { return ROW_BYTES * row }

  /** A word of each cache line of a row. */
  glance(row: number): number {
    const { words } = this
    const at = ROW_WORDS * row
    return words[at + inWords.flags] ^ words[at + inWords.newer] ^ words[at + ADDRESSES_AT / 4]
  }

  /** Makes room for so many rows; those that are there stay. */
  resize(capacity: number): void {
    const rows = new Uint8Array(capacity * ROW_BYTES)
    rows.set(this.rows)
    this.rows = rows
    const { buffer } = rows
    this.clientAddr = rows.subarray(ADDRESSES_AT)
    this.serverAddr = rows.subarray(ADDRESSES_AT + ADDRESS_BYTES)
    const halves = new Uint16Array(buffer)
    this.words = new Uint32Array(buffer)
    this.links = new Int32Array(buffer)
    this.doubles = new Float64Array(buffer)
    for (const field of Object.values(this)) {
      if (field instanceof Halves) field.view = halves
      else if (field instanceof Words) field.view = this.words
      else if (field instanceof Doubles) field.view = this.doubles
    }
  }

  /** The first rows, as bytes. */
  snapshot(rows: number): ColumnsSnapshot {
    return this.rows.slice(0, rows * ROW_BYTES)
  }

  /** Takes over what `snapshot` gave; there is room for it. */
  restore(from: ColumnsSnapshot): void {
    this.rows.set(from)
  }
}

/** Puts 16 bytes at `from[fromAt]` to `to[at]`. */
export function copyAddress(to: Uint8Array, at: number, from: Uint8Array, fromAt: number): void {
  for (let i = 0; i < ADDRESS_BYTES; i++) to[at + i] = from[fromAt + i]
}
