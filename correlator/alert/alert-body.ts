/** An incident as Alertmanager v2 wants it. The labels are its identity there: few, and stable. */
import type { Incident } from '../../detect/incident.ts'

/** One element of POST /api/v2/alerts. Times in RFC 3339. */
export interface AlertBody {
  labels: Record<string, string>
  annotations: Record<string, string>
  startsAt: string
  endsAt: string
  generatorURL: string
}

/** What an incident began with: labels must not change when more is found. */
export interface AlertOrigin {
  rule_id: string
  zone_from: string
  zone_to: string
}

/** Where the links in an alert lead. */
export interface AlertLinks {
  /** Base of the link to the incident, without a slash at the end. */
  external_url: string
  /** Base of the runbooks, without a slash at the end. */
  runbook_url: string
}

/** Alertmanager takes any length; a page cannot show it, and a flood could use it. */
const DESCRIPTION_BYTES_MAX = 4096
const SUMMARY_BYTES_MAX = 512

const SEVERITY: Record<string, string> = {
  critical: 'critical', high: 'critical', medium: 'warning', low: 'info',
}

/** The origin of an incident, from the state in which it was opened. */
export function originOf({ findings, hops }: Incident): AlertOrigin {
  return {
    rule_id: findings[0]?.detector ?? '',
    zone_from: hops[0]?.from.zone ?? '', zone_to: lastOfWay(hops)?.to.zone ?? '',
  }
}

/** Where the way ends that the hops tell: those without a link are connections beside it. */
function lastOfWay(hops: Incident['hops']): Incident['hops'][number] | undefined {
  return hops.findLast(({ link }) => link !== undefined) ?? hops[0]
}

/**
 * The alert of an incident.
 *
 * @param labels of `alertLabels`
 * @param nowMs clock of the correlator, milliseconds since 1970
 * @param endsMs when it ended; in the future while it is open
 */
export function alertBody(
  incident: Incident, labels: Record<string, string>, links: AlertLinks, nowMs: number,
  endsMs: number,
): AlertBody {
  const openedMs = Date.parse(incident.opened_at)
  // A node whose clock is ahead must not give an alert that starts in the future.
  const startsMs = Math.min(openedMs, nowMs)
  const { incident_id, findings, attack, atlas, nodes } = incident
  const annotations: Record<string, string> = {
    summary: cut(incident.title, SUMMARY_BYTES_MAX),
    description: cut(description(incident), DESCRIPTION_BYTES_MAX),
    runbook_url: `${links.runbook_url}/${findings[0]?.detector ?? 'incidents'}.md`,
    attack: [...attack, ...atlas].join(' '),
    first_seen: incident.opened_at,
    nodes: cut(nodes.join(' '), SUMMARY_BYTES_MAX),
  }
  return {
    labels,
    annotations: Object.fromEntries(Object.entries(annotations).filter(([, text]) => text !== '')),
    startsAt: openedMs === startsMs ? incident.opened_at : new Date(startsMs).toISOString(),
    // Equal times are refused as well as an end before the start.
    endsAt: new Date(Math.max(endsMs, startsMs + 1)).toISOString(),
    generatorURL: `${links.external_url}/incidents/${incident_id}`,
  }
}

/** What tells this alert from others, for as long as the incident does not get worse. */
export function alertLabels(
  { incident_id, severity }: Incident, origin: AlertOrigin, cluster: string,
): Record<string, string> {
  const labels: Record<string, string> = {
    alertname: 'VedetteIncident',
    severity: SEVERITY[severity] ?? 'warning',
    incident_id,
    cluster,
    kind: 'incident',
    source: 'vedette',
    ...origin,
  }
  return Object.fromEntries(Object.entries(labels)
    .filter(([, value]) => value !== '').map(([name, value]) => [name, ascii(value)]))
}

function description(incident: Incident): string {
  const steps = incident.findings.map(({ detector, time, summary }) =>
    `${time} ${detector} ${summary}`)
  const next = incident.next_steps.map((step) => `next: ${step}`)
  return [incident.summary, ...next, ...steps].join('\n')
}

/** At most `bytesMax` bytes of UTF-8, at a whole character. */
function cut(text: string, bytesMax: number): string {
  if (Buffer.byteLength(text) <= bytesMax) return text
  const bytes = Buffer.from(text).subarray(0, bytesMax - 3)
  return `${bytes.toString('utf8').replace(/\ufffd+$/, '')}…`
}

function ascii(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/gu, '?').slice(0, 200)
}
