// The numbers of the agent for Prometheus, read where they are kept when somebody asks.

import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import type { Decoder } from '../decode.ts'
import type { Enricher } from '../enrich/enricher.ts'
import type { Gpus } from '../gpu/open.ts'
import type { Names } from '../names/open.ts'
import type { Spool } from '../spool.ts'
import type { Source } from '../source.ts'
import type { Stores } from '../stores/open.ts'
import type { Uplink } from '../uplink.ts'
import { kindInfos } from '../../proto/gen/events.ts'
import type { ProbeState } from '../../proto/gen/events.ts'

export interface MetricSources {
  version: string
  /** Absent without probes. */
  source?: Pick<Source, 'counters'>
  /** Kernel memory of the maps. */
  mapBytes(): number
  decoder: Decoder
  enricher: Pick<Enricher, 'misses'>
  gpus: Pick<Gpus, 'counts'>
  stores: Pick<Stores, 'counts'>
  names: Pick<Names, 'counts'>
  spool: Spool
  uplink: Uplink
  probes(): readonly ProbeState[]
}

const kindNames = new Map(kindInfos.map(({ kind, number }) => [number, kind as string]))

const nameOf = (kind: number): string => kindNames.get(kind) ?? 'unknown'

type Values = [value: number, labels?: Record<string, string>][]

/** prom-client's own with a name that promtool refuses: gauges that end in _total. */
const refusedByPromtool = [
  'nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total',
]
/** Finer would wake the process a hundred times a second for one figure. */
const eventLoopPrecisionMs = 1000

/** A registry of its own, so that agent and correlator can live in one process. */
export function metricsRegistry(sources: MetricSources): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: eventLoopPrecisionMs })
  for (const name of refusedByPromtool) registry.removeSingleMetric(name)
  const define = (
    type: 'counter' | 'gauge', name: string, help: string, labels: string[], values: () => Values,
  ): void => {
    const Metric = type === 'counter' ? Counter : Gauge
    new Metric({
      name, help, labelNames: labels, registers: [registry],
      // The figures are kept elsewhere: each scrape writes them down anew.
      collect(this: Counter | Gauge) {
        this.reset()
        for (const [value, given] of values()) this.inc(given ?? {}, value)
      },
    })
  }
  const counter = define.bind(undefined, 'counter')
  const gauge = define.bind(undefined, 'gauge')
  gauge('vedette_build_info', 'Always 1; what runs here.', ['component', 'version', 'node_version'],
    () => [[1, {
      component: 'agent', version: sources.version, node_version: process.version,
    }]])
  recordMetrics(sources, counter, gauge)
  spoolMetrics(sources, counter, gauge)
  nameMetrics(sources, counter, gauge)
  gpuMetrics(sources, counter, gauge)
  storeMetrics(sources, counter, gauge)
  uplinkMetrics(sources, counter, gauge)
  return registry
}

/** A scrape collects all metrics in one turn of the event loop; counting resets a maximum. */
function oncePerScrape<T>(count: () => T): () => T {
  let counted: { value: T } | undefined
  return () => {
    if (!counted) {
      counted = { value: count() }
      setImmediate(() => { counted = undefined })
    }
    return counted.value
  }
}

type Define = (name: string, help: string, labels: string[], values: () => Values) => void

function recordMetrics(sources: MetricSources, counter: Define, gauge: Define): void {
  const { decoder, enricher, spool } = sources
  const kernel = oncePerScrape(() => sources.source?.counters())
  gauge('vedette_probe_attached', 'Whether a probe is attached, also when it is degraded.',
    ['probe', 'state'], () => sources.probes().filter(({ state }) => state !== 'waiting')
      .map(({ probe, state }) => [state === 'missing' ? 0 : 1, { probe, state }]))
  counter('vedette_records_produced_total', 'Records that the probes made.', ['kind'],
    () => (kernel()?.kinds ?? []).map(({ kind, produced }) =>
      [produced, { kind: nameOf(kind) }]))
  counter('vedette_records_lost_total', 'Records that found no room in the ring, or no quota.',
    ['kind'], () => (kernel()?.kinds ?? []).map(({ kind, lost }) => [lost, { kind: nameOf(kind) }]))
  counter('vedette_records_over_quota_total', 'Those of the lost that had no quota.', ['kind'],
    () => (kernel()?.kinds ?? []).map(({ kind, over_quota: count }) =>
      [count, { kind: nameOf(kind) }]))
  counter('vedette_probe_faults_total', 'Failures in the kernel that cost a fact, not a record.',
    ['fault'], () => Object.entries(kernel()?.faults ?? {})
      .map(([fault, count]) => [count, { fault }]))
  counter('vedette_source_bytes_total', 'Bytes of records pulled from the ring buffer.', [],
    () => [[kernel()?.bytes ?? 0]])
  counter('vedette_source_batches_total', 'Reads of the ring buffer that gave records.', [],
    () => [[kernel()?.batches ?? 0]])
  gauge('vedette_source_batch_bytes', 'The largest such read since the last scrape.', [],
    () => [[kernel()?.batch_bytes_max ?? 0]])
  gauge('vedette_ring_pending_bytes', 'Bytes that wait in the ring buffer.', [],
    () => [[kernel()?.pending_bytes ?? 0]])
  gauge('vedette_map_bytes', 'Kernel memory of all BPF maps.', [], () => [[sources.mapBytes()]])
  counter('vedette_records_malformed_total', 'Records that could not be decoded.', ['kind'],
    () => decoder.malformed().map(({ event_kind: kind, count }) => [count, { kind }]))
  counter('vedette_enrich_misses_total', 'Facts that could not be told in time.', ['fact'],
    () => Object.entries({
      ...enricher.misses, ...sources.names.counts.misses, store: sources.stores.counts.misses,
    })
      .map(([fact, count]) => [count, { fact }]))
  counter('vedette_events_stored_total', 'Events written to the spool.', ['kind'],
    () => spool.accounts.all().map(({ event_kind: kind, stored }) => [stored, { kind }]))
}

