/** Incidents as they are kept, and how they are told. */
import { createHash } from 'node:crypto'
import { formatTime } from '../proto/event-json.ts'
import type { Coverage } from './coverage.ts'
import type { Detector } from './detector.ts'
import type { Evidence, Finding, Hop, Severity } from './finding.ts'
import type { Incident, IncidentFinding } from './incident.ts'
import { amount } from './words.ts'

/** A finding as it is kept. */
export interface KeptFinding extends Omit<IncidentFinding, 'time' | 'last_time'> {
  key: string
  /** Wall clock nanoseconds. */
  firstNs: bigint
  lastNs: bigint
  attack: readonly string[]
  atlas: readonly string[]
  next_steps: string[]
  hops: Hop[]
}

/** An incident as it is kept: plain data. Times are wall clock. */
export interface KeptIncident {
  incident_id: string
  subject: string
  state: 'open' | 'closed'
  close_reason: 'quiet' | 'aged_out' | 'joined' | null
  /** The incident that its findings went to; '' when none. */
  joined_into: string
  /** Further subjects whose findings come here while it is open. */
  joins: string[]
  openedNs: bigint
  updatedNs: bigint
  closedMs: number
  /** Watermark at the last finding. */
  touchedMs: number
  nodes: string[]
  workloads: string[]
  zones: string[]
  stores: string[]
  findings: KeptFinding[]
  findings_unlisted: number
  /** What has changed since it was last told: nothing, an amount, or what it says. */
  news: 'none' | 'amount' | 'story'
  /** Watermark when it was last told. */
  toldMs: number
  /** It was told at least once. */
  told: boolean
  /** Watermark until which it is not told: it may turn out to be part of another one. 0: never. */
  heldUntilMs: number
  /** Counts up with every incident. */
  order: number
}

const severities: readonly Severity[] = ['low', 'medium', 'high', 'critical']
const STEPS_MAX = 10
const HOPS_MAX = 100
const EVIDENCE_MAX = 10
/** Of nodes, workloads and so on; also of further subjects. */
export const NAMES_MAX = 100
const nameLists = ['nodes', 'workloads', 'zones', 'stores'] as const

/** A stable name: the same subject and first event give the same one, wherever it is computed. */
export function incidentId(subject: string, first: Evidence): string {
  const content = JSON.stringify([subject, first.node_id, first.boot_id, first.seq])
  return createHash('sha256').update(content).digest('hex').slice(0, 12)
}

/** A finding as it is kept, told once and for all. */
export function keptOf(detector: Detector, finding: Required<Finding>): KeptFinding {
  const { key, severity, wallNs, totals } = finding
  const { summary, details, next_steps, hop, hops } = finding.tell()
  const kept: KeptFinding = {
    key, detector: detector.id, title: detector.title, severity, firstNs: wallNs, lastNs: wallNs,
    count: 1, summary, details, totals: { ...totals }, next_steps, hops: hops ?? (hop ? [hop] : []),
    evidence: [], evidence_unlisted: 0, attack: detector.attack, atlas: detector.atlas,
  }
  addFacts(kept, { evidence: finding.evidence })
  return kept
}

/** Adds amounts, and evidence while there is room for it. */
export function addFacts(
  to: KeptFinding,
  { totals = {}, evidence = [] }: { totals?: Record<string, number>; evidence?: Evidence[] },
): void {
  for (const [name, value] of Object.entries(totals)) {
    to.totals[name] = (to.totals[name] ?? 0) + value
  }
  for (const one of evidence) {
    if (to.evidence.length < EVIDENCE_MAX) to.evidence.push(one)
    else to.evidence_unlisted++
  }
}

/** Adds names; how many were new. What does not fit is left out: it stands in the findings. */
export function addNames(
  to: KeptIncident, from: { [list in (typeof nameLists)[number]]?: string[] },
): number {
  let added = 0
  for (const list of nameLists) {
    for (const name of from[list] ?? []) {
      if (name === '' || to[list].length >= NAMES_MAX || to[list].includes(name)) continue
      to[list].push(name)
      added++
    }
  }
  return added
}

