/** Keys of connections and addresses: numbers that stand for them. */
import type { EventViews } from '../../proto/gen/events.ts'
import { ACCEPTED, isOnePlace } from './sides.ts'
import type { OneConnectionEvent } from './sides.ts'

/** Number of the protocol. */
export const TCP = 6

/** 64 bits that stand for a connection. Two connections with the same ones: not in our lifetime. */
export interface ConnectionKey {
  low: number
  high: number
}

/**
 * The key of a connection, the same from both ends: client first. Of TCP the low word is of the
 * client's address and port alone, which stay the same where the server's are translated.
 *
 * @param place number of the network namespace when both ends are in it (loopback): such addresses
 *   are the same on every node. 0 otherwise.
 */
export function connectionKey(
  client: Uint8Array, clientAt: number, clientPort: number,
  server: Uint8Array, serverAt: number, serverPort: number,
  protocol: number, place: number, key: ConnectionKey,
): void {
  let a = Math.imul(clientPort ^ (protocol << 16), 0x9e3779b1) ^ place
  let b = Math.imul(serverPort ^ (clientPort << 16) ^ (protocol << 8), 0x85ebca6b) + place
  // One UDP socket talks to many: there the client alone would be one bucket for all of them.
  const all = protocol !== TCP
  for (let i = 0; i < 16; i += 4) {
    const from = word(client, clientAt + i)
    const to = word(server, serverAt + i)
    a = Math.imul(a ^ from, 0xcc9e2d51)
    a = Math.imul((a ^ (a >>> 15)) + (all ? to ^ serverPort : i), 0x1b873593)
    b = Math.imul(b + to, 0xc2b2ae35)
    b = Math.imul((b ^ (b >>> 13)) ^ from, 0x27d4eb2f)
  }
  key.low = mixed(a)
  key.high = mixed(b ^ a)
}

type KeyColumns = (OneConnectionEvent | EventViews['process_stdio' | 'socket_received'])['columns']

/** The key of the connection of a row; `side` says which end it is about. */
export function keyOfRow(
  columns: KeyColumns, row: number, source: number, side: number, key: ConnectionKey,
): void {
  const { local_addr: near, remote_addr: far } = columns
  const at = 16 * row
  const place = isOnePlace(near, far, at)
    ? Math.imul(source, 0x9e3779b1) ^ columns.netns[row] : 0
  const protocol = columns.protocol[row]
  // What tells RDMA connections apart are the queue pairs: ports are the same, or none.
  const isRdma = 'qp_num' in columns
  const nearPort = isRdma ? columns.qp_num[row] : columns.local_port[row]
  const farPort = isRdma ? columns.remote_qp_num[row] : columns.remote_port[row]
  if (side === ACCEPTED) {
    connectionKey(far, at, farPort, near, at, nearPort, protocol, place, key)
  } else connectionKey(near, at, nearPort, far, at, farPort, protocol, place, key)
}

/** A number of 53 bits for an address, to count distinct ones. Exact for IPv4. */
export function addressKey(bytes: Uint8Array, at: number): number {
  const last = word(bytes, at + 12) >>> 0
  if (word(bytes, at) === 0 && word(bytes, at + 4) === 0) return last
  const a = Math.imul(Math.imul(word(bytes, at), 0x9e3779b1) ^ word(bytes, at + 4), 0x85ebca6b)
  const b = Math.imul(word(bytes, at + 8) ^ a, 0xc2b2ae35) ^ last
  return (mixed(b) % 0x1fffff + 1) * 4294967296 + mixed(a ^ last)
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]
}

function mixed(value: number): number {
  let x = value ^ (value >>> 16)
  x = Math.imul(x, 0x7feb352d)
  return (x ^ (x >>> 15)) >>> 0
}
