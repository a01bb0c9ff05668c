/** What the detectors of drift have in common: when a change is one, and how it is told. */
import type { Context } from '../../detect/context.ts'
import { defineDetector } from '../../detect/detector.ts'
import type { Detector, DetectorDefinition } from '../../detect/detector.ts'
import type { Severity, Story } from '../../detect/finding.ts'
import type { GpuChange } from '../../detect/gpu/gpu-states.ts'
import { worseOf } from '../../detect/words.ts'
import { isJudgedByBaselineOnly } from '../../gpu/state/item-classes.ts'
import type { ItemClass } from '../../gpu/state/item-classes.ts'
import type { EventViews } from '../../proto/gen/events.ts'
import { driftItem, driftStory } from './story.ts'
import type { DriftItem, DriftStory } from './story.ts'
import { isConfined, standingOf } from '../gpu/standing.ts'
import type { Standing } from '../gpu/standing.ts'

/** Kinds whose events change what a node is, or what it must be. */
export type DriftKind = 'gpu_state' | 'baseline_applied' | 'policy_applied' | 'node_seen'
type DriftEvent = EventViews[DriftKind]

/** What a detector of drift is made of, beside what all have in common. */
export interface DriftDefinition extends Pick<DetectorDefinition<DriftKind, unknown>,
  'id' | 'title' | 'severity' | 'attack' | 'atlas' | 'blindSpots' | 'runbook' | 'examples'> {
  of: ItemClass
  /** What is another one, such as `driver`. */
  what: string
  /** How bad the change is; null: it is none of this detector. */
  judge(change: GpuChange, judged: Judged, context: Context): Severity | null
  /** Of an event that is no gpu_state: items that are to be judged beside the differing ones. */
  also?(event: DriftEvent, context: Context): readonly GpuChange[]
  nextSteps: readonly string[]
}

/** What is known of a change before a detector looks at it. */
export interface Judged {
  standing: Standing
  /** The one who did it is in a pod, container or job. */
  confined: boolean
  /** What the policy and the baseline alone make of it; null: nothing. */
  severity: Severity | null
}

/** The finding that goes on while more items of a node change. */
interface Going {
  incident: string
  key: string
  subject: string
  lastMs: number
  severity: Severity
  story: DriftStory
}
interface State { going: Going | null }

/** Items that change within this time have one cause. */
const CAUSE_MS = 120_000
const ITEMS_MAX = 64

/** A detector of one class of items. */
export function defineDrift(definition: DriftDefinition): Detector {
  const { of, what, judge, also, nextSteps, ...rest } = definition
  return defineDetector({
    ...rest,
    maturity: 'experimental',
    needs: ['gpu_state', 'baseline_applied', 'policy_applied', 'node_seen'],
    settings: {},
    key: (event, context) => {
      const isOurs = context.gpus.changes.some((change) => isOf(change, of))
      return isOurs || (also !== undefined && event.kind !== 'gpu_state') ? event.node_id : null
    },
    state: { initial: (): State => ({ going: null }), keysMax: 2000, idleMs: 600_000 },
    evaluate(event, state, context) {
      const changes = [...context.gpus.changes.filter((change) => isOf(change, of)),
        ...event.kind === 'gpu_state' ? [] : also?.(event, context) ?? []]
      const byNode = new Map<string, Found[]>()
      for (const change of changes) {
        const judged = judgedOf(change, event, context)
        const severity = judge(change, judged, context)
        if (severity === null) continue
        const found = byNode.get(change.node_id) ?? []
        if (found.length === 0) byNode.set(change.node_id, found)
        found.push({ change, severity, standing: judged.standing })
      }
      for (const found of byNode.values()) tell(definition, event, found, state, context)
    },
  })
}

interface Found { change: GpuChange, severity: Severity, standing: Standing }

function isOf(change: GpuChange, of: ItemClass): boolean {
  // What has no class belongs to what the GPU is; only a baseline that names it judges it.
  return (change.of ?? 'firmware') === of
}

