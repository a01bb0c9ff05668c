/** What a detector may ask and do while it looks at an event. */
import type { CompiledPolicy } from '../policy/compile.ts'
import type { Verdict } from '../policy/match/flow-rules.ts'
import { parseAddress } from '../proto/address.ts'
import type { EventView } from '../proto/event-view.ts'
import { protocolNames } from '../proto/gen/events.ts'
import type { Detector } from './detector.ts'
import type { Evidence, Finding, Json, Severity } from './finding.ts'
import type { Amendment, IncidentTable } from './incident-table.ts'
import type { KeyedState } from './state/keyed-state.ts'
import { processIdentity } from './lineage.ts'
import type { Lineage, LineageProcess } from './lineage.ts'
import type { GpuStates } from './gpu/gpu-states.ts'
import type { AddressName, AddressNames } from './names/address-names.ts'
import { Zones } from './names/zones.ts'
import { flag, means } from './graph/connection-columns.ts'
import type { Graph } from './graph/graph.ts'
import { sideOf } from './graph/sides.ts'
import { pathsTo } from './graph/walk.ts'
import type { Step } from './graph/walk.ts'
import type { ConnectionEvent, OneConnectionEvent } from './graph/sides.ts'
import type { SourceTable } from './names/source-table.ts'
import type { StoreStates } from './stores/store-states.ts'

export { ACCEPTED, OUTGOING, sideOf } from './graph/sides.ts'
export type { ConnectionEvent, OneConnectionEvent } from './graph/sides.ts'

/** The other end of a connection, when it is watched too. */
export interface Peer {
  process: LineageProcess | null
  evidence: Evidence
}

/** A detector with its memory, its settings by the policy in force, and what it counted. */
export interface RunningDetector {
  detector: Detector
  states: KeyedState<unknown>
  settings: Record<string, number>
  findings: number
  muted: number
}

/** Address of what is on no network. */
const NOWHERE = new Uint8Array(16)
/** Arguments of ancestors are shortened: they repeat in every finding. */
const ANCESTOR_ARGS_CHARS_MAX = 160

/** One object, moved from event to event by the engine. */
export class Context {
  /** Highest event time so far, wall clock milliseconds. */
  watermarkMs = 0
  policy: CompiledPolicy
  /** Number of the policy: what was derived from another one is stale. */
  policyNumber = 0
  /** Process of the event; null when none is known. */
  process: LineageProcess | null = null
  private event: EventView | null = null
  private running: RunningDetector | null = null
  private key: string | number = 0
  readonly zones: Zones
  private readonly names: AddressNames
  private readonly lineage: Lineage
  private readonly sources: SourceTable
  /** Who led to whom. */
  readonly graph: Graph
  /** What the GPUs of every node are, and what of it the event changed. */
  readonly gpus: GpuStates
  /** What is usual of stores, and what of them the event and running processes read. */
  readonly stores: StoreStates
  private readonly incidents: IncidentTable

  constructor(
    policy: CompiledPolicy, lineage: Lineage, sources: SourceTable, graph: Graph,
    incidents: IncidentTable, names: AddressNames, gpus: GpuStates, stores: StoreStates,
  ) {
    this.gpus = gpus
    this.stores = stores
    this.policy = policy
    this.names = names
    this.zones = new Zones(this, names)
    this.lineage = lineage
    this.sources = sources
    this.graph = graph
    this.incidents = incidents
  }

  /** For the engine: the next event; null for a wake-up. */
  moveTo(event: EventView | null, process: LineageProcess | null): void {
    this.event = event
    this.process = process
  }

  /** For the engine: calls `act` as if there were no event, and then goes on where it was. */
  without(act: () => void): void {
    const { event, process, running, key } = this
    this.moveTo(null, null)
    act()
    this.moveTo(event, process)
    Object.assign(this, { running, key })
  }

  /** For the engine: the detector that is asked next, and its key. */
  enter(running: RunningDetector, key: string | number): void {
    this.running = running
    this.key = key
  }

  /** A threshold by the policy in force. */
  setting(name: string): number {
    return this.running!.settings[name]
  }

  /** Zone of a process by the policy, `NO_ZONE` when none holds it. Kept per process. */
  zoneOf(process: LineageProcess | null): number {
    return this.zones.ofProcess(process)
  }

  /**
   * Whom an address stands for: pod, Service, node, or by name servers alone (kind ''). Null when
   * nothing is known of it. `wordOf` makes a word of it.
   *
   * @param bytes column of addresses, 16 bytes at `at`
   * @param port where the address listens; 0 when not known
   */
  nameOf(bytes: Uint8Array, at: number, port = 0): AddressName | null {
    return this.names.find(bytes, at, port, this.watermarkMs)
  }

