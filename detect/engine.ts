/**
 * Events in, incidents out. Pure: what comes out is a function of the log and the policy in it.
 * The hot loop reads columns; detectors see one view per kind, moved from row to row.
 */
import { compilePolicy } from '../policy/compile.ts'
import { learningPolicy } from '../policy/learning.ts'
import { parsePolicy } from '../policy/parse.ts'
import type { Policy } from '../policy/policy.ts'
import type { Batch } from '../proto/batch.ts'
import type { Event } from '../proto/batch-cursor.ts'
import { kindInfos, newViews } from '../proto/gen/events.ts'
import { Context } from './context.ts'
import type { RunningDetector } from './context.ts'
import { countersOf } from './engine-counters.ts'
import type { EngineCounters } from './engine-counters.ts'
import { arrive, CoverageTable } from './coverage.ts'
import type { CoveredNode } from './coverage.ts'
import type { Detector } from './detector.ts'
import { IncidentTable } from './incident-table.ts'
import type { IncidentOptions } from './incident-table.ts'
import type { Incident, IncidentUpdate } from './incident.ts'
import { KeyedState } from './state/keyed-state.ts'
import { Lineage } from './lineage.ts'
import type { LineageOptions, LineageProcess } from './lineage.ts'
import { AddressNames } from './names/address-names.ts'
import { cgroupIn } from './names/known.ts'
import type { Known } from './names/known.ts'
import type { AppliedBaseline } from './gpu/baselines.ts'
import { GpuStates } from './gpu/gpu-states.ts'
import { AHEAD } from './graph/ahead.ts'
import { Graph } from './graph/graph.ts'
import type { ConnectionOptions } from './graph/connections.ts'
import { settingsOf } from './state/detector-settings.ts'
import { packState, unpackState } from './state/snapshot.ts'
import type { EngineState } from './state/snapshot.ts'
import { SourceTable } from './names/source-table.ts'
import type { Source } from './names/source-table.ts'
import { StoreStates } from './stores/store-states.ts'
import type { StoreStatesOptions } from './stores/store-states.ts'

export interface EngineOptions {
  detectors: readonly Detector[]
  /** In force until the log says otherwise; default: learning. */
  policy?: Policy
  /** In force whatever the log says: a replay that asks what another policy would do. */
  policyOverride?: Policy
  /** In force whatever the log says of their paths: those that `policyOverride` names. */
  baselines?: readonly AppliedBaseline[]
  lineage?: LineageOptions
  incidents?: IncidentOptions
  connections?: ConnectionOptions
  stores?: StoreStatesOptions
}

const TICK_MS = 500
const numberOfKind = Object.fromEntries(kindInfos.map(({ kind, number }) => [kind, number]))

export class Engine {
  private readonly running: RunningDetector[]
  private readonly subscribers: RunningDetector[][] = Array.from({ length: 256 }, () => [])
  /** Of these, who is asked when the event read nothing of a store. */
  private readonly withoutReads: RunningDetector[][] = Array.from({ length: 256 }, () => [])
  private readonly views: (Event | undefined)[] = []
  private readonly rows = new Uint32Array(256)
  private readonly sources = new SourceTable()
  private readonly coverage: CoverageTable
  private readonly lineage: Lineage
  private readonly graph: Graph
  private readonly names = new AddressNames()
  private readonly gpus = new GpuStates((nodeId) => this.baselineOf(nodeId))
  /** What is usual of stores, for whoever shows it. */
  readonly stores: StoreStates
  private readonly table: IncidentTable
  private readonly context: Context
  private readonly overridden: boolean
  private policyText: string
  /** Processes of the rows of this batch. */
  private processes: (LineageProcess | undefined)[] = []
  private nextTickMs = 0
  private readonly counted =
    { events: 0, events_unknown: 0, duplicates: 0, holes: 0, policies_refused: 0 }

