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

/** Words and doubles of a row. In one piece: a row looked up at random is few cache lines. */
const ROW_WORDS = 42
const ROW_DOUBLES = 21
const ROW_BYTES = 168
const ADDRESS_BYTES = 16

/** One field of 32 bits of all rows. */
class Words {
  view = new Uint32Array(0)
  private readonly place: number
  constructor(place: number) { this.place = place }
  get(row: number): number { return this.view[ROW_WORDS * row + this.place] }
  set(row: number, value: number): void { this.view[ROW_WORDS * row + this.place] = value }
}

/** One field of all rows that is a row itself, or -1. */
class Links {
  view = new Int32Array(0)
  private readonly place: number
  constructor(place: number) { this.place = place }
  get(row: number): number { return this.view[ROW_WORDS * row + this.place] }
  set(row: number, value: number): void { this.view[ROW_WORDS * row + this.place] = value }
}

/** One field of all rows that needs more than 32 bits. */
class Doubles {
  view = new Float64Array(0)
  private readonly place: number
  constructor(place: number) { this.place = place }
  get(row: number): number { return this.view[ROW_DOUBLES * row + this.place] }
  set(row: number, value: number): void { this.view[ROW_DOUBLES * row + this.place] = value }
}

export type ColumnsSnapshot = { rows: Uint8Array; clientAddr: Uint8Array; serverAddr: Uint8Array }

/** Times are milliseconds since boot of the end's node. */
export class ConnectionColumns {
  /** Key of the connection. */
  readonly low = new Words(0)
  readonly high = new Words(1)
  /** The next one of the bucket, or of the free ones. */
  readonly next = new Links(2)
  /** Bits of `flag`. */
  readonly flags = new Words(3)
  /** Counts up when the row is used again. */
  readonly serial = new Words(4)
  /** Origins and chains that refer to it. */
  readonly refs = new Words(5)
  /** Neighbours in the list of its state. */
  readonly older = new Links(6)
  readonly newer = new Links(7)
  readonly means = new Words(8)
  readonly protocol = new Words(9)
  /** The events of the two ends: numbers of the node and boot, and below of the event there. */
  readonly clientSource = new Words(10)
  readonly serverSource = new Words(11)
  readonly clientPort = new Words(12)
  readonly serverPort = new Words(13)
  /** For who judges: which zone the server was taken to be in, and by which policy. */
  readonly zone = new Words(14)
  /** One more than the row of the head before it of the same client; 0 when none. */
  readonly headBefore = new Words(15)
  /** Numbers of the processes; 0 when not known. */
  readonly client = new Doubles(8)
  readonly server = new Doubles(9)
  readonly clientMs = new Doubles(10)
  readonly serverMs = new Doubles(11)
  /** When the server's end closed; Infinity before. */
  readonly serverEndMs = new Doubles(12)
  /** To be added to the time of the end for wall clock milliseconds. */
  readonly clientOffset = new Doubles(13)
  readonly serverOffset = new Doubles(14)
  readonly clientSeq = new Doubles(15)
  readonly serverSeq = new Doubles(16)
  /** As the client counts. */
  readonly bytesSent = new Doubles(17)
  readonly bytesReceived = new Doubles(18)
  /** Watermark when it became idle. */
  readonly idleMs = new Doubles(19)
  /** Another process that the client's end was handed to; 0 when none. */
  readonly holder = new Doubles(20)
  /** Sixteen bytes each. */
  clientAddr = new Uint8Array(0)
  serverAddr = new Uint8Array(0)
  private rows = new Uint8Array(0)

  /** Rows that there is room for. */
  get capacity(): number { return this.rows.length / ROW_BYTES }

  get bytes(): number { return this.rows.length + 2 * this.clientAddr.length }

  /** Makes room for so many rows; those that are there stay. */
  resize(capacity: number): void {
    this.rows = resized(this.rows, capacity * ROW_BYTES)
    this.clientAddr = resized(this.clientAddr, capacity * ADDRESS_BYTES)
    this.serverAddr = resized(this.serverAddr, capacity * ADDRESS_BYTES)
    const words = new Uint32Array(this.rows.buffer)
    const links = new Int32Array(this.rows.buffer)
    const doubles = new Float64Array(this.rows.buffer)
    for (const field of Object.values(this)) {
      if (field instanceof Words) field.view = words
      else if (field instanceof Links) field.view = links
      else if (field instanceof Doubles) field.view = doubles
    }
  }

  /** The first rows, as bytes. */
  snapshot(rows: number): ColumnsSnapshot {
    return {
      rows: this.rows.slice(0, rows * ROW_BYTES),
      clientAddr: this.clientAddr.slice(0, rows * ADDRESS_BYTES),
      serverAddr: this.serverAddr.slice(0, rows * ADDRESS_BYTES),
    }
  }

  /** Takes over what `snapshot` gave; there is room for it. */
  restore(from: ColumnsSnapshot): void {
    this.rows.set(from.rows)
    this.clientAddr.set(from.clientAddr)
    this.serverAddr.set(from.serverAddr)
  }
}

export function copyAddress(column: Uint8Array, row: number, from: Uint8Array, at: number): void {
  for (let i = 0; i < ADDRESS_BYTES; i++) column[ADDRESS_BYTES * row + i] = from[at + i]
}

function resized(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const to = new Uint8Array(length)
  to.set(bytes)
  return to
}
