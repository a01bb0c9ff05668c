/** Joins findings about the same subject into incidents. Bounded; driven by the watermark alone. */
import type { CoverageTable } from './coverage.ts'
import type { Detector } from './detector.ts'
import type { Evidence, Finding, Severity, Story } from './finding.ts'
import {
  addFacts, addNames, incidentId, keptOf, NAMES_MAX, tellIncident,
} from './incident-story.ts'
import type { KeptIncident } from './incident-story.ts'
import type { Incident, IncidentUpdate } from './incident.ts'

/** A finding with everything filled in. */
export type CompleteFinding = Required<Finding>

/** What became known about a finding after it was reported. */
export interface Amendment {
  totals?: Record<string, number>
  details?: Story['details']
  evidence?: Evidence[]
  nodes?: string[]
  workloads?: string[]
  hop?: Story['hop']
  hops?: Story['hops']
  summary?: string
  severity?: Severity
  zones?: string[]
  stores?: string[]
  next_steps?: string[]
  /** As in `Finding`. */
  joins?: string[]
  /** When it became known, wall clock nanoseconds. */
  wallNs?: bigint
}

export interface IncidentOptions {
  openMax?: number
  /** Closed incidents that can still be amended. */
  closedMax?: number
  findingsMax?: number
  /** An open incident without news is closed after this time, by the watermark. */
  quietMs?: number
}

export type IncidentTableSnapshot = {
  kept: KeptIncident[]
  /** Ids of the closed ones in the order in which they closed. */
  closed: string[]
  agedOut: number
  findingsUnlisted: number
  amendmentsLost: number
  holdsCut: number
  nextOrder: number
}

/** Part of the findings of an incident that one detector may take. */
const DETECTOR_SHARE = 0.6
/** Amounts alone are told at most so often: a busy violation must not fill the incident log. */
const AMOUNTS_EVERY_MS = 10_000
/** An incident that may turn out to be part of another one is told so much later at most. */
const HOLD_MS = 1500
const HELD_MAX = 100
/** What was lost shortly before the first finding may belong to it. */
const LOOK_BACK_MS = 60_000

export class IncidentTable {
  /** Incidents that were closed because too many were open. */
  agedOut = 0
  findingsUnlisted = 0
  /** Amendments to incidents that are no longer kept. */
  amendmentsLost = 0
  /** Incidents that were told at once, because too many were held. */
  holdsCut = 0
  private nextOrder = 0
  private readonly open = new Map<string, KeptIncident>()
  /** Further subjects of open incidents. */
  private readonly joined = new Map<string, KeptIncident>()
  private readonly byId = new Map<string, KeptIncident>()
  /** Closed, the oldest first. */
  private readonly closed = new Set<KeptIncident>()
  private readonly options: Required<IncidentOptions>
  private readonly coverage: CoverageTable
  private updates: Omit<IncidentUpdate, 'position'>[] = []

  constructor(coverage: CoverageTable, options: IncidentOptions = {}) {
    this.coverage = coverage
    this.options = {
      openMax: 1000, closedMax: 1000, findingsMax: 100, quietMs: 900_000, ...options,
    }
  }

  get openCount(): number { return this.open.size }

  /**
   * Returns the id of the incident that the finding went into. `nowMs` is the watermark.
   *
   * @param nodeOf the node that has an address; '' when that is not known
   */
  add(
    detector: Detector, finding: CompleteFinding, nowMs: number,
    nodeOf: (address: string) => string = () => '',
  ): string {
    const incident = this.find(finding.subject, finding.joins, nowMs) ??
      this.openFor(finding, this.holdUntil(finding, nodeOf, nowMs), nowMs)
    if (finding.joins.length > 0) {
      this.unite(incident, [finding.subject, ...finding.joins], nowMs)
    }
    const known = incident.findings.find(({ key, detector: id }) =>
      key === finding.key && id === detector.id)
    if (known !== undefined) {
      known.count++
      if (finding.wallNs > known.lastNs) known.lastNs = finding.wallNs
      addFacts(known, finding)
    } else if (this.hasRoom(incident, detector.id)) {
      incident.findings.push(keptOf(detector, finding))
    } else {
      incident.findings_unlisted++
      this.findingsUnlisted++
    }
    const listed = addNames(incident, finding)
    incident.touchedMs = nowMs
    if (finding.wallNs > incident.updatedNs) incident.updatedNs = finding.wallNs
    const isNew = known === undefined && incident.findings_unlisted === 0
    this.note(incident, isNew || listed > 0 ? 'story' : 'amount')
    return incident.incident_id
  }

