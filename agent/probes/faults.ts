// What the probes could not do, as they count it themselves (bpf/lib/maps.bpf.h, enum fault), and
// which events it cost.

import type { EventKind } from '../../proto/gen/events.ts'

/** What one fault costs. */
export interface FaultCost {
  event_kind: EventKind | 'unknown'
  reason: string
}

/** Faults that cost events, or the process of events. Others show in the event itself. */
export const faultCosts: Readonly<Record<string, FaultCost>> = {
  runs_missed: {
    event_kind: 'unknown',
    reason: 'the kernel skipped a probe that was interrupted by its own kind on the same CPU',
  },
  sockets_full: {
    event_kind: 'connection_open',
    reason: 'more connections than sockets_max: these are reported without their process',
  },
  listener_unmarked: {
    event_kind: 'connection_open',
    reason: 'no kernel memory to mark a listener: what it accepts is reported without its process',
  },
  calls_forgotten: {
    event_kind: 'unknown',
    reason: 'too many calls at once: connect() that the node itself refused, vsock and RDMA ' +
      'connections may not have been seen',
  },
  sockets_busy: {
    event_kind: 'connection_open',
    reason: 'two connections wanted one place in the table at the same moment: one of them is ' +
      'reported without its process',
  },
  vsock_sockets_full: {
    event_kind: 'vsock_connection', reason: 'too many vsock connections at once: not seen',
  },
  queue_pairs_full: {
    event_kind: 'rdma_connection',
    reason: 'too many queue pairs at once: their process or their end was not seen',
  },
  ports_full: {
    event_kind: 'connection_open',
    reason: 'more listening ports at the start than fit: connections that stood then may have ' +
      'the wrong direction',
  },
  socket_stale: {
    event_kind: 'connection_close',
    reason: 'the end of a connection was not seen',
  },
  flows_evicted: {
    event_kind: 'datagram_flow',
    reason: 'more datagram flows at once than flows_max: the totals of the quietest were forgotten',
  },
  gpu_calls_evicted: {
    event_kind: 'gpu_call',
    reason: 'more different GPU calls at once than fit: the counts of the quietest were forgotten',
  },
  gpu_calls_full: {
    event_kind: 'gpu_call',
    reason: 'the table of GPU calls was locked: these were not counted',
  },
  store_reads_evicted: {
    event_kind: 'store_read',
    reason: 'more readers of stores at once than fit: what the quietest read was forgotten',
  },
  store_reads_full: {
    event_kind: 'store_read',
    reason: 'the table of readers of stores was locked: these reads were not counted',
  },
  store_file_unnamed: {
    event_kind: 'store_read',
    reason: 'files were read by handle, of which the kernel knew no name: they may belong to a ' +
      'store',
  },
  store_open_files_evicted: {
    event_kind: 'store_write',
    reason: 'more files of stores open for writing at once than fit: what was overwritten in the ' +
      'oldest was not seen',
  },
  flows_full: {
    event_kind: 'datagram_flow',
    reason: 'the table of datagram flows was locked: these are not counted',
  },
  datagram_socket_unmarked: {
    event_kind: 'datagram_flow',
    reason: 'no kernel memory to mark a socket: what it receives is reported without its process',
  },
}

/** What came on top of `known` that cost something; `known` is brought up to `counts`. */
export function newFaults(
  known: Map<string, number>, counts: Readonly<Record<string, number>>,
): (FaultCost & { count: number })[] {
  const found: (FaultCost & { count: number })[] = []
  for (const [fault, count] of Object.entries(counts)) {
    const more = count - (known.get(fault) ?? 0)
    known.set(fault, count)
    const cost = faultCosts[fault]
    if (more > 0 && cost) found.push({ ...cost, count: more })
  }
  return found
}
