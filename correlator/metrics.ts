/** The numbers of one correlator, in a registry of its own. Names: design section 10. */
import { readFileSync } from 'node:fs'
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { EngineCounters } from '../detect/engine-counters.ts'
import type { Batch } from '../proto/batch.ts'
import { kindInfos } from '../proto/gen/events.ts'
import type { RefusalCode } from './grpc.ts'
import type { NameCounts } from './names/cluster-names.ts'
import { OWN_NODE_ID } from './policy/own-batch.ts'

/** Values that are read when somebody asks. */
export interface MetricSources {
  logBytes(): number
  logFirst(): number
  logSynced(): number
  inFlightBytes(): number
  detectionPending(): number
  streams(): number
  storing(): boolean
  missingEvents(): number
  sequencesForgotten(): number
  removedBatches(): number
  detectionFailures(): number
  /** Open incidents by severity. */
  openIncidents(): Record<string, number>
  counters(): EngineCounters
  watermarkMs(): number
  queries(): number
  alertsPending(): number
  /** Undefined outside of Kubernetes. */
  names(): NameCounts | undefined
}

const REFUSALS: RefusalCode[] = [
  'wrong_node', 'malformed_batch', 'batch_too_large', 'disk_full', 'busy', 'protocol_version',
  'sequence',
]
const SEVERITIES = ['low', 'medium', 'high', 'critical']
/** Nodes with a series of their own; the product is meant for a few thousand. */
const NODE_LABELS_MAX = 4096
const kindOfNumber = new Map(kindInfos.map(({ number, kind }) => [number, kind]))