  /** One detector that has much to say must leave room for what the others have. */
  private hasRoom({ findings }: KeptIncident, detectorId: string): boolean {
    const { findingsMax } = this.options
    if (findings.length >= findingsMax) return false
    const own = findings.filter(({ detector }) => detector === detectorId).length
    return own < Math.ceil(findingsMax * DETECTOR_SHARE)
  }

  /** Adds to a finding that was reported, also when its incident has closed since. */
  amend(
    id: string, detector: string, key: string, amendment: Amendment, nowMs: number,
  ): void {
    let incident = this.follow(id)
    const finding = incident?.findings.find((one) => one.key === key && one.detector === detector)
    if (incident === undefined || finding === undefined) {
      this.amendmentsLost++
      return
    }
    addFacts(finding, amendment)
    Object.assign(finding.details, amendment.details)
    finding.hops = amendment.hops ?? (amendment.hop ? [amendment.hop] : finding.hops)
    finding.summary = amendment.summary ?? finding.summary
    finding.severity = amendment.severity ?? finding.severity
    finding.next_steps = amendment.next_steps ?? finding.next_steps
    if (incident.state === 'open' && amendment.joins !== undefined) {
      const subjects = [incident.subject, ...amendment.joins]
      incident = this.find(incident.subject, amendment.joins, nowMs) ?? incident
      incident.touchedMs = nowMs
      this.unite(incident, subjects, nowMs)
    }
    addNames(incident, amendment)
    const { wallNs = 0n } = amendment
    if (wallNs > incident.updatedNs) incident.updatedNs = wallNs
    const story = amendment.summary ?? amendment.hop ?? amendment.hops ?? amendment.severity
    this.note(incident, story === undefined ? 'amount' : 'story')
  }

  /** True while what is found goes into this incident. */
  isOpen(id: string): boolean {
    return this.follow(id)?.state === 'open'
  }

  /** The incident, or the one that it was joined into. */
  private follow(id: string): KeptIncident | undefined {
    let incident = this.byId.get(id)
    while (incident !== undefined && incident.joined_into !== '') {
      incident = this.byId.get(incident.joined_into)
    }
    return incident
  }

  /** The open incident of any of the subjects that opened first; one that is held comes last. */
  private find(
    subject: string, joins: readonly string[], nowMs: number,
  ): KeptIncident | undefined {
    let first: KeptIncident | undefined
    for (const one of [subject, ...joins]) {
      const incident = this.open.get(one) ?? this.joined.get(one)
      if (incident === undefined || incident === first) continue
      const held = isHeld(incident, nowMs)
      if (first === undefined || held < isHeld(first, nowMs) ||
        (held === isHeld(first, nowMs) && incident.order < first.order)) first = incident
    }
    return first
  }

