/** Batches as an agent would make them, for tests and benches. */
import { BatchBuilder } from '../../proto/batch-builder.ts'
import type { EventKind, EventValues, Process } from '../../proto/gen/events.ts'

/** An event to be put into a batch. */
export type SampleEvent = {
  [K in EventKind]: {
    kind: K
    values?: Partial<EventValues[K]>
    process?: Partial<Process>
    /** Milliseconds after the start of the boot. Default: the number of the event. */
    at_ms?: number
  }
}[EventKind]

/** Who a sample batch comes from. */
export interface SampleNode {
  node_id: string
  boot_id: string
  /** Wall clock at the start of the boot, milliseconds since 1970. */
  booted_ms: number
}

export const SAMPLE_NODE: SampleNode = {
  node_id: 'node-1', boot_id: '0123456789abcdef0123456789abcdef', booted_ms: 1_900_000_000_000,
}

/** An encoded batch. At least one event. */
export function sampleBatch(
  firstSeq: number, events: readonly SampleEvent[], node: SampleNode = SAMPLE_NODE,
): Buffer {
  const builder = new BatchBuilder({
    eventsMax: events.length, factsOf: () => ({ exe: '', cgroup_path: '', workload: '' }),
  })
  events.forEach(({ kind, values, process, at_ms }, index) => {
    const time = BigInt(at_ms ?? firstSeq + index) * 1_000_000n
    builder.append(kind, values ?? {}, time, process)
  })
  return builder.encode({
    node_id: node.node_id, boot_id: node.boot_id, first_seq: firstSeq,
    clock_offset_ns: BigInt(node.booted_ms) * 1_000_000n,
  })
}

/** An established outgoing connection of the process `pid`. */
export function connection(pid: number, remote: string, port: number, at_ms?: number): SampleEvent {
  return {
    kind: 'connection_open', at_ms,
    values: {
      local_addr: '10.0.0.1', remote_addr: remote, local_port: 40_000, remote_port: port,
      protocol: 'tcp', direction: 'outgoing', connection_id: BigInt(1000 * pid + port),
    },
    process: { pid, start_time: BigInt(pid), comm: 'curl', exe: '/usr/bin/curl' },
  }
}

/** `count` heartbeats as one batch: events that mean nothing but that time goes on. */
export function heartbeats(firstSeq: number, count: number, node?: SampleNode): Buffer {
  return sampleBatch(firstSeq, Array.from({ length: count }, () => ({ kind: 'heartbeat' })), node)
}
