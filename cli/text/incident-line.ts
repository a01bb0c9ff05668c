import type { Incident } from '../../detect/incident.ts'
import { tone, toneOf } from '../output.ts'
import { printable } from './printable.ts'
import { alignRows } from './table.ts'

/** Incidents as a table: id, when, severity, state, what. */
export function incidentTable(incidents: readonly Incident[], width: number): string[] {
  return alignRows(incidents.map((incident) => {
    const { incident_id, updated_at, severity, state, title, zones } = incident
    return [
      incident_id, `${updated_at.slice(0, 16)}Z`,
      { text: severity, paint: (text: string) => tone(toneOf(severity), text) },
      state, printable(zones.length > 0 ? `${zones.join(', ')}: ${title}` : title),
    ]
  }), width)
}
