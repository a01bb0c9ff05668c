/** What examples and tests of NET-002 are made of: processes and connections of several nodes. */
import type { ExampleEvent } from '../detect/detector.ts'
import type { ConnectionOpen, Process } from '../proto/gen/events.ts'

export const policy = `version: 1
zones:
  - { name: inference, exposure: public, match: { cidrs: [10.30.0.0/16] } }
  - { name: training, exposure: protected, match: { cidrs: [10.20.0.0/16] } }
  - { name: storage, exposure: protected, match: { cidrs: [10.50.0.0/16] } }
  - { name: orchestration, exposure: internal, match: { cidrs: [10.40.0.0/16] } }
flows:
  - { from: external, to: inference, ports: [8000/tcp], reason: Users ask models. }
  - { from: external, to: orchestration, ports: [22/tcp], reason: Users log in. }
  - { from: inference, to: storage, ports: [9000/tcp], reason: Weights. }
  - { from: training, to: storage, ports: [9000/tcp], reason: Data sets. }
  - { from: orchestration, to: training, ports: [22/tcp, 6818/tcp], reason: Jobs. }
  - { from: orchestration, to: inference, ports: [8000/tcp], reason: Scrapes. }
`

/** Examples start an hour after boot. */
const HOUR_NS = 3_600_000_000_000n

/** A process that started so many milliseconds after the start of the example. */
export function started(
  pid: number, at_ms: number, exe: string, parent: Partial<Process> | null, uid = 0,
): Partial<Process> {
  return {
    pid, start_time: HOUR_NS + BigInt(at_ms * 1_000_000), ppid: parent?.pid ?? 1,
    parent_start_time: parent?.start_time ?? 1n, uid, exe,
    comm: exe.slice(exe.lastIndexOf('/') + 1).slice(0, 15), workload: exe,
  }
}

export function exec(
  at_ms: number, node_id: string, process: Partial<Process>, ...args: string[]
): ExampleEvent {
  return { kind: 'process_exec', at_ms, node_id, process, values: { exe: process.exe, args } }
}

/** A connection: who calls, from which port, and what. */
export interface Link {
  from: string
  port: number
  to: string
  service: number
}

export function opened(
  at_ms: number, node_id: string, process: Partial<Process>, link: Link,
  values: Partial<ConnectionOpen> = {},
): ExampleEvent {
  const { from, port, to, service } = link
  return {
    kind: 'connection_open', at_ms, node_id, process, values: {
      local_addr: from, local_port: port, remote_addr: to, remote_port: service, protocol: 'tcp',
      direction: 'outgoing', process_source: 'caller', ...values,
    },
  }
}

export function accepted(
  at_ms: number, node_id: string, process: Partial<Process>, link: Link,
  values: Partial<ConnectionOpen> = {},
): ExampleEvent {
  const { from, port, to, service } = link
  return {
    kind: 'connection_open', at_ms, node_id, process, values: {
      local_addr: to, local_port: service, remote_addr: from, remote_port: port, protocol: 'tcp',
      direction: 'accepted', process_source: 'caller', ...values,
    },
  }
}

/**
 * The end of a connection, as one of its ends tells it.
 *
 * @param kind `connection_totals`: what has passed so far
 */
export function closed(
  of: ExampleEvent, at_ms: number, bytes_sent: number, bytes_received: number,
  kind: 'connection_close' | 'connection_totals' = 'connection_close',
): ExampleEvent {
  const { process, node_id } = of
  const { local_addr, local_port, remote_addr, remote_port, protocol, direction } =
    of.values as Partial<ConnectionOpen>
  return {
    kind, at_ms, node_id, process, values: {
      local_addr, local_port, remote_addr, remote_port, protocol, direction, bytes_sent,
      bytes_received,
    },
  }
}

export function beat(at_ms: number, node_id = 'inf-1'): ExampleEvent {
  return { kind: 'heartbeat', at_ms, node_id, values: {} }
}