function nameMetrics({ names }: MetricSources, counter: Define, gauge: Define): void {
  gauge('vedette_kubernetes_objects', 'Objects of the Kubernetes API that are known.', [],
    () => [[names.counts.kubernetes.known]])
  counter('vedette_kubernetes_left_total', 'Times that such an object did not fit.', [],
    () => [[names.counts.kubernetes.left]])
  counter('vedette_kubernetes_malformed_total',
    'Lines of the Kubernetes API that could not be read; everything was listed again.', [],
    () => [[names.counts.kubernetes.malformed]])
}

function gpuMetrics({ gpus }: MetricSources, counter: Define, gauge: Define): void {
  counter('vedette_gpu_readings_total', 'Readings of the state of GPUs, by what came of them.',
    ['reader', 'result'], () => [...gpus.counts.readers].flatMap(([reader, counts]) =>
      (['ok', 'failed', 'late'] as const).map((result) => [counts[result], { reader, result }])))
  gauge('vedette_gpu_reading_seconds', 'What the last such reading took.', ['reader'],
    () => [...gpus.counts.readers].map(([reader, { seconds }]) => [seconds, { reader }]))
  gauge('vedette_gpu_items', 'Items of the state of GPUs that are kept.', [],
    () => [[gpus.counts.items]])
  counter('vedette_gpu_items_left_total', 'Times that such an item found no room.', [],
    () => [[gpus.counts.left]])
  counter('vedette_gpu_acts_forgotten_total',
    'Acts that could have explained a change and were pushed out by others.', [],
    () => [[gpus.counts.acts_forgotten]])
  counter('vedette_gpu_xids_total', 'Errors of GPUs in the kernel log, told or too many.',
    ['result'], () => (['told', 'refused'] as const).map((result) =>
      [gpus.counts.xids[result], { result }]))
  counter('vedette_gpu_log_lost_total', 'Messages of the kernel overwritten before they were read.',
    [], () => [[gpus.counts.xids.messages_lost]])
}

function storeMetrics({ stores }: MetricSources, counter: Define, gauge: Define): void {
  counter('vedette_artifacts_total', 'Files of artifacts, by what their manifest says of them.',
    ['verdict'], () => (['matches', 'differs', 'not_listed', 'unknown'] as const).map((verdict) =>
      [stores.counts.artifacts[verdict], { verdict }]))
  counter('vedette_artifacts_left_total', 'Times that such a file found no room.', [],
    () => [[stores.counts.artifacts.refused]])
  counter('vedette_artifact_bytes_total', 'Bytes of files of artifacts that were told.', [],
    () => [[stores.counts.artifacts.bytes]])
  gauge('vedette_stores', 'Data stores of the policy, by how they are found on this node.',
    ['state'], () => Object.entries(stores.counts.states)
      .map(([state, count]) => [count, { state }]))
  gauge('vedette_store_roots', 'Folders, files and file systems of stores that are watched.', [],
    () => [[stores.counts.roots]])
  gauge('vedette_store_links', 'Files of stores that have several names.', [],
    () => [[stores.counts.links]])
  gauge('vedette_store_labels', 'Entries about stores in the maps of the probes.', [],
    () => [[stores.counts.labels]])
  gauge('vedette_stores_left', 'What of stores did not fit or was not shown, in the last look.',
    ['what'], () => Object.entries(stores.counts.left).map(([what, count]) => [count, { what }]))
}

function spoolMetrics({ spool }: MetricSources, counter: Define, gauge: Define): void {
  counter('vedette_spool_dropped_total', 'Events that the spool refused.', ['class'],
    () => Object.entries(spool.dropped).map(([name, count]) => [count, { class: name }]))
  gauge('vedette_spool_bytes', 'Bytes in the spool that are not acknowledged.', [],
    () => [[spool.store.waitingBytes]])
  gauge('vedette_spool_disk_bytes', 'Bytes of the spool on disk.', [],
    () => [[spool.store.diskBytes]])
  gauge('vedette_spool_fill_ratio', 'How full the spool is, 0 to 1.', [],
    () => [[spool.store.fill]])
  gauge('vedette_spool_failing', 'Whether the disk of the spool fails.', [],
    () => [[spool.store.problem === undefined ? 0 : 1]])
}

function uplinkMetrics({ uplink }: MetricSources, counter: Define, gauge: Define): void {
  gauge('vedette_uplink_inflight', 'Batches sent and not acknowledged.', [],
    () => [[uplink.inFlight]])
  gauge('vedette_uplink_connected', 'Whether the correlator answers.', [],
    () => [[uplink.connected ? 1 : 0]])
  counter('vedette_uplink_streams_total', 'Streams opened to the correlator.', [],
    () => [[uplink.streams]])
  counter('vedette_uplink_lost_total', 'Stored events that the correlator will never take.', [],
    () => [[uplink.eventsLost]])
}
