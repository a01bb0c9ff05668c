/**
 * How much of the truth each node could deliver, and when not: events that were lost, probes that
 * see less, numbers that are missing, silence, agents that did not run. Bounded. Times are wall
 * clock milliseconds.
 */
import type { Batch } from '../proto/batch.ts'
import { kindInfos } from '../proto/gen/events.ts'
import type { GapView, ProbeStateView } from '../proto/gen/events.ts'
import type { Source } from './names/source-table.ts'

/** One thing that was not seen, as it stands in an incident. `to` is absent while it goes on. */
export type Fault = {
  from: string
  to?: string
} & (
  | {
    fault: 'gap'; event_kind: string; stage: string; reason: string; count: number
    /** Only events of this cgroup were lost: its path, or its id. Absent: of any. */
    cgroup?: string
  }
  | { fault: 'probe'; probe: string; state: string; reason: string; lost: string }
  | { fault: 'hole'; boot_id: string; after_seq: number; before_seq: number; reason: string }
  | { fault: 'silence' }
  | { fault: 'unwatched'; reason: string })

type FaultOf<N extends Fault['fault']> = Omit<Extract<Fault, { fault: N }>, 'fault'>

/** Coverage of an incident. `complete`: nothing is known to be missing. */
export interface Coverage {
  complete: boolean
  nodes: {
    node_id: string
    complete: boolean
    gaps: FaultOf<'gap'>[]
    probes_degraded: FaultOf<'probe'>[]
    holes: FaultOf<'hole'>[]
    silences: FaultOf<'silence'>[]
    /** No agent ran, or what it had was not stored. */
    unwatched: FaultOf<'unwatched'>[]
    /** Faults that are not listed. */
    unlisted: number
  }[]
}

type Kept = { fromMs: number; toMs: number; fault: Fault }

/** One node. Made and changed by the table alone. */
export interface CoveredNode {
  node_id: string
  /** Time of the latest event, and the watermark when the last one came. */
  lastMs: number
  seenMs: number
  /** A silence goes on. */
  silent: boolean
  faults: Kept[]
  /** Faults that were forgotten, all of which ended before. */
  forgotten: number
  forgottenUntilMs: number
}

export type CoverageSnapshot = CoveredNode[]

const NEW_SPOOL = 'the agent began a new spool; what the old one still held is lost'
const MISSING = 'the numbers are missing in the log'
/** By `previous_run` of agent_start. */
const UNWATCHED: Record<string, string> = {
  clean: 'the agent was stopped, and started again',
  unclean: 'the agent was killed or crashed: what it had not stored is lost',
  none: 'first run of the agent since the node booted',
}
const agentStart = kindInfos.find(({ kind }) => kind === 'agent_start')!.number

/** A node that says nothing for so long is silent: three heartbeats. */
export const SILENT_AFTER_MS = 15_000
const FAULTS_MAX = 256
const LISTED_MAX = 10
const NODES_MAX = 20_000
/** Gaps of one kind and cause that are so near are one. */
const MERGE_MS = 10_000

/** @param changed called when what is known of a node in a time range changes */
export class CoverageTable {
  private readonly nodes = new Map<string, CoveredNode>()
  private readonly changed: (nodeId: string, fromMs: number, toMs: number) => void

  constructor(changed: (nodeId: string, fromMs: number, toMs: number) => void) {
    this.changed = changed
  }

  /** The node of a batch; `timeMs` is the time of an event of it. */
  node(nodeId: string, timeMs: number, nowMs: number): CoveredNode {
    return this.nodes.get(nodeId) ?? this.add(nodeId, timeMs, nowMs)
  }

  /** An event of the node came. For every event, so the usual case is three comparisons. */
  seen(node: CoveredNode, timeMs: number, nowMs: number): void {
    if (node.silent) this.endSilence(node)
    if (timeMs > node.lastMs) {
      if (timeMs - node.lastMs > SILENT_AFTER_MS) {
        this.addFault(node, node.lastMs, timeMs, { fault: 'silence', from: '' })
      }
      node.lastMs = timeMs
    }
    node.seenMs = nowMs
  }