  /** False when no policy in force could forbid this connection: most, while it only learns. */
  mayCross(event: ConnectionEvent): boolean {
    const { local_addr: near, remote_addr: far } = event.columns
    const at = 16 * event.row
    return this.policy.mayCross(near, at, far, at)
  }

  /** Zone of the end of the connection that the event is about. */
  nearZone(event: ConnectionEvent): number {
    return this.zones.near(event, this.process)
  }

  /** Zone of the other end, as well as it is known. */
  farZone(event: ConnectionEvent, peer: Peer | null): number {
    return this.zones.far(event, this.process, peer?.process ?? null)
  }

  /**
   * Whether zone `from` may open this connection to zone `to`, and by which flow.
   *
   * @param opener the process that opens it; null when it is not known
   * @param accepted the event is of the accepting end
   */
  verdict(
    event: ConnectionEvent, from: number, to: number, opener: LineageProcess | null,
    accepted: boolean,
  ): Verdict {
    return this.zones.verdict(event, from, to, opener, accepted)
  }

  /** Name of a zone. */
  zoneName(zone: number): string {
    return this.policy.zones[zone] ?? ''
  }

  /** The connection as a number that is the same from both ends. A state can be kept by it. */
  connection(_event: OneConnectionEvent): number {
    const { low, high } = this.graph.key
    return (high & 0x1fffff) * 4294967296 + low
  }

  /** The other end, when its event came before this one. */
  peer(event: OneConnectionEvent): Peer | null {
    const { current, connections: { columns } } = this.graph
    if (current < 0) return null
    const near = sideOf(event)
    const client = near !== flag.clientSeen
    const seen = client ? flag.clientSeen : flag.serverSeen
    if ((columns.flags.get(current) & seen) === 0) return null
    return {
      process: this.lineage.get(this.graph.otherProcess(near)),
      evidence: this.evidenceOf(current, client)!,
    }
  }

  /** The event of one end of a connection of the graph; null when it was not seen. */
  evidenceOf(slot: number, client: boolean): Evidence | null {
    const { columns } = this.graph.connections
    const sources = client ? columns.clientSource : columns.serverSource
    const source = this.sources.get(sources.get(slot))
    if (source === null) return null
    const { node_id, boot_id } = source
    return { node_id, boot_id, seq: (client ? columns.clientSeq : columns.serverSeq).get(slot) }
  }

  /**
   * The ways that lead to a connection of the graph, each from its beginning on, the likeliest
   * first; the connection itself is the last step of all. `actor` is the process that connects.
   */
  pathsTo(connection: number, actor: LineageProcess | null): Step[][] {
    return pathsTo(this.graph, (number) => this.lineage.get(number), connection, actor)
  }

  /** Zones of the two ends of a connection of the graph, the client's first. */
  zonesOfConnection(slot: number, client: LineageProcess | null): [from: number, to: number] {
    const { columns } = this.graph.connections
    const { clientAddr, serverAddr, clientPort, serverPort } = columns
    const server = this.lineage.get(columns.server.get(slot))
    if (columns.means.get(slot) !== means.network) {
      return this.zones.ofEnds(client, server, NOWHERE, NOWHERE, 0, 0, 0)
    }
    return this.zones.ofEnds(client, server, clientAddr, serverAddr, columns.addressAt(slot),
      clientPort.get(slot), serverPort.get(slot))
  }

  /** Zone of the accepting end of a connection of the graph, which has been seen. */
  zoneOfServer(slot: number): number {
    const { columns } = this.graph.connections
    const { server, serverAddr, clientAddr, serverPort } = columns
    const process = this.lineage.get(server.get(slot))
    const at = columns.addressAt(slot)
    return this.zones.nearOf(process, serverAddr, clientAddr, at, serverPort.get(slot))
  }

  /** As `verdict`, of a connection of the graph. */
  verdictOfConnection(
    slot: number, from: number, to: number, client: LineageProcess | null,
  ): Verdict {
    const { columns } = this.graph.connections
    const { clientAddr, serverAddr, serverPort, protocol } = columns
    const name = protocolNames[protocol.get(slot)] ?? ''
    return this.zones.verdictOf(
      from, to, client, clientAddr, serverAddr, columns.addressAt(slot), serverPort.get(slot),
      name)
  }

  /** A process by its number; null when it is forgotten. */
  processOf(number: number): LineageProcess | null {
    return this.lineage.get(number)
  }

  /** Another process of the same node and boot; null when it is not known. */
  processBeside({ source }: LineageProcess, pid: number, start: bigint): LineageProcess | null {
    return this.lineage.find(source, pid, Number(start & 0xffffffffn), Number(start >> 32n))
  }

