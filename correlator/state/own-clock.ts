/**
 * Time goes on, also when no node says anything: what the detectors hold back for a moment must not
 * wait for the next event. The correlator writes one of its own then, so that a replay waits as
 * long.
 */
import { performance } from 'node:perf_hooks'
import { LogError } from '../../log/errors.ts'
import type { EventLog } from '../event-log.ts'
import type { Incidents } from '../incidents.ts'
import type { SequenceTable } from '../ingest/sequences.ts'
import { appendOwn } from '../policy/own-batch.ts'

export interface OwnClockParts {
  incidents: Incidents
  log: EventLog
  sequences: SequenceTable
}

const LOOK_MS = 200
/** Events of nodes are on their way for so long: mostly one of them comes by then. */
const SLACK_MS = 300

/** Runs until `stop`. */
export class OwnClock {
  readonly #parts: OwnClockParts
  readonly #timer: NodeJS.Timeout
  #watermarkMs = 0
  /** When the watermark was seen to move, by the clock of this process. */
  #movedMs = 0
  #written = 0

  constructor(parts: OwnClockParts) {
    this.#parts = parts
    this.#timer = setInterval(() => this.#look(), LOOK_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const { incidents, log } = this.#parts
    const { watermarkMs, dueMs } = incidents.engine
    const nowMs = performance.now()
    if (watermarkMs !== this.#watermarkMs) {
      this.#watermarkMs = watermarkMs
      this.#movedMs = nowMs
    }
    // Not the time of day: the clock of a node may be ahead, or what comes may be hours old.
    const timeMs = watermarkMs + nowMs - this.#movedMs
    if (timeMs < dueMs + SLACK_MS || watermarkMs === 0) return
    if (incidents.pending > 0 || incidents.position < this.#written || log.trouble !== null) return
    const values = {
      resident_bytes: process.memoryUsage.rss(), cpu_ms: Math.round(process.cpuUsage().user / 1000),
    }
    try {
      this.#written = appendOwn(this.#parts, [{ kind: 'heartbeat', values }], timeMs)
    } catch (error) {
      // The log says what is wrong with it.
      if (!(error instanceof LogError)) throw error
    }
  }
}