  /** Takes the open silence back: whether there was one, or events were late, `seen` now knows. */
  private endSilence(node: CoveredNode): void {
    node.silent = false
    const open = node.faults.findIndex(({ fault, toMs }) =>
      fault.fault === 'silence' && toMs === Infinity)
    if (open < 0) return
    const [late] = node.faults.splice(open, 1)
    this.changed(node.node_id, late.fromMs, Infinity)
  }

  /** The watermark has come to `nowMs`: who has fallen silent? */
  advance(nowMs: number): void {
    for (const node of this.nodes.values()) {
      if (node.silent || nowMs - node.seenMs <= SILENT_AFTER_MS) continue
      node.silent = true
      this.addFault(node, node.lastMs, Infinity, { fault: 'silence', from: '' })
    }
  }

  /**
   * @param clockOffsetMs wall clock minus time since boot
   * @param cgroup the only one that lost events; '' when any may have
   */
  gap(node: CoveredNode, event: GapView, clockOffsetMs: number, cgroup = ''): void {
    const fromMs = Number(event.from_time) / 1e6 + clockOffsetMs
    const toMs = Number(event.to_time) / 1e6 + clockOffsetMs
    const { event_kind, stage, reason, count } = event
    const near = node.faults.find((kept) => {
      const { fault } = kept
      return fault.fault === 'gap' && fault.event_kind === event_kind && fault.stage === stage &&
        fault.reason === reason && (fault.cgroup ?? '') === cgroup &&
        fromMs - kept.toMs <= MERGE_MS && kept.fromMs - toMs <= MERGE_MS
    })
    if (near?.fault.fault !== 'gap') {
      const gap: Fault = {
        fault: 'gap', from: '', event_kind, stage, reason, count,
        ...(cgroup === '' ? {} : { cgroup }),
      }
      this.addFault(node, fromMs, toMs, gap)
      return
    }
    near.fromMs = Math.min(near.fromMs, fromMs)
    near.toMs = Math.max(near.toMs, toMs)
    near.fault.count += count
    this.changed(node.node_id, near.fromMs, near.toMs)
  }

  /** A probe changed: what it lost until now ends, what it loses from now on begins. */
  probe(node: CoveredNode, event: ProbeStateView, timeMs: number): void {
    const { probe, state, reason, lost } = event
    const open = node.faults.find(({ fault, toMs }) =>
      fault.fault === 'probe' && fault.probe === probe && toMs === Infinity)
    if (open?.fault.fault === 'probe' && open.fault.state === state) return
    if (open !== undefined) {
      open.toMs = timeMs
      this.changed(node.node_id, open.fromMs, Infinity)
    }
    if (state === 'attached' || state === 'waiting') return
    this.addFault(node, timeMs, Infinity, { fault: 'probe', from: '', probe, state, reason, lost })
  }

  /** Events after `after` and before `before` are not in the log; `timeMs`: the one after them. */
  hole(
    node: CoveredNode, bootId: string, after: number, before: number, reason: string,
    timeMs: number,
  ): void {
    this.addFault(node, Math.min(node.lastMs, timeMs), timeMs, {
      fault: 'hole', from: '', boot_id: bootId, after_seq: after, before_seq: before, reason,
    })
  }

  /** An agent began at `timeMs`: since the event before, nobody watched the node. */
  unwatched(node: CoveredNode, timeMs: number, reason: string): void {
    if (node.lastMs >= timeMs) return
    this.addFault(node, node.lastMs, timeMs, { fault: 'unwatched', from: '', reason })
  }

  /** Coverage of these nodes from `fromMs` to `toMs`. */
  of(nodeIds: readonly string[], fromMs: number, toMs: number): Coverage {
    const nodes = nodeIds.map((nodeId) => this.ofNode(nodeId, fromMs, toMs))
    return { complete: nodes.every(({ complete }) => complete), nodes }
  }