export const VERSION: string = (JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version

export type Metrics = ReturnType<typeof createMetrics>

/** All metrics of a correlator; `observe` connects those that are read from its parts. */
export function createMetrics() {
  const registry = new Registry()
  const counter = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
    new Counter<L>({ name, help, labelNames, registers: [registry] })
  const gauge = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
    new Gauge<L>({ name, help, labelNames, registers: [registry] })
  // Finer would wake the process a hundred times a second for one figure.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 1000 })
  // promtool: non-counter metrics should not have "_total" suffix.
  for (const name of ['handles', 'requests', 'resources']) {
    registry.removeSingleMetric(`nodejs_active_${name}_total`)
  }
  const build = gauge('vedette_build_info', 'Always 1; the labels say what runs.',
    ['component', 'version', 'node_version'])
  build.set({ component: 'correlator', version: VERSION, node_version: process.version }, 1)
  const metrics = {
    registry,
    refused: counter('vedette_ingest_refused_total', 'Batches and streams refused.', ['reason']),
    batchesReceived: counter('vedette_ingest_received_total', 'Batches received.'),
    batches: counter('vedette_ingest_batches_total', 'Batches stored.'),
    batchesDuplicate: counter('vedette_ingest_duplicate_batches_total',
      'Batches that came again and were not stored again.'),
    streamsReplaced: counter('vedette_ingest_streams_replaced_total',
      'Streams ended because the same node opened a newer one.'),
    events: counter('vedette_log_events_total', 'Events stored.', ['kind']),
    nodeEvent: gauge('vedette_node_last_event_timestamp_seconds',
      'Time of the newest event of a node, by the clock of the node.', ['node']),
    nodeReceived: gauge('vedette_node_last_received_timestamp_seconds',
      'When a batch of a node was last stored, by the clock of the correlator.', ['node']),
    labelOverflow: counter('vedette_metrics_label_overflow_total',
      'Values without a series of their own because there are too many.', ['metric']),
    foreignNames: counter('vedette_names_foreign_total',
      'Addresses of which an agent told that is not on their node; they are believed.'),
    snapshotFailures: counter('vedette_snapshot_failures_total', 'Snapshots not written or read.'),
    policy: gauge('vedette_policy_info', 'Always 1; the policy in force.', ['sha256']),
    policyFailures: counter('vedette_policy_reload_failures_total',
      'Changed policy files that could not be used; the old policy stayed in force.'),
    incidents: counter('vedette_incidents_total', 'Changes of incidents.', ['change']),
    alertsSent: counter('vedette_alerts_sent_total', 'Alerts that an Alertmanager took.',
      ['alertmanager']),
    alertsUndelivered: counter('vedette_alerts_undelivered_total',
      'Alerts given up: rejected, too long retried, or the outbox was full.', ['alertmanager']),
    alertFailures: counter('vedette_alert_post_failures_total',
      'Posts to Alertmanager that failed and were tried again.', ['alertmanager']),
    alertLatency: new Histogram({
      name: 'vedette_alert_latency_seconds', registers: [registry],
      help: 'From the event that opened an incident to Alertmanager having it.',
      buckets: [0.001, 0.01, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    }),
    readersRefused: counter('vedette_query_refused_total',
      'Queries with a certificate that may not read.'),
    missedByFollowers: counter('vedette_query_missed_batches_total',
      'Batches left out for followers that read too slowly.'),
  }
  for (const reason of REFUSALS) metrics.refused.inc({ reason }, 0)
  for (const change of ['opened', 'updated', 'closed']) metrics.incidents.inc({ change }, 0)
  return { ...metrics, observe: (sources: MetricSources) => observe(registry, sources) }
}

function observe(registry: Registry, sources: MetricSources): void {
  const read = (name: string, help: string, value: () => number) => new Gauge({
    name, help, registers: [registry], collect() { this.set(value()) },
  })
  const readTotal = (name: string, help: string, value: () => number) => new Counter({
    name, help, registers: [registry], collect() { this.reset(); this.inc(value()) },
  })
  read('vedette_log_bytes', 'Bytes of the event log on disk.', sources.logBytes)
  read('vedette_log_first_position', 'Oldest batch in the event log.', sources.logFirst)
  read('vedette_log_synced_position', 'Newest durable batch in the event log.', sources.logSynced)
  read('vedette_log_storing', '1 while batches can be stored, 0 while the disk refuses.',
    () => Number(sources.storing()))
  read('vedette_ingest_streams', 'Streams of agents that are open.', sources.streams)
  read('vedette_ingest_waiting_bytes', 'Memory of batches on their way to the detectors.',
    sources.inFlightBytes)
  read('vedette_detection_pending_batches', 'Stored batches that the detectors have not seen yet.',
    sources.detectionPending)
  read('vedette_log_missing_events', 'Events that nodes left out without an explanation.',
    sources.missingEvents)
  read('vedette_watermark_timestamp_seconds', 'Newest event time that the detectors have seen.',
    () => sources.watermarkMs() / 1000)
  read('vedette_query_open', 'Queries that are being answered or followed.', sources.queries)
  read('vedette_alerts_pending', 'Alerts that wait for an Alertmanager.', sources.alertsPending)
  readTotal('vedette_ingest_sequences_forgotten_total',
    'Boots of nodes forgotten because there were too many.', sources.sequencesForgotten)
  readTotal('vedette_log_removed_batches_total', 'Batches that left by retention.',
    sources.removedBatches)
  readTotal('vedette_detection_failures_total', 'Batches at which the detectors failed.',
    sources.detectionFailures)
  const names = (of: keyof NameCounts) => () => sources.names()?.[of] ?? 0
  read('vedette_kubernetes_objects', 'Objects of the Kubernetes API that are known.',
    names('known'))
  readTotal('vedette_kubernetes_left_total', 'Times that such an object did not fit.',
    names('left'))
  readTotal('vedette_kubernetes_malformed_total',
    'Lines of the Kubernetes API that could not be read; everything was listed again.',
    names('malformed'))
  read('vedette_names_waiting', 'Names of addresses that wait to be written into the log.',
    names('waiting'))
  readTotal('vedette_names_unwritten_total', 'Names left out because too many waited.',
    names('unwritten'))
  observeEngine(registry, sources)
}

function observeEngine(registry: Registry, sources: MetricSources): void {
  const byDetector = (
    name: string, help: string, values: (counters: EngineCounters) => Record<string, number>,
  ) => new Counter({
    name, help, labelNames: ['detector'], registers: [registry],
    collect() {
      this.reset()
      for (const [detector, count] of Object.entries(values(sources.counters()))) {
        this.inc({ detector }, count)
      }
    },
  })
  new Gauge({
    name: 'vedette_incidents_open', help: 'Incidents that are open.', labelNames: ['severity'],
    registers: [registry],
    collect() {
      const open = sources.openIncidents()
      for (const severity of SEVERITIES) this.set({ severity }, open[severity] ?? 0)
    },
  })
  byDetector('vedette_detector_evictions_total',
    'Keys that a detector forgot because it had too many.', ({ evictions }) => evictions)
  byDetector('vedette_findings_total', 'Findings.', ({ findings }) => findings)
  byDetector('vedette_findings_muted_total', 'Findings muted by the policy.', ({ muted }) => muted)
  new Gauge({
    name: 'vedette_engine_processes', help: 'Processes that the engine remembers.',
    registers: [registry], collect() { this.set(sources.counters().processes) },
  })
  new Counter({
    name: 'vedette_engine_evictions_total', labelNames: ['table'], registers: [registry],
    help: 'Entries that the engine forgot because it had too many.',
    collect() {
      const counters = sources.counters()
      this.reset()
      this.inc({ table: 'processes' }, counters.process_evictions)
      this.inc({ table: 'sources' }, counters.source_evictions)
      this.inc({ table: 'pairing' }, counters.pairing_evictions)
      this.inc({ table: 'origins' }, counters.origins_forgotten)
      this.inc({ table: 'paths' }, counters.paths_unsearched)
      this.inc({ table: 'names' }, counters.name_evictions)
      this.inc({ table: 'gpus' }, counters.gpu_evictions)
      this.inc({ table: 'gpu_items' }, counters.gpu_items_left)
      this.inc({ table: 'stores' }, counters.store_evictions)
      this.inc({ table: 'store_names' }, counters.stores_refused)
      this.inc({ table: 'incidents' }, counters.incidents_aged_out)
      this.inc({ table: 'findings' }, counters.findings_unlisted)
      this.inc({ table: 'amendments' }, counters.amendments_lost)
      this.inc({ table: 'incident_holds' }, counters.incident_holds_cut)
    },
  })
}

type Named = Pick<Batch, 'envelope' | 'strings' | 'columns'>

/** Counts a stored batch by kind and node. `nowMs`: clock of the correlator. */
export class StoredCounter {
  readonly #metrics: Metrics
  readonly #nodes = new Set<string>()

  constructor(metrics: Metrics) {
    this.#metrics = metrics
  }

  count(batch: Named, lastEventMs: number, nowMs: number): void {
    const { envelope } = batch
    const { batches, events, nodeEvent, nodeReceived, labelOverflow } = this.#metrics
    batches.inc()
    envelope.kinds.forEach((number, index) => {
      events.inc({ kind: kindOfNumber.get(number) ?? 'unknown' }, envelope.kind_counts[index])
    })
    const { node_id: node } = envelope
    // Its silence means nothing: it speaks when the policy changes.
    if (node === OWN_NODE_ID) return
    this.#countForeign(batch)
    if (!this.#nodes.has(node)) {
      if (this.#nodes.size >= NODE_LABELS_MAX) {
        labelOverflow.inc({ metric: 'vedette_node_last_event_timestamp_seconds' })
        return
      }
      this.#nodes.add(node)
    }
    nodeEvent.set({ node }, lastEventMs / 1000)
    nodeReceived.set({ node }, nowMs / 1000)
  }

  /** Names that an agent told although they are not of its node. */
  #countForeign({ envelope, strings, columns: { address_seen: seen } }: Named): void {
    if (seen === undefined) return
    const foreign = seen.on_node.subarray(0, seen.rows)
      .filter((place) => strings[place] !== envelope.node_id).length
    this.#metrics.foreignNames.inc(foreign)
  }
}
