/** One direction of a connection: who sends how much to whom, and whether that may be. */
import type { Context } from '../../../detect/context.ts'
import { isRuntime } from '../../../detect/graph/entries.ts'
import { isLogin } from '../../../detect/graph/logins.ts'
import { flag } from '../../../detect/graph/connection-columns.ts'
import type { LineageProcess } from '../../../detect/lineage.ts'
import { EXTERNAL } from '../../../policy/compile.ts'
import { DRILL_ZONES } from '../../../policy/zone-names.ts'
import { formatAddress } from '../../../proto/address.ts'
import type { EventViews } from '../../../proto/gen/events.ts'
import { programOf } from '../../actor.ts'
import { isPublic } from '../../far-end.ts'

export type Carrying = EventViews[
  'connection_close' | 'connection_totals' | 'connection_repeat' | 'datagram_flow']

/** Plain data: it may wait until it is known who sent. Times are those of the sender's node. */
export interface Leg {
  /** Of the connection and direction. */
  id: number
  slot: number
  serial: number
  /** Sent by who accepted the connection. */
  down: boolean
  /** So far. */
  bytes: number
  /** Wall clock, milliseconds. */
  startMs: number
  endMs: number
}

/** Where a leg leads, and whether a flow allows it. */
export interface Target {
  address: string
  port: number
  protocol: string
  zone: string
  /** To another zone, or outside. */
  crosses: boolean
  outside: boolean
  allowed: boolean
}

/** They start what has nothing to do with each other. */
const launchers = new Set(['systemd', 'init', 'cron', 'crond', 'atd', 'supervisord', 'tmux',
  'screen', 'inetd', 'xinetd', 'runsvdir', 's6-svscan'])

/**
 * The tree that a process belongs to: its pod or job, or the processes below one that a login, a
 * container runtime or an init system started.
 */
export function treeOf(process: LineageProcess, context: Context): string {
  const subject = context.subjectOf(process)
  if (/^(?:pod|job):/.test(subject)) return `${process.source} ${subject}`
  let root = process
  for (const parent of context.ancestry(process)) {
    if (parent.pid <= 2 || isLogin(parent) || isRuntime(parent)) break
    if (launchers.has(programOf(parent.exe || parent.comm))) break
    root = parent
  }
  return `${process.source} ${root.number}`
}

/** The two directions of the connection of an event that is in the graph. */
export function legsOf(event: Carrying, slot: number, context: Context): Leg[] {
  const { columns } = context.graph.connections
  const { clientMs, clientOffset, serverMs, serverOffset } = columns
  const flags = columns.flags.get(slot)
  const serial = columns.serial.get(slot)
  return [false, true].map((down): Leg => {
    const startMs = down ? serverMs.get(slot) + serverOffset.get(slot)
      : clientMs.get(slot) + clientOffset.get(slot)
    const seen = (flags & (down ? flag.serverSeen : flag.clientSeen)) !== 0
    const known = seen && event.duration_ns > 0
    return {
      id: 2 * slot + Number(down), slot, serial, down,
      bytes: (down ? columns.bytesReceived : columns.bytesSent).get(slot),
      startMs: seen ? startMs : event.time_ms,
      endMs: known ? startMs + event.duration_ns / 1e6 : event.time_ms,
    }
  })
}

/** Processes that may have sent it, the likeliest first; numbers, 0 for none. */
export function sendersOf({ slot, down }: Leg, context: Context): number[] {
  const { holder, client, server } = context.graph.connections.columns
  return down ? [server.get(slot)] : [holder.get(slot), client.get(slot)]
}

/** The process at the other end; null when it is not known. */
export function receiverOf({ slot, down }: Leg, context: Context): LineageProcess | null {
  const { client, server, holder } = context.graph.connections.columns
  if (!down) return context.processOf(server.get(slot))
  return context.processOf(holder.get(slot) || client.get(slot))
}

/** Clock of the receiver: when the connection began there; NaN when its end was not seen. */
export function receivedSinceMs({ slot, down }: Leg, context: Context): number {
  const { columns } = context.graph.connections
  if ((columns.flags.get(slot) & (down ? flag.clientSeen : flag.serverSeen)) === 0) return NaN
  return down ? columns.clientMs.get(slot) + columns.clientOffset.get(slot)
    : columns.serverMs.get(slot) + columns.serverOffset.get(slot)
}

export function targetOf({ slot, down }: Leg, context: Context): Target {
  const { columns } = context.graph.connections
  const { clientAddr, serverAddr, clientPort, serverPort } = columns
  const client = context.processOf(columns.client.get(slot))
  const [caller, called] = context.zonesOfConnection(slot, client)
  const [bytes, port] = down ? [clientAddr, clientPort] : [serverAddr, serverPort]
  const at = columns.addressAt(slot)
  const allowed = () => context.verdictOfConnection(slot, caller, called, client).allowed
  const [from, to] = down ? [called, caller] : [caller, called]
  return {
    address: formatAddress(bytes, at), port: port.get(slot),
    ...judge(from, to, bytes, at, allowed, context),
    protocol: columns.protocol.get(slot) === 17 ? 'udp' : 'tcp',
  }
}

/** As `targetOf`, of what an event counts that is in no connection of the graph. */
export function targetOfEvent(event: Carrying, context: Context): Target {
  const { columns, row } = event
  const from = context.nearZone(event)
  const to = context.farZone(event, null)
  const accepted = event.direction === 'accepted'
  const [caller, called] = accepted ? [to, from] : [from, to]
  const allowed = () => context.verdict(event, caller, called, accepted ? null : context.process,
    accepted).allowed
  return {
    address: event.remote_addr, port: event.remote_port, protocol: event.protocol,
    ...judge(from, to, columns.remote_addr, 16 * row, allowed, context),
  }
}

function judge(
  from: number, to: number, bytes: Uint8Array, at: number, allowed: () => boolean,
  context: Context,
): Pick<Target, 'zone' | 'crosses' | 'outside' | 'allowed'> {
  const { policy } = context
  const zone = context.zoneName(to)
  // Without zones, only what routers carry is surely outside.
  const learning = policy.learning && !DRILL_ZONES.includes(zone)
  const outside = learning ? isPublic(bytes, at) : to === EXTERNAL
  const crosses = learning ? outside : from !== to
  return { zone, outside, crosses, allowed: !crosses || (!learning && allowed()) }
}
