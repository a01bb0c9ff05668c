/** Which end of a connection an event is about. */
import type { EventViews } from '../../proto/gen/events.ts'

/** Events of connections and flows of all protocols; their columns have the same names. */
export type ConnectionEvent = EventViews[
  'connection_open' | 'connection_close' | 'connection_failed' | 'connection_repeat' |
  'connection_totals' | 'datagram_flow' | 'rdma_connection']

/** Those that stand for one connection, and know their direction. */
export type OneConnectionEvent = Exclude<
  ConnectionEvent, EventViews['connection_failed' | 'connection_repeat']>

/** Values of `direction` in the columns. */
export const OUTGOING = 1
export const ACCEPTED = 2

/**
 * Which of the two ends this is, `OUTGOING` or `ACCEPTED`. Of RDMA connections the direction may
 * not be known: there the end with the lower address, or queue pair, counts as the opening one.
 */
export function sideOf(event: OneConnectionEvent): number {
  if (event.kind !== 'rdma_connection') return event.columns.direction[event.row] || OUTGOING
  const { local_addr: near, remote_addr: far, qp_num, remote_qp_num } = event.columns
  const { row } = event
  for (let i = 16 * row; i < 16 * row + 16; i++) {
    if (near[i] !== far[i]) return near[i] < far[i] ? OUTGOING : ACCEPTED
  }
  return qp_num[row] <= remote_qp_num[row] ? OUTGOING : ACCEPTED
}

/** Both ends are in one network namespace: loopback, or an address that talks to itself. */
export function isOnePlace(near: Uint8Array, far: Uint8Array, at: number): boolean {
  let same = true
  for (let i = 15; i >= 0 && same; i--) same = near[at + i] === far[at + i]
  return same || (far[at + 12] === 127 && far[at + 10] === 0xff && far[at + 11] === 0xff)
}
