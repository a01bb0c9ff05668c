/** Query.Incidents: the newest state of each, and then, when asked, what changes. */
import type { ServerWritableStream } from '@grpc/grpc-js'
import { canonicalJson } from '../../detect/incident.ts'
import type { Incident, IncidentUpdate } from '../../detect/incident.ts'
import type { IncidentsRequest, JsonLines } from '../grpc.ts'
import type { IncidentLog } from '../incident-log.ts'
import type { Signal } from './follow.ts'
import { writeLines } from './follow.ts'

type Call = ServerWritableStream<IncidentsRequest, JsonLines>

/** Followers of incidents: who reads slowly gets the newest state of each, not all states. */
export class IncidentFeed {
  readonly #log: IncidentLog
  readonly #changed: Signal
  readonly #followers = new Set<Map<string, Incident>>()

  constructor(log: IncidentLog, changed: Signal) {
    this.#log = log
    this.#changed = changed
  }

  /** Tells the followers; at most one state of each incident waits for a follower. */
  publish(updates: readonly IncidentUpdate[]): void {
    for (const changes of this.#followers) {
      for (const { incident } of updates) changes.set(incident.incident_id, incident)
    }
    this.#changed.fire()
  }

  /** The id that a beginning of it means, or why there is none. */
  resolve(prefix: string): { id: string } | { problem: 'unknown' | 'ambiguous', message: string } {
    if (prefix === '') return { id: '' }
    const all = this.#log.places.map(({ incident_id }) => incident_id)
    const found = all.filter((id) => id.startsWith(prefix))
    if (found.length === 1 || found.includes(prefix)) {
      return { id: found.includes(prefix) ? prefix : found[0] }
    }
    if (found.length === 0) {
      const message = `no incident begins with ${JSON.stringify(prefix.slice(0, 64))}; `
        + '`vedette incidents` lists them'
      return { problem: 'unknown', message }
    }
    const some = found.slice(0, 8).join(', ')
    return { problem: 'ambiguous', message: `${found.length} incidents begin so: ${some}; say more` }
  }

  /** Answers a request whose id was resolved. */
  async answer(call: Call, id: string): Promise<void> {
    const { state, follow } = call.request
    const wanted = (incident: Incident): boolean =>
      (id === '' || incident.incident_id === id) && (state === '' || incident.state === state)
    const changes = new Map<string, Incident>()
    if (follow) this.#followers.add(changes)
    try {
      for (const place of this.#log.places) {
        if (id !== '' && place.incident_id !== id) continue
        if (state !== '' && place.state !== state) continue
        const incident = this.#log.read(place.place)
        if (incident !== null && !await writeLines(call, [canonicalJson(incident)])) return
      }
      while (follow) {
        const news = this.#changed.next(call)
        const lines = [...changes.values()].filter(wanted).map((one) => canonicalJson(one))
        changes.clear()
        if (!await writeLines(call, lines)) return
        if (changes.size === 0) await news
        if (call.cancelled || call.destroyed) return
      }
    } finally {
      this.#followers.delete(changes)
    }
  }
}