  constructor(options: EngineOptions) {
    this.coverage = new CoverageTable((nodeId, fromMs, toMs) =>
      this.table.coverageChanged(nodeId, fromMs, toMs))
    this.lineage = new Lineage(options.lineage)
    this.graph = new Graph(this.lineage, options.connections, (bytes, at, port) =>
      this.names.size > 0 && this.context.nameOf(bytes, at, port)?.translated === true)
    this.stores = new StoreStates(this.lineage, options.stores)
    this.table = new IncidentTable(this.coverage, options.incidents)
    const policy = options.policyOverride ?? options.policy ?? learningPolicy()
    this.overridden = options.policyOverride !== undefined
    this.gpus.baselines.pin(options.baselines ?? [])
    this.policyText = policy.text
    this.context = new Context(
      compilePolicy(policy), this.lineage, this.sources, this.graph, this.table, this.names,
      this.gpus, this.stores)
    this.running = options.detectors.map((detector) => this.start(detector))
    const last = ({ detector }: RunningDetector): number => Number(detector.afterOthers ?? false)
    for (const running of this.running.toSorted((a, b) => last(a) - last(b))) {
      for (const kind of running.detector.needs) {
        this.subscribers[numberOfKind[kind]].push(running)
        if (!running.detector.readsOnly) this.withoutReads[numberOfKind[kind]].push(running)
      }
    }
    this.applySettings()
    const views = newViews()
    for (const { kind, number } of kindInfos) this.views[number] = views[kind]
  }

  private start(detector: Detector): RunningDetector {
    const { keysMax, idleMs } = detector.state
    const running: RunningDetector = {
      detector, settings: {}, findings: 0, muted: 0,
      states: new KeyedState(keysMax, idleMs, (key, state) => this.context.without(() => {
        this.context.enter(running, key)
        detector.wake?.(state, this.context)
      })),
    }
    return running
  }

  /** Highest event time so far, wall clock milliseconds; 0 before the first event. */
  get watermarkMs(): number { return this.context.watermarkMs }

  /** Who is who by now, for whoever shows events. */
  get known(): Known {
    const { names, lineage, sources, watermarkMs } = this
    return { names, watermarkMs, cgroupOf: (event) => cgroupIn(lineage.cgroups, sources, event) }
  }

  /** Something waits for the watermark to come this far; Infinity when nothing waits. */
  get dueMs(): number {
    const wakeMs = Math.min(...this.running.map(({ states }) => states.wakeMs))
    return Math.min(Math.max(wakeMs, this.nextTickMs), this.table.dueMs)
  }

  get openIncidents(): number { return this.table.openCount }

  /** Bytes of the table of connections, the largest one. */
  get connectionBytes(): number { return this.graph.connections.bytes }

  /** SHA-256 of the policy in force. */
  get policySha256(): string { return this.context.policy.sha256 }

  /** Digest and key of the baselines in force, by path. */
  get baselines(): ReadonlyMap<string, string> { return this.gpus.baselines.identities() }

  /** Every incident that is still kept, as it is now. */
  incidents(): Incident[] {
    return this.table.all()
  }

  /** Evaluates a batch; batches come in log order. Returns what is to be told of incidents. */
  ingest(batch: Batch, position: number): IncidentUpdate[] {
    const { context } = this
    const { envelope } = batch
    const source = this.sources.of(envelope, context.watermarkMs)
    const from = Math.min(envelope.count, Math.max(0, source.nextSeq - envelope.first_seq))
    this.counted.duplicates += from
    if (from < envelope.count) this.walk(batch, source, from)
    return this.table.takeUpdates(position, context.watermarkMs)
  }