  /**
   * Of this one and an open one, one is known by an address alone, and the other one is about the
   * node that has it: what the node is about to tell may show that they are one.
   */
  private holdUntil(
    { subject, joins, nodes }: CompleteFinding, nodeOf: (address: string) => string, nowMs: number,
  ): number {
    const open = [...this.open.values()]
    const nodesOf = (subjects: Iterable<string>): string[] => [...subjects]
      .flatMap((one) => one.startsWith('address ') ? nodeOf(one.slice('address '.length)) : [])
    const callers = nodesOf([subject, ...joins]).filter((node) => node !== '')
    if (!open.some((one) => one.nodes.some((node) => callers.includes(node))) &&
      !nodesOf([...this.open.keys(), ...this.joined.keys()])
        .some((node) => nodes.includes(node))) return 0
    const held = open.filter((one) => isHeld(one, nowMs)).length
    if (held < HELD_MAX) return nowMs + HOLD_MS
    this.holdsCut++
    return 0
  }

  /** Watermark at which an incident is to be told that is held; Infinity when there is none. */
  get dueMs(): number {
    const held = [...this.open.values()].filter(({ told }) => !told)
    return Math.min(...held.map(({ heldUntilMs }) => heldUntilMs))
  }

  /** What is and will be found about the subjects goes into this incident. */
  private unite(incident: KeptIncident, subjects: readonly string[], nowMs: number): void {
    for (const subject of subjects) {
      const other = this.open.get(subject) ?? this.joined.get(subject)
      if (other === incident) continue
      if (other !== undefined) this.join(other, incident, nowMs)
      this.alias(subject, incident)
    }
  }

  private alias(subject: string, incident: KeptIncident): void {
    if (this.joined.get(subject) === incident || this.open.has(subject)) return
    if (incident.joins.length >= NAMES_MAX) return
    incident.joins.push(subject)
    this.joined.set(subject, incident)
  }

  /** Everything of one incident goes into another one. */
  private join(from: KeptIncident, into: KeptIncident, nowMs: number): void {
    const subjects = [from.subject, ...from.joins]
    for (const finding of structuredClone(from.findings)) {
      const known = into.findings.find(({ key, detector }) =>
        key === finding.key && detector === finding.detector)
      if (known !== undefined) {
        known.count += finding.count
        addFacts(known, { totals: finding.totals })
      } else if (this.hasRoom(into, finding.detector)) into.findings.push(finding)
      else into.findings_unlisted++
    }
    into.findings_unlisted += from.findings_unlisted
    addNames(into, from)
    if (from.updatedNs > into.updatedNs) into.updatedNs = from.updatedNs
    from.joined_into = into.incident_id
    this.close(from, 'joined', nowMs)
    for (const subject of subjects) this.alias(subject, into)
    this.note(into, 'story')
  }

  /** What is known of a node in a time range has changed. */
  coverageChanged(nodeId: string, fromMs: number, toMs: number): void {
    for (const incident of this.byId.values()) {
      const [start, end] = windowOf(incident)
      if (fromMs > end || toMs < start || !incident.nodes.includes(nodeId)) continue
      this.note(incident, 'story')
    }
  }

  /** The watermark has come to `nowMs`. */
  advance(nowMs: number): void {
    for (const incident of this.open.values()) {
      if (nowMs - incident.touchedMs >= this.options.quietMs) this.close(incident, 'quiet', nowMs)
    }
  }

  /** What is to be told after a batch. */
  takeUpdates(position: number, nowMs: number): IncidentUpdate[] {
    for (const incident of this.byId.values()) {
      const due = incident.news === 'story' ||
        (incident.news === 'amount' && nowMs - incident.toldMs >= AMOUNTS_EVERY_MS)
      if (due && !isHeld(incident, nowMs) && !isSilent(incident)) this.tell(incident, nowMs)
    }
    const updates = this.updates.map((update) => ({ position, ...update }))
    this.updates = []
    return updates
  }

  /** Every incident that is kept, as it is now; the oldest first. */
  all(): Incident[] {
    return [...this.byId.values()].filter((incident) => !isSilent(incident))
      .map((incident) => this.toJson(incident))
  }

