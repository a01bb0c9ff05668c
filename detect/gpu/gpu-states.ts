/**
 * The state of the GPUs of every node, as gpu_state events told it last, and what became different.
 * Bounded. Times are wall clock milliseconds.
 */
import type { CheckedItem, FoundItem } from '../../gpu/baseline/check.ts'
import { checkItem } from '../../gpu/baseline/check.ts'
import { classOfItem } from '../../gpu/state/item-classes.ts'
import type { ItemClass } from '../../gpu/state/item-classes.ts'
import type { Evidence } from '../finding.ts'
import { Baselines } from './baselines.ts'
import type { AppliedBaseline, BaselineInForce, BaselinesSnapshot } from './baselines.ts'

/** What a gpu_state event says; the event itself, or its JSON. */
export interface GpuStateFacts {
  node_id: string
  boot_id: string
  seq: number
  subject: string
  item: string
  value: string
  old_value: string
  reading: string
  reason: string
}

/** An item as it is kept. */
export interface KeptItem extends FoundItem {
  /** Last value that was known; '' when none was. */
  lastKnown: string
  boot_id: string
  seq: number
  /** Since when it is so. */
  sinceMs: number
  /** How often it became different while it was watched. */
  changes: number
}

/** An item that is to be judged: it became different, or what it must be did. */
export interface GpuChange {
  node_id: string
  now: KeptItem
  /** Last value that was known before; '' when none was. */
  old: string
  /** What it is a change of; null: of nothing that is judged without a baseline. */
  of: ItemClass | null
  /** Against the baseline of the node; null when it says nothing of it. */
  checked: CheckedItem | null
  /** The baseline that it was checked against; null when the node has none. */
  baseline: BaselineInForce | null
  /** False: it is told for the first time, or a baseline came into force. */
  isNews: boolean
  evidence: Evidence
}

/** Who changed something on a node last, so that what follows is one story. */
interface Cause { subject: string, atMs: number }

interface NodeStates {
  node_id: string
  items: Map<string, KeptItem>
  touchedMs: number
  /** Path and digest of the baseline that all items were compared with; '' for none. */
  judged: string
  /** The last process that was named for a change; null: none yet. */
  cause: Cause | null
  /** When something changed last and nobody was named for it. */
  unnamedMs: number
}

export type GpuStatesSnapshot = {
  nodes: (Omit<NodeStates, 'items'> & { items: KeptItem[] })[]
  baselines: BaselinesSnapshot
  evictions: number
  left: number
}

export interface GpuStatesOptions {
  nodesMax?: number
  itemsPerNodeMax?: number
  /** Of all nodes together. */
  itemsMax?: number
}

/** What changes within this time on a node has one cause. */
const CAUSE_MS = 120_000

export class GpuStates {
  /** Nodes that were forgotten to make room. */
  evictions = 0
  /** Items that found no room on their node. */
  left = 0
  readonly baselines = new Baselines()
  /** What the event that is being looked at is about. */
  changes: readonly GpuChange[] = []
  readonly #nodes = new Map<string, NodeStates>()
  readonly #options: Required<GpuStatesOptions>
  #items = 0

  readonly #baselineOf: (nodeId: string) => string | null

  /** @param baselineOf path of the baseline of a node by the policy; null when it has none */
  constructor(
    baselineOf: (nodeId: string) => string | null, options: GpuStatesOptions = {},
  ) {
    this.#baselineOf = baselineOf
    this.#options = { nodesMax: 2000, itemsPerNodeMax: 2048, itemsMax: 500_000, ...options }
  }