function judgedOf(change: GpuChange, event: DriftEvent, context: Context): Judged {
  const { process, policy, zones } = context
  const standing = standingOf(process, change.node_id, event.time_ms, context)
  const inWindow = policy.gpus.inMaintenance(event.time_ms, zones.groupOf(change.node_id))
  const confined = isConfined(process, false)
  const isExpected = standing === 'allowed' || (standing === 'unsaid' && inWindow === true)
  return { standing, confined,
    severity: severityOf(change, standing, isExpected && !confined, confined) }
}

function severityOf(
  change: GpuChange, standing: Standing, isExpected: boolean, confined: boolean,
): Severity | null {
  const { now, checked, isNews, old } = change
  if (checked?.verdict === 'differs') return isNews && isExpected ? 'medium' : 'high'
  // What is not known never raises by itself.
  if (!isNews || now.reading !== 'known' || old === '' || old === now.value) return null
  const isBad = standing === 'stranger' || confined
  if (checked?.verdict === 'matches') return isBad ? 'low' : null
  if (isExpected || isJudgedByBaselineOnly(now.subject, now.item)) return null
  return isBad ? 'high' : 'medium'
}

function tell(
  { what, nextSteps }: DriftDefinition, event: DriftEvent, found: readonly Found[], state: State,
  context: Context,
): void {
  const [{ change, standing }] = found
  const isState = event.kind === 'gpu_state'
  const severity = found.map((one) => one.severity).reduce(worseOf)
  const { subject, joins } = causeOf(change, context)
  const items = found.map((one) => driftItem(one.change))
  const { going } = state
  if (isState && going !== null && going.subject === subject && context.isOpen(going.incident) &&
    context.watermarkMs - going.lastMs <= CAUSE_MS) {
    return goOn(going, items, severity, change, context)
  }
  const story: DriftStory = {
    what, nodeId: change.node_id, items: items.slice(0, ITEMS_MAX),
    unlisted: Math.max(0, items.length - ITEMS_MAX), isNews: change.isNews,
    baseline: change.baseline === null ? null : {
      path: change.baseline.path, node_class: change.baseline.index.baseline.node_class,
      sha256: change.baseline.sha256, key_id: change.baseline.key_id,
    },
    standing, actor: isState ? actorOf(event) : null, nextSteps,
    process: context.process === null ? null : context.describe(context.process),
  }
  const { seq, boot_id: boot } = change.evidence
  const key = `${what} ${change.now.subject} ${change.now.item} ${boot} ${seq}`
  const incident = context.report({
    key, subject, joins, severity, nodes: [change.node_id],
    evidence: found.slice(0, ITEMS_MAX).map((one) => one.change.evidence),
    tell: (): Story => driftStory(story, context),
  })
  if (incident !== null && isState) {
    state.going = { incident, key, subject, lastMs: context.watermarkMs, severity, story }
  }
}

/** One more item of the same change. */
function goOn(
  going: Going, items: readonly DriftItem[], severity: Severity, change: GpuChange,
  context: Context,
): void {
  const { story } = going
  const room = ITEMS_MAX - story.items.length
  story.items.push(...items.slice(0, room))
  story.unlisted += Math.max(0, items.length - room)
  going.severity = worseOf(going.severity, severity)
  going.lastMs = context.watermarkMs
  const { summary, details } = driftStory(story, context)
  context.amend(going.incident, going.key, {
    summary, details, severity: going.severity, evidence: [change.evidence],
  })
}

/** All that has one cause on a node is one story, whatever detector tells it. */
function causeOf(
  { node_id, isNews }: GpuChange, context: Context,
): { subject: string, joins: string[] } {
  const { process, gpus, watermarkMs } = context
  if (process === null || !isNews) {
    return { subject: gpus.unnamedSubject(node_id, watermarkMs), joins: [] }
  }
  const subject = context.subjectOf(process)
  const before = gpus.named(node_id, subject, watermarkMs)
  return { subject, joins: [...context.chainOf(process), ...before] }
}

function actorOf(event: EventViews['gpu_state']): DriftStory['actor'] {
  const { actor_kind: kind, actor_action: action, actor_age_ms } = event
  return kind === '' ? null : { kind, action, age_ms: actor_age_ms }
}