  private walk(batch: Batch, source: Source, from: number): void {
    const { kinds } = batch
    const { rows, views, context } = this
    this.open(batch)
    const node = arrive(this.coverage, batch, source, context.watermarkMs, () => {
      this.counted.holes++
    })
    for (let index = 0; index < kinds.length; index++) {
      if (index % AHEAD === 0) {
        this.graph.ahead.look(batch, source.number, index, rows, this.processes)
      }
      const view = views[kinds[index]]
      const row = rows[kinds[index]]++
      if (index < from) continue
      if (view === undefined) {
        this.counted.events_unknown++
        continue
      }
      view.row = row
      view.index = index
      const { columns } = view
      const timeMs = (columns.time[2 * row + 1] * 4294967296 + columns.time[2 * row]) / 1e6 +
        batch.clockOffsetMs
      if (timeMs > context.watermarkMs) this.advance(timeMs)
      this.coverage.seen(node, timeMs, context.watermarkMs)
      this.visit(view, batch, source, node, timeMs)
    }
    this.counted.events += kinds.length - from
  }

  /** Points the views at the columns of a batch. */
  private open(batch: Batch): void {
    this.rows.fill(0)
    for (const { kind, number } of kindInfos) {
      const columns = batch.columns[kind]
      if (columns === undefined) continue
      const view = this.views[number]!
      view.batch = batch
      view.columns = columns as never
    }
    this.processes = new Array<LineageProcess | undefined>(batch.processes.rows).fill(undefined)
  }

  private visit(
    view: Event, batch: Batch, source: Source, node: CoveredNode, timeMs: number,
  ): void {
    const { context } = this
    const row = view.columns.process[view.row]
    let process: LineageProcess | null = null
    if (batch.processes.pid[row] !== 0) {
      process = this.processes[row] ?? null
      if (process === null || process.forgotten) {
        process = this.lineage.ofRow(source, batch, row, context.watermarkMs)
        this.processes[row] = process
        if (process.settledMs === 0) this.graph.seen(process, context.watermarkMs)
      } else if (process.row !== row) this.lineage.update(process, batch, row)
      this.lineage.touch(process, context.watermarkMs)
    }
    context.moveTo(view, process)
    this.stores.current = null
    if (view.kind !== 'connection_open') this.learn(view, source, node, timeMs)
    this.graph.learn(view, source, process, context.watermarkMs)
    const asked = this.stores.current === null ? this.withoutReads : this.subscribers
    for (const running of asked[batch.kinds[view.index]]) this.ask(running, view)
  }

  /** What the engine itself takes from an event. */
  private learn(view: Event, source: Source, node: CoveredNode, timeMs: number): void {
    const { process } = this.context
    switch (view.kind) {
      case 'process_exec':
        if (process !== null) this.lineage.exec(process, view)
        break
      case 'process_exit':
        if (process !== null) process.exitedMs = this.context.watermarkMs
        break
      case 'workload_seen':
        this.lineage.workloadSeen(source, view)
        break
      case 'address_seen':
        this.names.addressSeen(view, this.context.watermarkMs)
        break
      case 'dns_answer':
        this.names.dnsAnswer(view, this.context.watermarkMs)
        break
      case 'node_seen':
        // Zones that were found by what was known of the node are stale.
        if (this.names.nodeSeen(view, this.context.watermarkMs)) this.context.policyNumber++
        this.gpus.judgeAgain([view.node_id])
        break
      case 'store_read':
        this.stores.read(view, process, timeMs)
        break
      case 'connection_close': case 'connection_totals': case 'connection_repeat':
        this.stores.received(view, source.number, process, timeMs, this.context.zones)
        break
      case 'gpu_state':
        this.gpus.learn(view, timeMs, this.context.watermarkMs)
        break
      case 'baseline_applied':
        this.gpus.apply(view)
        break
      case 'gap':
        this.coverage.gap(node, view, view.batch.clockOffsetMs, view.cgroup_id === 0n ? ''
          : this.lineage.cgroups.nameOf(source.number, view.cgroup_id))
        break
      case 'probe_state':
        this.coverage.probe(node, view, timeMs)
        break
      case 'policy_applied':
        this.apply(view.text)
    }
  }

  /** File of the baseline that a node must meet by the policy. */
  private baselineOf(nodeId: string): string | null {
    return this.context.policy.gpus.baselineOf(this.names.nodes.get(nodeId)?.group ?? '')
  }