  /** The parent, its parent and so on, at most 16; ends where nothing more is known. */
  ancestry(process: LineageProcess): LineageProcess[] {
    return this.lineage.ancestry(process)
  }

  subjectOf(process: LineageProcess): string {
    return this.lineage.subjectOf(process)
  }

  workloadOf(process: LineageProcess): string {
    return this.lineage.workloadOf(process)
  }

  /** The process and where it comes from, for the details of a finding. */
  describe(process: LineageProcess): { [key: string]: Json } {
    const { pid, uid, comm, exe, node_id } = process
    const zone = this.zoneOf(process)
    return {
      node_id, pid, process_id: processIdentity(process), uid, comm, exe,
      args: argumentsOf(process, Infinity), cgroup_path: process.cgroup.path,
      workload: this.workloadOf(process), zone: zone < 0 ? '' : this.zoneName(zone),
      ancestry: this.lineage.ancestry(process).map((ancestor) => ({
        pid: ancestor.pid, process_id: processIdentity(ancestor), uid: ancestor.uid,
        exe: ancestor.exe, args: argumentsOf(ancestor, ANCESTOR_ARGS_CHARS_MAX),
      })),
    }
  }

  /** Identity of the event. */
  get evidence(): Evidence {
    const { node_id, boot_id, seq } = this.event!
    return { node_id, boot_id, seq }
  }

  /**
   * Reports a finding; the id of its incident, null while the detector is muted. In `wake` there is
   * no event and no process: what has a default from them must be given.
   */
  report(finding: Finding): string | null {
    const running = this.running!
    const { process } = this
    const { detector } = running
    const wallNs = finding.wallNs ?? this.event!.wall_ns
    const mute = this.policy.detectors.get(detector.id)?.mute
    if (mute && Number(wallNs / 1_000_000n) < mute.untilMs) {
      running.muted++
      return null
    }
    running.findings++
    const nodes = finding.nodes ?? [this.event!.node_id]
    return this.incidents.add(detector, {
      ...finding, wallNs,
      subject: finding.subject ?? this.subjectOfEvent(),
      severity: finding.severity ?? detector.severity,
      evidence: finding.evidence ?? [this.evidence],
      zones: finding.zones ?? [],
      stores: finding.stores ?? [],
      workloads: finding.workloads ?? (process === null ? [] : [this.workloadOf(process)]),
      nodes,
      totals: finding.totals ?? {},
      joins: finding.joins ?? (process === null ? [] : this.chainOf(process)),
    }, this.watermarkMs, (address) => this.nodeOf(address))
  }

  /** Adds to a finding of this detector; `incident` from `report`. */
  amend(incident: string, key: string, amendment: Amendment): void {
    const wallNs = this.event?.wall_ns
    this.incidents.amend(incident, this.running!.detector.id, key, { wallNs, ...amendment },
      this.watermarkMs)
  }

  /** True while what is reported goes into this incident. */
  isOpen(incident: string): boolean {
    return this.incidents.isOpen(incident)
  }

  /** Asks for `wake` for the key of this call, so many milliseconds of the watermark from now. */
  wakeIn(ms: number): void {
    this.running!.states.wakeAt(this.key, this.watermarkMs + ms)
  }

  /** Forgets the state of the key of this call. */
  forget(): void {
    this.running!.states.delete(this.key)
  }

  /** Who connected, where a chain that was raised led to the process: it is one story. */
  chainOf({ origins }: LineageProcess): string[] {
    const { flags, client } = this.graph.connections.columns
    return (origins?.inherited ?? []).flatMap((origin) => {
      const { connection: slot, of } = origin
      if (of > 1 || !this.graph.rules.isAlive(origin)) return []
      if ((flags.get(slot) & flag.inChain) === 0) return []
      const caller = this.lineage.get(client.get(slot))
      return caller === null ? [] : [this.subjectOf(caller)]
    })
  }

  /** The node that has an address, or a pod with it; '' when that is not known. */
  private nodeOf(address: string): string {
    return this.names.find(parseAddress(address), 0, 0, this.watermarkMs)?.on_node ?? ''
  }

  private subjectOfEvent(): string {
    return this.process !== null ? this.subjectOf(this.process) : `node ${this.event!.node_id}`
  }
}

/** One step down, for an attempt that did not succeed. */
export function milder(severity: Severity): Severity {
  return severity === 'critical' ? 'high' : severity === 'high' ? 'medium' : 'low'
}

function argumentsOf({ args }: LineageProcess, charsMax: number): string[] {
  if (args === '') return []
  return (args.length > charsMax ? `${args.slice(0, charsMax)}…` : args).split('\0')
}
