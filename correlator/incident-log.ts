/**
 * Incidents as they were raised live: a second log, of canonical JSON, with the same hash chain.
 * Every change of an incident is a frame; the newest frame of an incident is its state.
 */
import { join } from 'node:path'
import { canonicalJson } from '../detect/incident.ts'
import type { Incident, IncidentUpdate } from '../detect/incident.ts'
import { LogReader } from '../log/cursor.ts'
import { openLog } from '../log/writer.ts'
import type { LogWriter } from '../log/writer.ts'
import { originOf } from './alert/alert-body.ts'
import type { AlertOrigin } from './alert/alert-body.ts'
import type { CorrelatorSettings } from './config.ts'

/** Where the newest state of an incident stands. */
export interface IncidentPlace {
  incident_id: string
  state: Incident['state']
  severity: Incident['severity']
  /** Position in the incident log. */
  place: number
  origin: AlertOrigin
}

/** Incidents that can be asked for. Older ones stay in the log until retention. */
const PLACES_MAX = 10_000

/** The incident log of one correlator. */
export class IncidentLog {
  readonly #log: LogWriter
  readonly #reader: LogReader
  // In the order of opening.
  readonly #places = new Map<string, IncidentPlace>()
  #unsynced: { update: IncidentUpdate, place: number }[] = []
  /** Position in the event log of the newest update, and how many updates there came of it. */
  #last = { position: 0, count: 0 }

  /** Opens or makes `<data>/incidents`. Throws LogError. */
  constructor(settings: CorrelatorSettings, report: (line: string) => void) {
    const dir = join(settings.data, 'incidents')
    this.#log = openLog(dir, {
      segmentBytesMax: Math.min(settings.segment_bytes_max, settings.incidents_bytes_max),
      bytesMax: settings.incidents_bytes_max,
      whenFull: 'remove_oldest',
      nowMs: Date.now,
      onProblem: (error) => report(`incident log: ${error.message}`),
    })
    this.#reader = new LogReader(dir)
    const onProblem = (problem: { segment: string, what: string, action: string }): void =>
      report(`incident log: ${problem.segment}: ${problem.what}. ${problem.action}`)
    for (const { position: place, payload } of this.#reader.read({ onProblem })) {
      const update = parseUpdate(payload)
      this.#noteLast(update.position)
      this.#note(update, place)
    }
  }

  /** Incidents whose state can be read, in the order of opening. */
  get places(): IncidentPlace[] { return [...this.#places.values()] }

  /** Position in the event log of the newest update that is here; 0 for none. */
  get lastPosition(): number { return this.#last.position }

  /**
   * Appends updates in order. Those that are here already, from before a restart, are left out;
   * gives the others. They are durable after `sync`.
   *
   * @param position of the batch that all of them came of
   */
  append(position: number, updates: readonly IncidentUpdate[]): IncidentUpdate[] {
    const there = position < this.#last.position ? updates.length
      : position === this.#last.position ? this.#last.count : 0
    const fresh = updates.slice(there)
    for (const update of fresh) {
      const place = this.#log.append(Buffer.from(canonicalJson(update)))
      this.#unsynced.push({ update, place })
      this.#noteLast(position)
    }
    return fresh
  }

  /** Makes all updates durable. Rejects with LogError; then a later call tries again. */
  async sync(): Promise<void> {
    if (this.#unsynced.length === 0) return
    await this.#log.sync()
    for (const { update, place } of this.#unsynced.splice(0)) this.#note(update, place)
  }

  /** How many incidents are open, by severity. */
  openBySeverity(): Record<string, number> {
    const open: Record<string, number> = {}
    for (const { state, severity } of this.#places.values()) {
      if (state === 'open') open[severity] = (open[severity] ?? 0) + 1
    }
    return open
  }

  /** What the incident began with; null when it is not known any longer. */
  originOf(incidentId: string): AlertOrigin | null {
    return this.#places.get(incidentId)?.origin ?? null
  }

  /** The newest state of an incident; null when retention took it. */
  read(place: number): Incident | null {
    const [entry] = this.#reader.read({ from: place, to: place, onProblem: () => {} })
    return entry === undefined ? null : parseUpdate(entry.payload).incident
  }

  async close(): Promise<void> {
    await this.#log.close()
  }

  #noteLast(position: number): void {
    const count = position === this.#last.position ? this.#last.count + 1 : 1
    this.#last = { position, count }
  }

  #note(update: IncidentUpdate, place: number): void {
    const { incident_id, state, severity } = update.incident
    const known = this.#places.get(incident_id)
    if (known !== undefined) {
      known.state = state
      known.severity = severity
      known.place = place
      return
    }
    if (this.#places.size >= PLACES_MAX) this.#forgetOne()
    const origin = originOf(update.incident)
    this.#places.set(incident_id, { incident_id, state, severity, place, origin })
  }

  #forgetOne(): void {
    const all = this.#places.values()
    const leaving = all.find(({ state }) => state === 'closed') ?? this.places[0]
    this.#places.delete(leaving.incident_id)
  }
}

function parseUpdate(payload: Buffer): IncidentUpdate {
  return JSON.parse(payload.toString('utf8')) as IncidentUpdate
}
