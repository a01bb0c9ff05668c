/** Whom the far end of a connection stands for. */
import { ACCEPTED } from '../detect/context.ts'
import type { ConnectionEvent, Context } from '../detect/context.ts'
import { wordOf } from '../detect/names/address-names.ts'
import { endpoint, printable } from '../detect/words.ts'
import { isMappedIpv4 } from '../proto/address.ts'

/** Ports from here on are chosen by the kernel or at random: they name no service. */
export const EPHEMERAL_PORT = 32_768

/** The far end is on the same node, by loopback or by its own address. */
export function isHere(event: ConnectionEvent): boolean {
  const { local_addr: near, remote_addr: far } = event.columns
  const at = 16 * event.row
  let same = true
  for (let i = at + 15; i >= at && same; i--) same = near[i] === far[i]
  if (same || (isMappedIpv4(far, at) && far[at + 12] === 127)) return true
  for (let i = at; i < at + 15; i++) if (far[i] !== 0) return false
  return far[at + 15] <= 1
}

/**
 * Datagrams that look like an answer though they were the first that were seen: after a pause that
 * made the flow forgotten, or after the agent began. From the port of a service to a random one.
 */
export function isAnswer(event: ConnectionEvent): boolean {
  if (event.kind !== 'datagram_flow') return false
  const { local_port: near, remote_port: far } = event
  const [from, to] = event.columns.direction[event.row] === ACCEPTED ? [far, near] : [near, far]
  return from > 0 && from < EPHEMERAL_PORT && to >= EPHEMERAL_PORT
}

/** Multicast and broadcast: nobody in particular. */
export function isMulticast(bytes: Uint8Array, at: number): boolean {
  if (!isMappedIpv4(bytes, at)) return bytes[at] === 0xff
  const first = bytes[at + 12]
  return (first >= 224 && first < 240) ||
    (first === 255 && bytes[at + 13] === 255 && bytes[at + 14] === 255 && bytes[at + 15] === 255)
}

/** An address that routers of the Internet carry: not private, link-local, shared or loopback. */
export function isPublic(bytes: Uint8Array, at: number): boolean {
  if (isMappedIpv4(bytes, at)) {
    const [a, b] = [bytes[at + 12], bytes[at + 13]]
    return a !== 0 && a !== 10 && a !== 127 && a < 224 && !(a === 172 && b >= 16 && b < 32) &&
      !(a === 192 && b === 168) && !(a === 169 && b === 254) && !(a === 100 && (b & 0xc0) === 64)
  }
  // 2000::/3 is all that was ever given out.
  return (bytes[at] & 0xe0) === 0x20
}

/** Name of the far end: its workload, else what a name server said; '' when none is known. */
export function nameOfFar(event: ConnectionEvent, context: Context): string {
  const { columns, row } = event
  return wordOf(context.nameOf(columns.remote_addr, 16 * row, columns.remote_port[row]))
}

/** `10.0.0.1:80/tcp (service:team-a/llm)`. */
export function farInWords(event: ConnectionEvent, context: Context): string {
  const name = nameOfFar(event, context)
  const place = `${endpoint(event.remote_addr, event.remote_port)}/${event.protocol}`
  return name === '' ? place : `${place} (${printable(name, 100)})`
}