  private openFor(finding: CompleteFinding, heldUntilMs: number, nowMs: number): KeptIncident {
    if (this.open.size >= this.options.openMax) {
      const oldest = [...this.open.values()].reduce((a, b) => b.touchedMs < a.touchedMs ? b : a)
      this.agedOut++
      this.close(oldest, 'aged_out', nowMs)
    }
    const incident: KeptIncident = {
      incident_id: incidentId(finding.subject, finding.evidence[0]),
      subject: finding.subject, state: 'open', close_reason: null, joined_into: '', joins: [],
      openedNs: finding.wallNs, updatedNs: finding.wallNs, closedMs: 0, touchedMs: nowMs,
      nodes: [], workloads: [], zones: [], stores: [], findings: [], findings_unlisted: 0,
      news: 'story', toldMs: 0, told: false, heldUntilMs, order: this.nextOrder++,
    }
    this.open.set(finding.subject, incident)
    this.byId.set(incident.incident_id, incident)
    return incident
  }

  private close(
    incident: KeptIncident, reason: 'quiet' | 'aged_out' | 'joined', nowMs: number,
  ): void {
    // One that opened in this batch is told as opened first, unless it goes into another one.
    const silent = reason === 'joined' && !incident.told
    if (incident.news !== 'none' && !silent) this.tell(incident, nowMs)
    incident.state = 'closed'
    incident.close_reason = reason
    incident.closedMs = nowMs
    this.open.delete(incident.subject)
    for (const subject of incident.joins) this.joined.delete(subject)
    this.closed.add(incident)
    if (!silent) this.updates.push({ change: 'closed', incident: this.toJson(incident) })
    incident.toldMs = nowMs
    for (const oldest of this.closed) {
      if (this.closed.size <= this.options.closedMax) break
      this.closed.delete(oldest)
      this.byId.delete(oldest.incident_id)
    }
  }

  private note(incident: KeptIncident, news: 'amount' | 'story'): void {
    if (incident.news !== 'story') incident.news = news
  }

  private tell(incident: KeptIncident, nowMs: number): void {
    this.updates.push({
      change: incident.told ? 'updated' : 'opened', incident: this.toJson(incident),
    })
    incident.told = true
    incident.news = 'none'
    incident.toldMs = nowMs
  }

  private toJson(incident: KeptIncident): Incident {
    const [start, end] = windowOf(incident)
    return tellIncident(incident, this.coverage.of(incident.nodes, start, end))
  }

  snapshot(): IncidentTableSnapshot {
    const { agedOut, findingsUnlisted, amendmentsLost, holdsCut, nextOrder } = this
    const closed = [...this.closed].map((incident) => incident.incident_id)
    return {
      kept: [...this.byId.values()], closed, agedOut, findingsUnlisted, amendmentsLost, holdsCut,
      nextOrder,
    }
  }

  /** Takes over what `snapshot` gave, which must not be used again; this one must be empty. */
  restore(from: IncidentTableSnapshot): void {
    for (const incident of from.kept) {
      this.byId.set(incident.incident_id, incident)
      if (incident.state !== 'open') continue
      this.open.set(incident.subject, incident)
      for (const subject of incident.joins) this.joined.set(subject, incident)
    }
    for (const id of from.closed) this.closed.add(this.byId.get(id)!)
    this.agedOut = from.agedOut
    this.findingsUnlisted = from.findingsUnlisted
    this.amendmentsLost = from.amendmentsLost
    this.holdsCut = from.holdsCut
    this.nextOrder = from.nextOrder
  }
}

/** What happened then belongs to the incident. It goes on until the incident closes. */
function windowOf(incident: KeptIncident): [startMs: number, endMs: number] {
  return [Number(incident.openedNs) / 1e6 - LOOK_BACK_MS,
    incident.state === 'open' ? Infinity : incident.closedMs]
}

function isHeld({ heldUntilMs }: KeptIncident, nowMs: number): boolean {
  return nowMs < heldUntilMs
}

/** It went into another one before anybody was told of it. */
function isSilent({ told, joined_into: other }: KeptIncident): boolean {
  return !told && other !== ''
}
