/** Query.Incidents: the newest state of each, and then, when asked, what changes. */
import type { ServerWritableStream } from '@grpc/grpc-js'
import { canonicalJson } from '../../detect/incident.ts'
import type { Incident, IncidentUpdate } from '../../detect/incident.ts'
import type { IncidentsRequest, JsonLines } from '../grpc.ts'
import type { IncidentLog } from '../incident-log.ts'
import type { Signal } from './follow.ts'
import { writeLines } from './follow.ts'

type Call = ServerWritableStream<IncidentsRequest, JsonLines>

/** Incidents whose newest state may wait for one follower. */
const CHANGES_MAX = 10_000

interface Follower {
  /** Newest states that were not sent yet, by id. */
  changes: Map<string, Incident>
  /** States that were left out because too many waited. */
  missed: number
}

/** Followers of incidents: who reads slowly gets the newest state of each, not all states. */
export class IncidentFeed {
  readonly #log: IncidentLog
  readonly #changed: Signal
  readonly #followers = new Set<Follower>()

  constructor(log: IncidentLog, changed: Signal) {
    this.#log = log
    this.#changed = changed
  }

  /** Tells the followers; at most one state of each incident waits for a follower. */
  publish(updates: readonly IncidentUpdate[]): void {
    for (const follower of this.#followers) {
      const { changes } = follower
      for (const { incident } of updates) {
        changes.set(incident.incident_id, incident)
        if (changes.size <= CHANGES_MAX) continue
        changes.delete(changes.keys().next().value!)
        follower.missed++
      }
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
    const message = `${found.length} incidents begin so: ${some}; say more`
    return { problem: 'ambiguous', message }
  }

  /** Answers a request whose id was resolved. */
  async answer(call: Call, id: string): Promise<void> {
    const { state, follow } = call.request
    const wanted = (incident: Incident): boolean =>
      (id === '' || incident.incident_id === id) && (state === '' || incident.state === state)
    const follower: Follower = { changes: new Map(), missed: 0 }
    const { changes } = follower
    if (follow) this.#followers.add(follower)
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
        if (follower.missed > 0) {
          lines.unshift(JSON.stringify({
            missed: 'incidents were not sent because they were read too slowly',
            missed_incidents: follower.missed,
          }))
          follower.missed = 0
        }
        if (!await writeLines(call, lines)) return
        if (changes.size === 0) await news
        if (call.cancelled || call.destroyed) return
      }
    } finally {
      this.#followers.delete(follower)
    }
  }
}
