/** An incident as everyone sees it. */
import type { Coverage } from './coverage.ts'
import type { Evidence, Hop, Json, Severity } from './finding.ts'

/** One finding of an incident; merged when it happened several times. Times are RFC 3339. */
export interface IncidentFinding {
  detector: string
  title: string
  severity: Severity
  /** When it happened first and last. */
  time: string
  last_time: string
  count: number
  summary: string
  /** The first events that show it; `evidence_unlisted` counts the others. */
  evidence: Evidence[]
  evidence_unlisted: number
  details: Record<string, Json>
  totals: Record<string, number>
}

/** JSON of an incident. Scripts rely on the keys. */
export interface Incident {
  incident_id: string
  title: string
  severity: Severity
  state: 'open' | 'closed'
  subject: string
  opened_at: string
  updated_at: string
  closed_at?: string
  /**
   * `quiet`: nothing new for a while. `aged_out`: there were too many open incidents. `joined`: it
   * turned out to be part of another one, which has its findings now.
   */
  close_reason?: 'quiet' | 'aged_out' | 'joined'
  /** Id of that other one. */
  joined_into?: string
  summary: string
  nodes: string[]
  workloads: string[]
  zones: string[]
  stores: string[]
  attack: string[]
  atlas: string[]
  /** In the order in which they happened. */
  findings: IncidentFinding[]
  /** Further findings that were counted and not kept. */
  findings_unlisted: number
  hops: Hop[]
  next_steps: string[]
  coverage: Coverage
}

/** What one batch did to an incident. */
export interface IncidentUpdate {
  /** Of the batch in the event log. */
  position: number
  change: 'opened' | 'updated' | 'closed'
  incident: Incident
}

/** JSON with sorted keys and no blanks: the same incident is the same bytes. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner
    const entries = Object.entries(inner).sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0)
    return Object.fromEntries(entries)
  })
}
