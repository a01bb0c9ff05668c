/** How the stages hand on what happens, from the sync of a batch to the alert. */
import { BatchCursor } from '../../proto/batch-cursor.ts'
import type { IncidentUpdate } from '../../detect/incident.ts'
import type { Alerts } from '../alert/alertmanager.ts'
import { originOf } from '../alert/alert-body.ts'
import type { EventLog } from '../event-log.ts'
import type { IncidentLog } from '../incident-log.ts'
import type { Incidents } from '../incidents.ts'
import { StoredCounter } from '../metrics.ts'
import type { Metrics } from '../metrics.ts'
import type { IncidentFeed } from '../query/incidents.ts'
import type { Signal } from '../query/follow.ts'
import { lastEventMs } from '../ingest/sequences.ts'
import type { SequenceTable } from '../ingest/sequences.ts'
import { noteStored } from './restore.ts'

/** What a durable batch goes through. */
export interface Delivery {
  log: EventLog
  incidents: Incidents
  sequences: SequenceTable
  stored: Signal
  metrics: Metrics
  acknowledge(): void
}

/** Connects the event log with all that waits for durable batches. */
export function deliverStored(
  { log, incidents, sequences, stored, metrics, acknowledge }: Delivery,
): void {
  const counter = new StoredCounter(metrics)
  const cursor = new BatchCursor()
  let segment = log.segmentFirst
  log.deliverTo({
    onStored: (logged) => {
      const { envelope } = logged.batch
      const nowMs = Date.now()
      noteStored(sequences, cursor, logged, { logFirst: log.first, nowMs })
      counter.count(logged.batch, lastEventMs(envelope), nowMs)
      incidents.push(logged)
    },
    onSynced: () => {
      acknowledge()
      stored.fire()
      if (log.segmentFirst === segment) return
      // The detectors have not come to the new segment yet: they are called later.
      segment = log.segmentFirst
      incidents.snapshotBefore(segment)
    },
  })
}

/** Who is told of incidents. */
export interface Audience {
  incidentLog: IncidentLog
  feed: IncidentFeed
  alerts: Alerts
  metrics: Metrics
}

/** Tells everyone of durable updates. */
export function tellUpdates(
  updates: readonly IncidentUpdate[], { incidentLog, feed, alerts, metrics }: Audience,
): void {
  for (const { change, incident } of updates) {
    metrics.incidents.inc({ change })
    const origin = incidentLog.originOf(incident.incident_id) ?? originOf(incident)
    alerts.update(incident, origin, change === 'opened')
  }
  feed.publish(updates)
}

/** Closed incidents of the last hour are sent as resolved: the run before may not have done it. */
const RESOLVE_AGAIN_MS = 3_600_000

/** Sends what was open, or had just ended, when the run before ended. */
export function sendRestored(incidentLog: IncidentLog, alerts: Alerts): void {
  const since = Date.now() - RESOLVE_AGAIN_MS
  for (const { place, origin } of incidentLog.places) {
    const incident = incidentLog.read(place)
    if (incident === null) continue
    const open = incident.state === 'open'
    if (open || Date.parse(incident.closed_at ?? '') > since) alerts.update(incident, origin, false)
  }
}