  private ofNode(nodeId: string, fromMs: number, toMs: number): Coverage['nodes'][number] {
    const node = this.nodes.get(nodeId)
    const touching = (node?.faults ?? []).filter((kept) =>
      kept.fromMs <= toMs && kept.toMs >= fromMs)
    const listed = touching.slice(0, LISTED_MAX)
    const forgotten = node !== undefined && node.forgottenUntilMs >= fromMs ? node.forgotten : 0
    const unlisted = touching.length - listed.length + forgotten
    const pick = <N extends Fault['fault']>(name: N): FaultOf<N>[] => {
      return listed.filter(({ fault }) => fault.fault === name).map((kept) => {
        const { fault: _, ...rest } = kept.fault
        return { ...rest, ...rangeOf(kept) } as unknown as FaultOf<N>
      })
    }
    return {
      node_id: nodeId, complete: touching.length + forgotten === 0,
      gaps: pick('gap'), probes_degraded: pick('probe'), holes: pick('hole'),
      silences: pick('silence'), unwatched: pick('unwatched'), unlisted,
    }
  }

  private addFault(node: CoveredNode, fromMs: number, toMs: number, fault: Fault): void {
    if (node.faults.length >= FAULTS_MAX) {
      // What has ended leaves first: what goes on is the present.
      const ended = node.faults.findIndex((kept) => kept.toMs !== Infinity)
      const [leaving] = node.faults.splice(Math.max(0, ended), 1)
      node.forgotten++
      node.forgottenUntilMs = Math.max(node.forgottenUntilMs, leaving.toMs)
    }
    node.faults.push({ fromMs, toMs, fault })
    this.changed(node.node_id, fromMs, toMs)
  }

  private add(nodeId: string, timeMs: number, nowMs: number): CoveredNode {
    if (this.nodes.size >= NODES_MAX) {
      const order = [...this.nodes.values()].sort((a, b) => a.seenMs - b.seenMs)
      for (const { node_id: leaving } of order.slice(0, NODES_MAX >> 4)) this.nodes.delete(leaving)
    }
    const node = {
      node_id: nodeId, lastMs: timeMs, seenMs: nowMs, silent: false, faults: [],
      forgotten: 0, forgottenUntilMs: 0,
    }
    this.nodes.set(nodeId, node)
    return node
  }

  snapshot(): CoverageSnapshot {
    return [...this.nodes.values()]
  }

  /** Takes over what `snapshot` gave, which must not be used again; this one must be empty. */
  restore(from: CoverageSnapshot): void {
    for (const node of from) this.nodes.set(node.node_id, node)
  }
}

/** Looks at the first event of a batch; gives its node. Calls `hole` when one is missing before. */
export function arrive(
  coverage: CoverageTable, batch: Batch, source: Source, watermarkMs: number, hole: () => void,
): CoveredNode {
  const { node_id, boot_id, first_seq, count, first_time } = batch.envelope
  const timeMs = Number(first_time) / 1e6 + batch.clockOffsetMs
  const node = coverage.node(node_id, timeMs, watermarkMs)
  const start = batch.kinds[0] === agentStart ? batch.columns.agent_start : undefined
  if (start !== undefined && first_seq >= source.nextSeq) {
    const previous = batch.strings[start.previous_run[0]] ?? ''
    coverage.unwatched(node, timeMs, UNWATCHED[previous] ?? 'the agent started')
  }
  if (first_seq > source.nextSeq) {
    hole()
    const fresh = start !== undefined &&
      start.first_seq[0] + start.first_seq[1] * 4294967296 === first_seq
    coverage.hole(node, boot_id, source.nextSeq - 1, first_seq, fresh ? NEW_SPOOL : MISSING,
      timeMs)
  }
  source.nextSeq = Math.max(source.nextSeq, first_seq + count)
  return node
}

function rangeOf({ fromMs, toMs }: Kept): { from: string; to?: string } {
  const from = new Date(fromMs).toISOString()
  return toMs === Infinity ? { from } : { from, to: new Date(toMs).toISOString() }
}
