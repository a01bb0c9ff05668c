/** Events of a small cluster at work, for tests of learning. */
import type { ExampleEvent } from '../../detect/detector.ts'
import { encodeEvents } from '../../detect/example.ts'
import type { Process } from '../../proto/gen/events.ts'
import type { Frames } from './range.ts'

/** A node with its address; one that is not watched has no name. */
export interface SampleNode { node_id: string, address: string }

export const NODES = {
  ingestion: { node_id: 'ingestion-1', address: '10.10.0.1' },
  training1: { node_id: 'training-1', address: '10.20.0.1' },
  training2: { node_id: 'training-2', address: '10.20.0.2' },
  inference: { node_id: 'inference-1', address: '10.30.0.1' },
  control: { node_id: 'control-1', address: '10.40.0.1' },
  storage: { node_id: 'storage-1', address: '10.50.0.1' },
} satisfies Record<string, SampleNode>

/** One connection: who, to whom, and when it begins and ends. */
export interface SampleCall {
  from: SampleNode | string
  to: SampleNode | string
  port: number
  exe?: string
  server_exe?: string
  at_ms: number
  lasts_ms?: number
  bytes?: number
  process?: Partial<Process>
}

let nextPort = 0

/** The events of a connection at the ends that are watched. */
export function call(one: SampleCall): ExampleEvent[] {
  const { from, to, port, at_ms, lasts_ms = 100, bytes = 1000 } = one
  const { exe = '/usr/bin/client', server_exe = '/usr/sbin/server' } = one
  const addressOf = (end: SampleNode | string): string =>
    typeof end === 'string' ? end : end.address
  const client = { addr: addressOf(from), port: 33_000 + nextPort++ % 20_000 }
  const server = { addr: addressOf(to), port }
  const ends = [
    { node: from, near: client, far: server, direction: 'outgoing', path: exe, mine: bytes },
    { node: to, near: server, far: client, direction: 'accepted', path: server_exe, mine: 10 },
  ]
  return ends.flatMap(({ node, near, far, direction, path, mine }): ExampleEvent[] => {
    if (typeof node === 'string') return []
    const pid = [...path].reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) % 4_000_000, 7)
    const process = {
      pid, start_time: BigInt(pid), exe: path, comm: path.split('/').at(-1)!,
      ...direction === 'outgoing' ? one.process : {},
    }
    const values = {
      local_addr: near.addr, local_port: near.port, remote_addr: far.addr, remote_port: far.port,
      protocol: 'tcp', direction,
    }
    return [
      { kind: 'connection_open', at_ms, node_id: node.node_id, process, values },
      { kind: 'connection_close', at_ms: at_ms + lasts_ms, node_id: node.node_id, process,
        values: { ...values, bytes_sent: mine, bytes_received: bytes + 10 - mine } },
    ]
  })
}

const MINUTE_MS = 60_000

/** An hour of ordinary work. */
export function benignHour(): ExampleEvent[] {
  const { ingestion, training1, training2, inference, control, storage } = NODES
  const every = (minutes: number, make: (at_ms: number) => SampleCall[]): ExampleEvent[] =>
    Array.from({ length: Math.floor(60 / minutes) }, (_, i) => make(i * minutes * MINUTE_MS))
      .flat().flatMap(call)
  return [
    ...every(1, (at_ms) => [
      { from: '203.0.113.9', to: inference, port: 443, server_exe: '/opt/llm/serve', at_ms },
      { from: training1, to: training2, port: 29_500, exe: '/usr/bin/python3', at_ms },
      { from: training2, to: storage, port: 9000, exe: '/usr/bin/python3', at_ms },
    ]),
    ...every(5, (at_ms) => [
      { from: inference, to: storage, port: 9000, exe: '/opt/llm/serve', at_ms },
      { from: ingestion, to: storage, port: 9000, exe: '/usr/bin/fetcher', at_ms },
      ...[ingestion, training1, training2, inference, storage].map((to): SampleCall =>
        ({ from: control, to, port: 9100, exe: '/usr/bin/prometheus', at_ms })),
      { from: '10.99.0.7', to: control, port: 22, server_exe: '/usr/sbin/sshd', at_ms },
      { from: training1, to: '10.60.0.5', port: 2049, exe: '/usr/bin/python3', at_ms },
    ]),
  ]
}

/** Frames of events as a log holds them: in the order of time, a batch per run of a node. */
export function framesOf(events: readonly ExampleEvent[]): Frames {
  const ordered = events.toSorted((a, b) => a.at_ms - b.at_ms)
  const frames = encodeEvents(ordered).map((payload, i) => ({ position: i + 1, payload }))
  return () => frames
}
