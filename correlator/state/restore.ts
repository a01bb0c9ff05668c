/** The start: the newest usable snapshot, then the rest of the event log over it. */
import { setImmediate } from 'node:timers/promises'
import type { Detector } from '../../detect/detector.ts'
import { Engine } from '../../detect/engine.ts'
import { decodeBatch } from '../../proto/batch.ts'
import { BatchCursor } from '../../proto/batch-cursor.ts'
import type { CorrelatorSettings } from '../config.ts'
import { startOfRun } from '../ingest/conservation.ts'
import { messageOf } from '../errors.ts'
import { batchMemory } from '../event-log.ts'
import type { EventLog, LoggedBatch } from '../event-log.ts'
import type { Metrics } from '../metrics.ts'
import { SequenceTable } from '../ingest/sequences.ts'
import type { Snapshot } from './snapshots.ts'
import { readSnapshot, snapshotFolder, snapshotPositions } from './snapshots.ts'

/** State at a position of the event log. */
export interface Restored {
  engine: Engine
  sequences: SequenceTable
  position: number
  policySha256: string
}

export interface RestoreOptions {
  settings: CorrelatorSettings
  detectors: readonly Detector[]
  log: EventLog
  metrics: Metrics
  report(line: string): void
}

/** The state of the newest snapshot that can be used; the empty state when there is none. */
export function restoreSnapshot(options: RestoreOptions): Restored {
  const { settings, detectors, log, metrics, report } = options
  const dir = snapshotFolder(settings)
  for (const position of snapshotPositions(dir)) {
    if (position > log.synced) continue
    try {
      const snapshot: Snapshot = readSnapshot(dir, position)
      if (position < log.first - 1) {
        report(`snapshot at ${position}: the event log goes on at ${log.first}; what was between `
          + 'is missing in the incidents')
      }
      return {
        engine: Engine.restore(snapshot.engine, { detectors }),
        sequences: new SequenceTable(settings.nodes_max, snapshot.sequences),
        position, policySha256: snapshot.policy_sha256,
      }
    } catch (error) {
      metrics.snapshotFailures.inc()
      report(`snapshot at ${position}: ${messageOf(error)}`)
    }
  }
  return {
    engine: new Engine({ detectors }), sequences: new SequenceTable(settings.nodes_max),
    position: 0, policySha256: '',
  }
}

/** Reads the log behind the snapshot; gives every batch to the sequences and to `next`. */
export async function readTail(
  { log, report }: Pick<RestoreOptions, 'log' | 'report'>, restored: Restored,
  next: (logged: LoggedBatch) => void,
): Promise<void> {
  const cursor = new BatchCursor()
  const onProblem = (problem: { segment: string, what: string, action: string }): void =>
    report(`event log: ${problem.segment}: ${problem.what}. ${problem.action}`)
  for (const { position, payload } of log.read({ from: restored.position + 1, onProblem })) {
    try {
      const batch = decodeBatch(payload)
      const logged = { position, batch, bytes: batchMemory(batch) }
      noteStored(restored.sequences, cursor, logged, { logFirst: log.first, nowMs: 0 })
      next(logged)
    } catch (error) {
      report(`event log: batch ${position}: ${messageOf(error)}`)
    }
    await setImmediate()
  }
}

/**
 * Notes a durable batch.
 *
 * @param log.logFirst oldest position of the event log: what a node sent before it may have left
 * @param log.nowMs clock of the correlator; 0 while an old log is read
 */
export function noteStored(
  sequences: SequenceTable, cursor: BatchCursor, { batch, position }: LoggedBatch,
  { logFirst, nowMs }: { logFirst: number, nowMs: number },
): void {
  const { envelope } = batch
  const unknown = (sequences.of(envelope.node_id, envelope.boot_id)?.stored_seq ?? 0) === 0
  const explained = (unknown && logFirst > 1) || startOfRun(cursor, batch) === envelope.first_seq
  sequences.noteStored(envelope, position, explained, nowMs)
}