  /** Items that are kept. */
  get size(): number { return this.#items }

  /** Nodes that told something, in the order in which they came. */
  nodes(): Iterable<string> { return this.#nodes.keys() }

  /** What is known of a node; nothing when it told nothing. */
  itemsOf(nodeId: string): Iterable<KeptItem> {
    return this.#nodes.get(nodeId)?.items.values() ?? []
  }

  /** One item; null when the node did not tell it. */
  item(nodeId: string, subject: string, item: string): KeptItem | null {
    return this.#nodes.get(nodeId)?.items.get(`${subject}\n${item}`) ?? null
  }

  /**
   * Takes an event over; `changes` says then what is to be judged.
   *
   * @param nowMs the watermark
   */
  learn(event: GpuStateFacts, timeMs: number, nowMs: number): void {
    const { node_id, subject, item } = event
    const baseline = this.baselineFor(node_id)
    const node = this.#nodeOf(node_id, identityOf(baseline), nowMs)
    const before = node.items.get(`${subject}\n${item}`)
    const now = keptOf(event, before, timeMs)
    this.#keep(node, now, before)
    const isSame = before !== undefined && before.reading === now.reading &&
      before.value === now.value
    const old = before?.lastKnown || event.old_value
    const isNews = before !== undefined || event.old_value !== ''
    this.changes = isSame ? [] : [this.#changeOf(node_id, now, old, isNews, baseline)]
  }

  /** Takes over a baseline_applied event; `changes` says then what differs from it. */
  apply(applied: AppliedBaseline): void {
    this.changes = []
    if (this.baselines.apply(applied)) this.judgeAgain()
  }

  /** Compares nodes again whose baseline is another one now; `changes` are items that differ. */
  judgeAgain(nodeIds: Iterable<string> = this.#nodes.keys()): void {
    this.changes = [...nodeIds].flatMap((nodeId) => this.#judgeNode(nodeId))
  }

  /** All that is known of one class of items, as if it had just been told for the first time. */
  everything(of: ItemClass): GpuChange[] {
    return [...this.#nodes.values()].flatMap(({ node_id, items }) => {
      const baseline = this.baselineFor(node_id)
      return [...items.values()].filter((one) => classOfItem(one.subject, one.item) === of)
        .map((now) => this.#changeOf(node_id, now, now.lastKnown, false, baseline))
    })
  }

  #judgeNode(nodeId: string): GpuChange[] {
    const node = this.#nodes.get(nodeId)
    const baseline = this.baselineFor(nodeId)
    if (node === undefined || node.judged === identityOf(baseline)) return []
    node.judged = identityOf(baseline)
    if (baseline === null) return []
    return [...node.items.values()]
      .map((now) => this.#changeOf(nodeId, now, now.lastKnown, false, baseline))
      .filter(({ checked }) => checked?.verdict === 'differs')
  }

  /** What a node must be; null when nothing is said or known of it. */
  baselineFor(nodeId: string): BaselineInForce | null {
    const path = this.#baselineOf(nodeId)
    return path === null ? null : this.baselines.get(path)
  }

  /**
   * The subject of what is found about a change that nobody is named for: of the last process that
   * was, when that is not long ago.
   */
  unnamedSubject(nodeId: string, nowMs: number): string {
    const node = this.#nodes.get(nodeId)
    if (node === undefined) return unnamed(nodeId)
    if (node.cause !== null && nowMs - node.cause.atMs <= CAUSE_MS) return node.cause.subject
    node.unnamedMs = nowMs
    return unnamed(nodeId)
  }

  /** A process of `subject` was named; the subjects of what was found just before. */
  named(nodeId: string, subject: string, nowMs: number): string[] {
    const node = this.#nodes.get(nodeId)
    if (node === undefined) return []
    node.cause = { subject, atMs: nowMs }
    return nowMs - node.unnamedMs <= CAUSE_MS ? [unnamed(nodeId)] : []
  }

  #changeOf(
    nodeId: string, now: KeptItem, old: string, isNews: boolean, baseline: BaselineInForce | null,
  ): GpuChange {
    const wanted = baseline?.index.expected(now.subject, now.item)
    return {
      node_id: nodeId, now, old, isNews, baseline, of: classOfItem(now.subject, now.item),
      checked: wanted === undefined ? null : checkItem(now, wanted),
      evidence: { node_id: nodeId, boot_id: now.boot_id, seq: now.seq },
    }
  }

  #nodeOf(nodeId: string, judged: string, nowMs: number): NodeStates {
    let node = this.#nodes.get(nodeId)
    if (node === undefined) {
      if (this.#nodes.size >= this.#options.nodesMax) this.#evict()
      node = { node_id: nodeId, items: new Map(), touchedMs: nowMs, judged, cause: null,
        unnamedMs: -Infinity }
      this.#nodes.set(nodeId, node)
    }
    node.touchedMs = nowMs
    return node
  }

  #keep(node: NodeStates, now: KeptItem, before: KeptItem | undefined): void {
    const { itemsPerNodeMax, itemsMax } = this.#options
    if (before === undefined) {
      if (node.items.size >= itemsPerNodeMax) {
        this.left++
        return
      }
      if (this.#items >= itemsMax && this.#nodes.size > 1) this.#evict(node)
      this.#items++
    }
    node.items.set(`${now.subject}\n${now.item}`, now)
  }

  /** The node that said nothing for the longest time leaves. */
  #evict(except?: NodeStates): void {
    const oldest = [...this.#nodes.values()].filter((node) => node !== except)
      .reduce((a, b) => b.touchedMs < a.touchedMs ? b : a)
    this.#nodes.delete(oldest.node_id)
    this.#items -= oldest.items.size
    this.evictions++
  }

  snapshot(): GpuStatesSnapshot {
    const nodes = [...this.#nodes.values()].map((node) =>
      ({ ...node, items: [...node.items.values()] }))
    const { evictions, left } = this
    return { nodes, baselines: this.baselines.snapshot(), evictions, left }
  }

  /** Takes over what `snapshot` gave, which must not be used again; this one must be empty. */
  restore(from: GpuStatesSnapshot): void {
    for (const { items, ...node } of from.nodes) {
      const byName = new Map(items.map((one) => [`${one.subject}\n${one.item}`, one]))
      this.#nodes.set(node.node_id, { ...node, items: byName })
      this.#items += items.length
    }
    this.baselines.restore(from.baselines)
    this.evictions = from.evictions
    this.left = from.left
  }
}

function keptOf(
  { subject, item, value, old_value, reading, reason, boot_id, seq }: GpuStateFacts,
  before: KeptItem | undefined, timeMs: number,
): KeptItem {
  const isKnown = reading === 'known'
  if (before !== undefined && before.reading === reading && before.value === value) {
    return { ...before, reason }
  }
  return {
    subject, item, value, reason, boot_id, seq, sinceMs: timeMs,
    reading: reading as FoundItem['reading'],
    lastKnown: isKnown ? value : before?.lastKnown ?? old_value,
    changes: before === undefined ? Number(old_value !== '') : before.changes + 1,
  }
}

function identityOf(baseline: BaselineInForce | null): string {
  return baseline === null ? '' : `${baseline.path} ${baseline.sha256}`
}

function unnamed(nodeId: string): string {
  return `GPUs of ${nodeId}`
}
