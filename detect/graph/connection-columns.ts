/** The columns of connections. */

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
} as const

/** How the two ends are connected. */
export const means = {
  network: 0,
  unix: 1,
  /** One end wrote a file that the other one ran. */
  file: 2,
} as const

/** The column of every field of a connection. Times: milliseconds since boot of the end's node. */
const types = {
  /** Key of the connection. */
  low: Uint32Array, high: Uint32Array,
  /** The next one of the bucket or of the free ones; the neighbours in the list of its state. */
  next: Int32Array, older: Int32Array, newer: Int32Array,
  /** Counts up when the slot is used again. */
  serial: Uint32Array,
  /** Origins and chains that refer to it. */
  refs: Uint32Array,
  flags: Uint8Array, means: Uint8Array, protocol: Uint8Array,
  /** Numbers of the processes; 0 when not known. */
  client: Float64Array, server: Float64Array,
  /** Another process that the client's end was handed to; 0 when none. */
  holder: Float64Array,
  /** The events of the two ends. */
  clientSource: Uint32Array, serverSource: Uint32Array,
  clientSeq: Float64Array, serverSeq: Float64Array,
  clientMs: Float64Array, serverMs: Float64Array,
  /** To be added to the time of the end for wall clock milliseconds. */
  clientOffset: Float64Array, serverOffset: Float64Array,
  /** When the server's end closed; Infinity before. */
  serverEndMs: Float64Array,
  /** Watermark when it became idle. */
  idleMs: Float64Array,
  /** As the client counts. */
  bytesSent: Float64Array, bytesReceived: Float64Array,
  clientPort: Uint32Array, serverPort: Uint32Array,
  /** Sixteen bytes each. */
  clientAddr: Uint8Array, serverAddr: Uint8Array,
} as const

export type Types = typeof types
export type ConnectionColumns = { -readonly [K in keyof Types]: InstanceType<Types[K]> }
export type Column = Uint8Array | Uint32Array | Int32Array | Float64Array

/** Elements per connection. */
export function widthOf(name: string): number {
  return name.endsWith('Addr') ? 16 : 1
}

/** Columns for so many connections, each made by `make`. */
export function columnsOf(
  capacity: number,
  make: (Type: new (size: number) => Column, size: number, name: keyof Types) => Column,
): ConnectionColumns {
  const entries = Object.entries(types).map(([name, Type]) =>
    [name, make(Type, capacity * widthOf(name), name as keyof Types)])
  return Object.fromEntries(entries) as ConnectionColumns
}

export function copyAddress(column: Uint8Array, slot: number, from: Uint8Array, at: number): void {
  for (let i = 0; i < 16; i++) column[16 * slot + i] = from[at + i]
}