  private ask(running: RunningDetector, view: Event): void {
    const { context } = this
    const { detector, states } = running
    context.enter(running, 0)
    const key = detector.key(view, context)
    if (key === null) return
    context.enter(running, key)
    let state = states.use(key, context.watermarkMs)
    if (state === undefined) {
      state = detector.state.initial(view, context)
      if (state !== null) states.add(key, state, context.watermarkMs)
    }
    detector.evaluate(view, state, context)
  }

  /** Time has come this far: what waited for it happens, half seconds at a time. */
  private advance(timeMs: number): void {
    this.context.watermarkMs = timeMs
    if (timeMs < this.nextTickMs) return
    this.nextTickMs = (Math.floor(timeMs / TICK_MS) + 1) * TICK_MS
    this.coverage.advance(timeMs)
    this.graph.advance(timeMs)
    this.stores.advance(timeMs)
    for (const { states } of this.running) states.advance(timeMs)
    this.table.advance(timeMs)
  }

  /** The empty text is the learning policy. */
  private apply(text: string): void {
    this.gpus.changes = []
    if (this.overridden) return
    const policy = text === '' ? learningPolicy() : parsePolicy(text).policy
    if (policy === null) {
      this.counted.policies_refused++
      return
    }
    if (policy.sha256 === this.context.policy.sha256) return
    this.policyText = policy.text
    this.context.policy = compilePolicy(policy)
    this.context.policyNumber++
    this.applySettings()
    this.gpus.baselines.retain(this.context.policy.gpus.baselines.map(({ file }) => file))
    this.gpus.judgeAgain()
  }

  private applySettings(): void {
    for (const running of this.running) {
      running.settings = settingsOf(running.detector, this.context.policy)
    }
  }

  counters(): EngineCounters {
    const { running, lineage, sources, graph, names, gpus, stores, table } = this
    const parts = { running, lineage, sources, graph, names, gpus, stores, table }
    return { ...this.counted, ...countersOf(parts) }
  }

  /** Everything that `restore` needs to go on as if nothing had happened, policy included. */
  snapshot(): Uint8Array {
    return packState({
      watermarkMs: this.context.watermarkMs,
      nextTickMs: this.nextTickMs,
      policyText: this.policyText,
      counted: this.counted,
      sources: this.sources.snapshot(),
      coverage: this.coverage.snapshot(),
      lineage: this.lineage.snapshot(),
      graph: this.graph.snapshot(),
      names: this.names.snapshot(),
      gpus: this.gpus.snapshot(),
      stores: this.stores.snapshot(),
      incidents: this.table.snapshot(),
      detectors: this.running.map(({ detector, findings, muted, states }) => {
        return { id: detector.id, findings, muted, states: states.snapshot() }
      }),
    })
  }

  /**
   * The engine that a snapshot was taken of. `policy` of the options is not used: the snapshot has
   * it. A detector that is not in the snapshot starts empty.
   *
   * @throws SnapshotError
   */
  static restore(bytes: Uint8Array, options: EngineOptions): Engine {
    const state = unpackState(bytes)
    const policy = state.policyText === '' ? null : parsePolicy(state.policyText).policy
    const engine = new Engine({ ...options, policy: policy ?? learningPolicy() })
    engine.take(state)
    return engine
  }

  private take(state: EngineState): void {
    this.context.watermarkMs = state.watermarkMs
    this.nextTickMs = state.nextTickMs
    Object.assign(this.counted, state.counted)
    this.sources.restore(state.sources)
    this.coverage.restore(state.coverage)
    this.lineage.restore(state.lineage)
    this.graph.restore(state.graph)
    this.names.restore(state.names)
    this.gpus.restore(state.gpus)
    this.stores.restore(state.stores)
    this.table.restore(state.incidents)
    for (const { id, findings, muted, states } of state.detectors) {
      const running = this.running.find(({ detector }) => detector.id === id)
      if (running === undefined) continue
      running.findings = findings
      running.muted = muted
      running.states.restore(states)
    }
  }
}
