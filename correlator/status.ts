/** What the parts of a correlator say of themselves: for metrics, /readyz and Query.Status. */
import { formatTime } from '../proto/event-json.ts'
import type { Alerts } from './alert/alertmanager.ts'
import type { EventLog } from './event-log.ts'
import type { IncidentLog } from './incident-log.ts'
import type { Incidents } from './incidents.ts'
import type { Ingest } from './ingest.ts'
import { VERSION } from './metrics.ts'
import type { Metrics } from './metrics.ts'
import type { ClusterNames } from './names/cluster-names.ts'
import { OWN_NODE_ID } from './policy/own-batch.ts'
import type { SequenceTable } from './ingest/sequences.ts'

/** The parts that a status tells of. */
export interface StatusParts {
  log: EventLog
  incidents: Incidents
  ingest: Ingest
  sequences: SequenceTable
  incidentLog: IncidentLog
  /** Undefined outside of Kubernetes. */
  names: ClusterNames | undefined
}

/** Why the correlator cannot do its work now; empty when it can. */
export function notReady(log: EventLog, incidents: Incidents): string[] {
  return [log.trouble, incidents.trouble]
    .flatMap((trouble) => trouble === null ? [] : [trouble.message])
}

/** Lets the metrics read the parts. */
export function observeParts(
  metrics: Metrics, parts: StatusParts & { alerts: Alerts, query: { open: number } },
): void {
  const { log, incidents, ingest, sequences, incidentLog, alerts, query, names } = parts
  const { engine } = incidents
  metrics.observe({
    logBytes: () => log.bytes,
    logFirst: () => log.first,
    removedBatches: () => log.removedBatches,
    logSynced: () => log.synced,
    storing: () => notReady(log, incidents).length === 0,
    inFlightBytes: () => log.inFlightBytes,
    detectionPending: () => incidents.pending,
    detectionFailures: () => incidents.failures,
    streams: () => ingest.streams,
    missingEvents: () => sequences.all().reduce((sum, { missing }) => sum + missing, 0),
    sequencesForgotten: () => sequences.forgotten,
    openIncidents: () => incidentLog.openBySeverity(),
    counters: () => engine.counters(),
    watermarkMs: () => engine.watermarkMs,
    queries: () => query.open,
    alertsPending: () => alerts.pending,
    names: () => names?.counts,
  })
}

/** JSON lines. `component` is `correlator` in the first, `agent` in the others. */
export function statusLines(parts: StatusParts): string[] {
  const { log, incidents, ingest, sequences, names } = parts
  const counts = names?.counts
  const troubles = notReady(log, incidents)
  const correlator = {
    component: 'correlator', version: VERSION,
    log_bytes: log.bytes, log_first: log.first, log_last: log.synced, chain_head: log.chainHead,
    detected_position: incidents.position, watermark: timeOf(incidents.engine.watermarkMs),
    incidents_open: incidents.engine.openIncidents, policy_sha256: incidents.policySha256,
    streams: ingest.streams, storing: troubles.length === 0, trouble: troubles.join(' '),
    // Absent outside of Kubernetes.
    ...(counts && {
      names_known: counts.known, names_left: counts.left + counts.unwritten,
      names_waiting: counts.waiting,
    }),
  }
  const boots = sequences.all()
    .filter(({ stored_seq, node_id }) => stored_seq > 0 && node_id !== OWN_NODE_ID)
  const nodes = boots.map((one) => ({
    component: 'agent', node_id: one.node_id, boot_id: one.boot_id,
    connected: ingest.connected(one.node_id), acked_seq: one.stored_seq, events: one.events,
    missing_events: one.missing, last_event: timeOf(one.last_event_ms),
    last_received: timeOf(one.received_ms), last_position: one.position,
  }))
  return [correlator, ...nodes].map((line) => JSON.stringify(line))
}

// Empty for "never".
function timeOf(ms: number): string {
  return ms > 0 && Number.isFinite(ms) ? formatTime(BigInt(Math.floor(ms)) * 1_000_000n) : ''
}