/** The incident as JSON. Shares nothing that changes later. */
export function tellIncident(kept: KeptIncident, coverage: Coverage): Incident {
  const findings = kept.findings.toSorted((a, b) => Number(a.firstNs - b.firstNs))
  const worst = findings.reduce((most, one) => isWorse(one, most) ? one : most)
  const lead = findings.reduce((most, one) => tellsMore(one, most) ? one : most, worst)
  const closed = kept.state === 'closed' ? {
    closed_at: new Date(kept.closedMs).toISOString(), close_reason: kept.close_reason ?? 'quiet',
    ...(kept.joined_into === '' ? {} : { joined_into: kept.joined_into }),
  } : {}
  return structuredClone({
    incident_id: kept.incident_id,
    title: lead.title,
    severity: worst.severity,
    state: kept.state,
    subject: kept.subject,
    opened_at: formatTime(kept.openedNs),
    updated_at: formatTime(kept.updatedNs),
    ...closed,
    summary: summaryOf(findings, lead, kept, coverage),
    nodes: kept.nodes,
    workloads: kept.workloads,
    zones: kept.zones,
    stores: kept.stores,
    attack: union(findings.map(({ attack }) => attack)),
    atlas: union(findings.map(({ atlas }) => atlas)),
    findings: findings.map(told),
    findings_unlisted: kept.findings_unlisted,
    hops: hopsOf(findings),
    next_steps: union(findings.map((one) => one.next_steps)).slice(0, STEPS_MAX),
    coverage,
  })
}

function isWorse(one: KeptFinding, other: KeptFinding): boolean {
  return severities.indexOf(one.severity) > severities.indexOf(other.severity)
}

/**
 * A way over several hops holds the others together: it gives the incident its title. Of two that
 * are as long and as bad, the later one tells how it ended.
 */
function tellsMore(one: KeptFinding, other: KeptFinding): boolean {
  const more = one.hops.length - Math.max(1, other.hops.length)
  return more > 0 || (more === 0 && one.hops.length > 1 && !isWorse(other, one))
}

/** Chains first, in their order; then other connections by time. Each connection once. */
function hopsOf(findings: readonly KeptFinding[]): Hop[] {
  const hops = new Map<string, Hop>()
  for (const { hops: some } of findings.toSorted((a, b) => b.hops.length - a.hops.length)) {
    for (const hop of some) {
      const ends = [hop.from, hop.to].map(({ address, port }) => `${address} ${port}`)
      // Of one that calls out for orders a chain tells the other way round.
      const key = `${ends.sort().join(' ')} ${hop.protocol}`
      if (hops.size < HOPS_MAX && !hops.has(key)) hops.set(key, hop)
    }
  }
  return [...hops.values()]
}

/** The leading finding first, then how much more there is, then what may be missing. */
function summaryOf(
  findings: KeptFinding[], lead: KeptFinding, kept: KeptIncident, coverage: Coverage,
): string {
  const times = lead.count > 1 ? ` It happened ${amount(lead.count, 'time')}.` : ''
  const rest = findings.length - 1 + kept.findings_unlisted
  const others = rest > 0 ? ` ${amount(rest, 'further finding')} about the same subject.` : ''
  const missing = coverage.nodes.filter(({ complete }) => !complete).map((node) => node.node_id)
  const gaps = missing.length > 0
    ? ` Not everything was seen on ${amount(missing.length, 'node')}: see coverage.`
    : ''
  return `${lead.summary}${times}${others}${gaps}`
}

function told(finding: KeptFinding): IncidentFinding {
  const { detector, title, severity, count, summary, details, totals } = finding
  const { evidence, evidence_unlisted } = finding
  return {
    detector, title, severity, time: formatTime(finding.firstNs),
    last_time: formatTime(finding.lastNs), count, summary, evidence, evidence_unlisted,
    details, totals,
  }
}

function union(lists: (readonly string[])[]): string[] {
  return [...new Set(lists.flat())]
}
