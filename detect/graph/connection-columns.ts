/** The fields of connections, in rows. */

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

/**
 * Bytes of a row: three cache lines. Looked up at random, it is the way there that costs: so all
 * is in one piece, and what is asked for together lies together.
 */
const ROW_BYTES = 192
const ADDRESSES_AT = 160
const ADDRESS_BYTES = 16

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
  /** @param at of the field in the row, bytes */
  constructor(at: number) { this.place = at / 4 }
  get(row: number): number { return this.view[ROW_BYTES / 4 * row + this.place] }
  set(row: number, value: number): void { this.view[ROW_BYTES / 4 * row + this.place] = value }
}

/** One field of all rows that is a row itself, or -1. */
class Links {
  view = new Int32Array(0)
  private readonly place: number
  /** @param at of the field in the row, bytes */
  constructor(at: number) { this.place = at / 4 }
  get(row: number): number { return this.view[ROW_BYTES / 4 * row + this.place] }
  set(row: number, value: number): void { this.view[ROW_BYTES / 4 * row + this.place] = value }
}

/** One field of all rows that needs more than 32 bits. */
class Doubles {
  view = new Float64Array(0)
  private readonly place: number
  /** @param at of the field in the row, bytes */
  constructor(at: number) { this.place = at / 8 }
  get(row: number): number { return this.view[ROW_BYTES / 8 * row + this.place] }
  set(row: number, value: number): void { this.view[ROW_BYTES / 8 * row + this.place] = value }
}

export type ColumnsSnapshot = Uint8Array

/** Times are milliseconds since boot of the end's node. */
export class ConnectionColumns {
  /** Key of the connection. */
  readonly low = new Words(0)
  readonly high = new Words(4)
  /** The events of the two ends: numbers of the node and boot, and below of the event there. */
  readonly clientSource = new Words(8)
  readonly serverSource = new Words(12)
  readonly clientPort = new Words(16)
  readonly serverPort = new Words(20)
  /** For who judges: which zone the server was taken to be in, and by which policy. */
  readonly zone = new Words(24)
  /** One more than the row of the head before it of the same client; 0 when none. */
  readonly headBefore = new Words(28)
  readonly clientSeq = new Doubles(32)
  readonly serverSeq = new Doubles(40)
  /** Bits of `flag`. */
  readonly flags = new Words(48)
  /** Counts up when the row is used again. */
  readonly serial = new Words(52)
  /** Origins and chains that refer to it. */
  readonly refs = new Words(56)
  /** Neighbours in the list of its state; `newer` is the next one of the free ones, too. */
  readonly older = new Links(60)
  readonly newer = new Links(64)
  readonly means = new Halves(68)
  readonly protocol = new Halves(70)
  /** Number of the process, as `client`; 0 when not known. */
  readonly server = new Doubles(72)
  readonly serverMs = new Doubles(80)
  /** When the server's end closed; Infinity before. */
  readonly serverEndMs = new Doubles(88)
  /** As the client counts. */
  readonly bytesSent = new Doubles(96)
  readonly bytesReceived = new Doubles(104)
  readonly client = new Doubles(112)
  readonly clientMs = new Doubles(120)
  /** To be added to the time of the end for wall clock milliseconds. */
  readonly clientOffset = new Doubles(128)
  readonly serverOffset = new Doubles(136)
  /** Watermark when it became idle. */
  readonly idleMs = new Doubles(144)
  /** Another process that the client's end was handed to; 0 when none. */
  readonly holder = new Doubles(152)
  /** Sixteen bytes each, at `addressAt`. */
  clientAddr = new Uint8Array(0)
  serverAddr = new Uint8Array(0)
  private rows = new Uint8Array(0)

  /** Rows that there is room for. */
  get capacity(): number { return this.rows.length / ROW_BYTES }

  get bytes(): number { return this.rows.length }

  /** Where the addresses of a row are in `clientAddr` and `serverAddr`. */
  addressAt(row: number): number { return ROW_BYTES * row }

  /** Makes room for so many rows; those that are there stay. */
  resize(capacity: number): void {
    const rows = new Uint8Array(capacity * ROW_BYTES)
    rows.set(this.rows)
    this.rows = rows
    const { buffer } = rows
    this.clientAddr = rows.subarray(ADDRESSES_AT)
    this.serverAddr = rows.subarray(ADDRESSES_AT + ADDRESS_BYTES)
    const [halves, words] = [new Uint16Array(buffer), new Uint32Array(buffer)]
    const [links, doubles] = [new Int32Array(buffer), new Float64Array(buffer)]
    for (const field of Object.values(this)) {
      if (field instanceof Halves) field.view = halves
      else if (field instanceof Words) field.view = words
      else if (field instanceof Links) field.view = links
      else if (field instanceof Doubles) field.view = doubles
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
