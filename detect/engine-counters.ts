/** What an engine counts. */
import type { RunningDetector } from './context.ts'
import type { GpuStates } from './gpu/gpu-states.ts'
import type { Graph } from './graph/graph.ts'
import type { IncidentTable } from './incident-table.ts'
import type { Lineage } from './lineage.ts'
import type { AddressNames } from './names/address-names.ts'
import type { SourceTable } from './names/source-table.ts'
import type { StoreStates } from './stores/store-states.ts'

/** Amounts since the first event of the log; those by detector have its id as the key. */
export interface EngineCounters {
  events: number
  /** Of kinds that this build does not know. */
  events_unknown: number
  /** Events that had been evaluated before. */
  duplicates: number
  /** Places where numbers of events are missing. */
  holes: number
  /** Texts in the log that are no policy; the one before stayed in force. */
  policies_refused: number
  findings: Record<string, number>
  muted: Record<string, number>
  keys: Record<string, number>
  evictions: Record<string, number>
  processes: number
  process_evictions: number
  source_evictions: number
  /** Connections that left before their time was over. */
  pairing_evictions: number
  connections: number
  /** Open connections of processes that had too many, and containers whose first was forgotten. */
  origins_forgotten: number
  /** Connections to which no path was searched: there were too many in one second. */
  paths_unsearched: number
  name_evictions: number
  /** Nodes whose GPUs, and baselines that were forgotten to make room. */
  gpu_evictions: number
  /** Items of the state of GPUs that found no room. */
  gpu_items_left: number
  /** Texts in the log that are no baseline; the one before stayed in force. */
  baselines_refused: number
  /** Classes of workloads and stores, of which it is known what is usual. */
  store_pairs: number
  /** Of those, and of processes that read of stores, what was forgotten to make room. */
  store_evictions: number
  /** Times that a store, or a connection to one, found no room. */
  stores_refused: number
  incidents_open: number
  incidents_aged_out: number
  findings_unlisted: number
  amendments_lost: number
  /** Incidents that were told before it was clear that they stand alone: too many were held. */
  incident_holds_cut: number
}

/** The parts of an engine that count. */
interface CountedParts {
  running: readonly RunningDetector[]
  lineage: Lineage
  sources: SourceTable
  graph: Graph
  names: AddressNames
  gpus: GpuStates
  stores: StoreStates
  table: IncidentTable
}

/** What the parts of an engine count; what it counts itself is not in it. */
export function countersOf(
  { running, lineage, sources, graph, names, gpus, stores, table }: CountedParts,
): Omit<EngineCounters, 'events' | 'events_unknown' | 'duplicates' | 'holes' | 'policies_refused'> {
  const byId = (value: (one: RunningDetector) => number): Record<string, number> =>
    Object.fromEntries(running.map((one) => [one.detector.id, value(one)]))
  return {
    findings: byId(({ findings }) => findings),
    muted: byId(({ muted }) => muted),
    keys: byId(({ states }) => states.size),
    evictions: byId(({ states }) => states.evictions),
    processes: lineage.size,
    process_evictions: lineage.evictions,
    source_evictions: sources.evictions,
    pairing_evictions: graph.connections.evictions,
    connections: graph.connections.size,
    origins_forgotten: graph.rules.forgotten + graph.entries.forgotten,
    paths_unsearched: graph.searches.skipped,
    name_evictions: names.evictions + names.nodes.evictions,
    gpu_evictions: gpus.evictions + gpus.baselines.evictions,
    gpu_items_left: gpus.left,
    baselines_refused: gpus.baselines.refused,
    store_pairs: stores.size,
    store_evictions: stores.evictions,
    stores_refused: stores.refused,
    incidents_open: table.openCount,
    incidents_aged_out: table.agedOut,
    findings_unlisted: table.findingsUnlisted,
    amendments_lost: table.amendmentsLost,
    incident_holds_cut: table.holdsCut,
  }
}
