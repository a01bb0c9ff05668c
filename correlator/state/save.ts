/** Writes the state of a running correlator as a snapshot. */
import type { CorrelatorSettings } from '../config.ts'
import type { EventLog } from '../event-log.ts'
import type { IncidentLog } from '../incident-log.ts'
import type { Incidents } from '../incidents.ts'
import type { Metrics } from '../metrics.ts'
import type { SequenceTable } from '../ingest/sequences.ts'
import { removeSnapshots, snapshotFolder, writeSnapshot } from './snapshots.ts'

export interface Saving {
  settings: CorrelatorSettings
  /** Last position that went into the engine. */
  position: number
  incidents: Incidents
  incidentLog: IncidentLog
  sequences: SequenceTable
  log: EventLog
  metrics: Metrics
}

/** Rejects with the error of the file system; then the old snapshots are as they were. */
export async function saveState(saving: Saving): Promise<void> {
  const { settings, position, incidents, incidentLog, sequences, log, metrics } = saving
  const dir = snapshotFolder(settings)
  // A restart goes on behind the snapshot: what came before must not be missing in the incidents.
  try {
    await incidentLog.sync()
    await writeSnapshot(dir, {
      version: 1, position, engine: incidents.engine.snapshot(), sequences: sequences.stored(),
      policy_sha256: incidents.policySha256,
    })
    removeSnapshots(dir, log.first)
  } catch (error) {
    metrics.snapshotFailures.inc()
    throw error
  }
}
