/** Which events are part of incidents: what is suspicious is no habit to learn. */
import type { Incident } from '../../detect/incident.ts'

/**
 * Detectors that say only that something is new or not in the policy: that is what a policy is
 * learned for.
 */
const SAY_NEW = new Set(['NET-001', 'NET-004', 'STO-001', 'STO-004'])

type EventName = { node_id: string, boot_id: string, seq: number }

/** Id of the incident of an event, '' for none. Of several the first in the list. */
export function incidentsByEvent(incidents: readonly Incident[]): (event: EventName) => string {
  const byEvent = new Map<string, string>()
  for (const { incident_id: id, findings } of incidents) {
    for (const { detector, severity, evidence } of findings) {
      if (SAY_NEW.has(detector) || severity === 'low') continue
      for (const event of evidence) {
        const key = keyOf(event)
        if (!byEvent.has(key)) byEvent.set(key, id)
      }
    }
  }
  return (event) => byEvent.get(keyOf(event)) ?? ''
}

function keyOf({ node_id, boot_id, seq }: EventName): string {
  return `${node_id}\n${boot_id}\n${seq}`
}
