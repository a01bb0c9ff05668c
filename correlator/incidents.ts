/**
 * Stages 9 and 10, live: durable batches go through the detectors in log order, and what comes of
 * them into the incident log. It is a function of the event log: a restart, wherever it happens,
 * leaves no trace in the incidents.
 */
import type { Engine } from '../detect/engine.ts'
import type { IncidentUpdate } from '../detect/incident.ts'
import { LogError } from '../log/errors.ts'
import { messageOf } from './errors.ts'
import { RETRY_MS } from './event-log.ts'
import type { LoggedBatch } from './event-log.ts'
import type { IncidentLog } from './incident-log.ts'

export interface IncidentsOptions {
  engine: Engine
  log: IncidentLog
  /** Position of the last batch that went into the engine. */
  position: number
  /** SHA-256 of the last policy_applied that went in, hex; empty for none. */
  policySha256: string
  /** The detectors are done with this batch. */
  release(logged: LoggedBatch): void
  /** Told of updates when they are durable, never twice. */
  onUpdates(updates: readonly IncidentUpdate[]): void
  /** Writes the state down: everything up to `position` went in. */
  snapshot(position: number): Promise<void>
  report(line: string): void
}

/** Batches between two looks at the disk: updates of so many share a sync. */
const GROUP_MAX = 16

/** Feeds the engine of one correlator. */
export class Incidents {
  readonly engine: Engine
  position: number
  policySha256: string
  /** Batches at which the engine threw. */
  failures = 0
  /** Why incidents cannot be stored now; null when all is well. */
  trouble: LogError | null = null
  readonly #options: IncidentsOptions
  #pending: LoggedBatch[] = []
  #running: Promise<void> | null = null
  #snapshotBefore = 0
  #savedAt: number
  #stopped = false

  constructor(options: IncidentsOptions) {
    this.#options = options
    this.engine = options.engine
    this.position = options.position
    this.#savedAt = options.position
    this.policySha256 = options.policySha256
  }

  /** Batches that the engine has not seen yet. */
  get pending(): number { return this.#pending.length }

  /** Takes a durable batch. In log order, without holes. */
  push(logged: LoggedBatch): void {
    this.#pending.push(logged)
    this.#running ??= this.#run()
  }

  /** Asks for a snapshot right before the batch at `position` goes in. */
  snapshotBefore(position: number): void {
    this.#snapshotBefore = position
  }

  /**
   * Puts one batch through the engine and the incident log, without making that durable. Gives the
   * updates that are new. Used directly only while the log is read again at the start.
   */
  ingest({ position, batch }: LoggedBatch): IncidentUpdate[] {
    this.position = position
    let updates: IncidentUpdate[]
    try {
      updates = this.engine.ingest(batch, position)
    } catch (error) {
      // A bug of ours. Stopping would mean to stop here again after every restart.
      this.failures++
      const where = (error as Error).stack ?? String(error)
      this.#options.report(`detectors: batch ${position}: ${where}`)
      return []
    }
    const applied = batch.columns.policy_applied
    if (applied !== undefined) {
      this.policySha256 = batch.strings[applied.sha256[applied.rows - 1]] ?? ''
    }
    return updates.length === 0 ? [] : this.#options.log.append(position, updates)
  }

  /** Writes the state down unless nothing has happened since the last time. */
  async snapshotNow(): Promise<void> {
    if (this.trouble === null && this.position > this.#savedAt) await this.#snapshot(this.position)
  }

  /** Waits until everything that was pushed is done. */
  async settled(): Promise<void> {
    while (this.#running !== null) await this.#running
  }

  /** Ends the attempts to store; what is not stored comes again from the event log. */
  async stop(): Promise<void> {
    if (this.trouble !== null) this.#stopped = true
    await this.settled()
  }

  async #run(): Promise<void> {
    while (this.#pending.length > 0 && !this.#stopped) {
      const updates: IncidentUpdate[] = []
      for (let i = 0; i < GROUP_MAX && this.#pending.length > 0; i++) {
        // Acks and other work come in between: one batch is some milliseconds.
        await new Promise(setImmediate)
        const logged = this.#pending[0]
        if (logged.position === this.#snapshotBefore) await this.#snapshot(logged.position - 1)
        this.#pending.shift()
        updates.push(...this.ingest(logged))
        this.#options.release(logged)
        if (updates.length > 0) break
      }
      if (updates.length === 0) continue
      await this.#store()
      if (!this.#stopped) this.#options.onUpdates(updates)
    }
    this.#running = null
  }

  async #store(): Promise<void> {
    const { log, report } = this.#options
    for (;;) {
      try {
        await log.sync()
        if (this.trouble !== null) report('incident log: incidents are stored again')
        this.trouble = null
        return
      } catch (error) {
        if (!(error instanceof LogError)) throw error
        if (this.trouble === null) report(`incident log: ${error.message}`)
        this.trouble = error
      }
      if (this.#stopped) return
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }

  async #snapshot(position: number): Promise<void> {
    this.#snapshotBefore = 0
    try {
      await this.#options.snapshot(position)
      this.#savedAt = position
    } catch (error) {
      this.#options.report(`snapshot at ${position}: ${messageOf(error)}; the next one is made `
        + 'with the next segment')
    }
  }
}
