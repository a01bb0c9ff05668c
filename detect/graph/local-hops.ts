/** Hops that are no connections of a network: both ends are known at once. */
import type { EventViews } from '../../proto/gen/events.ts'
import type { LineageProcess } from '../lineage.ts'
import type { Source } from '../names/source-table.ts'
import { flag, means } from './connection-columns.ts'
import { isInContainer, isRuntime } from './entries.ts'
import type { Graph } from './graph.ts'
import { originsOf } from './origins.ts'

/** A request over a Unix socket acts so long: its end is not told. */
const UNIX_MS = 30_000

/** A request within the node, across the border of a container. Slot of the hop; -1 when none. */
export function askedOverUnix(
  graph: Graph, event: EventViews['unix_connection'], source: Source,
  process: LineageProcess | null,
): number {
  const { columns, row } = event
  const { lineage, connections, reader, rules } = graph
  if (process === null || columns.peer_pid[row] === 0) return -1
  const peer = lineage.find(source.number, columns.peer_pid[row],
    columns.peer_start_time[2 * row], columns.peer_start_time[2 * row + 1])
  if (peer === null) return -1
  const low = (columns.connection_id[2 * row] ^ Math.imul(source.number, 0x9e3779b1)) >>> 0
  const high = columns.connection_id[2 * row + 1]
  const slot = connections.open(
    reader.between({ low, high, means: means.unix }, process, event, source))
  const { atMs } = reader.end
  complete(graph, slot, peer, source, atMs)
  connections.close(slot, flag.serverSeen, atMs + UNIX_MS, 0, 0)
  const origins = originsOf(peer)
  rules.accept(origins, slot, process.number, graph.isInteresting(process, atMs))
  origins.open--
  return slot
}

/** A program was run that another process wrote to a file that nodes share. */
export function ranFile(
  graph: Graph, event: EventViews['process_exec'], source: Source, process: LineageProcess,
): number {
  const { lineage, connections, reader, rules, files } = graph
  const written = files.find(event, process.number)
  const writer = written === null ? null : lineage.get(written.process)
  if (written === null || writer === null) return -1
  const slot = connections.open(reader.between(
    { low: written.low, high: process.number >>> 0, means: means.file }, writer, event, source))
  const { clientSource, clientSeq, clientMs, clientOffset } = connections.columns
  clientSource.set(slot, written.source)
  clientSeq.set(slot, written.seq)
  clientMs.set(slot, written.atMs)
  clientOffset.set(slot, written.offsetMs)
  complete(graph, slot, process, source, reader.end.atMs)
  rules.inherit(originsOf(process), slot, 'file')
  return slot
}

/**
 * A program was put into a container that runs: by the runtime, and where kubelet is known by its
 * port, on its word. Who asked kubelet is among those whom it served then.
 */
export function entered(
  graph: Graph, event: EventViews['process_exec'], source: Source, process: LineageProcess,
): number {
  const { lineage, connections, reader, rules, entries } = graph
  const parent = isInContainer(process) ? lineage.parentOf(process) : null
  if (parent === null || !isRuntime(parent)) return -1
  if (!entries.isEntered(process) || event.columns.at_start[event.row] !== 0) return -1
  const origins = originsOf(process)
  // The same process runs its second program.
  if (origins.inherited.some(({ link }) => link === 'exec')) return -1
  const kubelet = lineage.get(entries.kubeletOf(source.number))
  const slot = connections.open(reader.between({
    low: process.startLow, high: process.number >>> 0, means: means.exec,
  }, kubelet ?? parent, event, source))
  const { atMs } = reader.end
  complete(graph, slot, process, source, atMs)
  const tainted = kubelet !== null && graph.isInteresting(kubelet, atMs)
  rules.inherit(origins, slot, 'exec', 1, false, tainted)
  connections.close(slot, flag.serverSeen, atMs, 0, 0)
  return slot
}

function complete(
  graph: Graph, slot: number, server: LineageProcess, source: Source, atMs: number,
): void {
  const { connections: { columns }, reader: { end } } = graph
  columns.server.set(slot, server.number)
  columns.serverSource.set(slot, source.number)
  columns.serverSeq.set(slot, end.seq)
  columns.serverMs.set(slot, atMs)
  columns.serverOffset.set(slot, end.offsetMs)
  columns.flags.set(slot, columns.flags.get(slot) | flag.serverSeen)
}
