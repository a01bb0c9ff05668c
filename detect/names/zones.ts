/** The zones of both ends of a connection, by the policy in force and by what is known of them. */
import { NO_ZONE } from '../../policy/compile.ts'
import type { CompiledPolicy } from '../../policy/compile.ts'
import { explainConnection } from '../../policy/explain.ts'
import type { EndFacts, Explanation } from '../../policy/explain.ts'
import type { AddressFacts } from '../../policy/match/address-rules.ts'
import type { FlowIdentity, Verdict } from '../../policy/match/flow-rules.ts'
import type { ProcessFacts } from '../../policy/match/process-rules.ts'
import type { ConnectionEvent } from '../context.ts'
import type { LineageProcess } from '../lineage.ts'
import { NOT_KEPT } from './address-names.ts'
import type { AddressName, AddressNames } from './address-names.ts'
import { unitOf } from './cgroup-table.ts'
import type { Cgroup } from './cgroup-table.ts'
import type { NodeFacts, NodeTable } from './node-table.ts'

/** What is in force; the context. */
interface InForce {
  readonly policy: CompiledPolicy
  /** Another one when the policy, or what is known of nodes, has changed. */
  readonly policyNumber: number
  readonly watermarkMs: number
}

/** Facts of a process, and what they were made of. */
interface KeptFacts {
  facts: ProcessFacts
  program: ProcessFacts
  exe: string
  rowWorkload: string
  cgroup: Cgroup
  version: number
  policyNumber: number
}

const NO_NAMES: readonly string[] = []

export class Zones {
  private readonly inForce: InForce
  private readonly names: AddressNames
  /** As long as the process is known. */
  private readonly facts = new WeakMap<LineageProcess, KeptFacts>()
  private readonly identity = {
    serviceAccount: null as string | null, from: null as Uint8Array | null, fromOffset: 0,
    toNames: NO_NAMES,
  } satisfies FlowIdentity

  constructor(inForce: InForce, names: AddressNames) {
    this.inForce = inForce
    this.names = names
  }

  /** Zone of a process, `NO_ZONE` when none holds it. Kept per process. */
  ofProcess(process: LineageProcess | null): number {
    if (process === null) return NO_ZONE
    const { policy, policyNumber } = this.inForce
    if (process.zonePolicy === policyNumber && process.zoneCgroup === process.cgroup.version) {
      return process.zone
    }
    const { exe, rowWorkload, cgroup, node_id } = process
    const node = this.names.nodes.get(node_id)
    // Of few of all processes the facts are asked for again: these are not kept.
    process.zone = policy.zoneOfProcess(processFacts(exe, rowWorkload, cgroup, node))
    process.zonePolicy = policyNumber
    process.zoneCgroup = process.cgroup.version
    return process.zone
  }

  /** Zone of an address of which more is known than its bytes, `NO_ZONE` otherwise. */
  ofNamed(bytes: Uint8Array, at: number, port: number): number {
    const { policy, policyNumber, watermarkMs } = this.inForce
    const kept = this.names.keptZone(bytes, at, watermarkMs, policyNumber, NO_ZONE)
    if (kept !== NOT_KEPT) return kept
    const name = this.names.find(bytes, at, port, watermarkMs)
    const zone = name === null ? NO_ZONE : policy.zoneOfNamed(bytes, at, this.factsOfName(name))
    this.names.keepZone(bytes, at, name, policyNumber, zone)
    return zone
  }

  /** Zone of the end that the event is about; `process` is the one there. */
  near({ columns, row }: ConnectionEvent, process: LineageProcess | null): number {
    const { local_addr: near, remote_addr: far } = columns
    return this.nearOf(process, near, far, 16 * row, columns.local_port[row])
  }

  /** Zone of the other end; `peer` is the process there, null when it is not known. */
  far(
    { columns, row }: ConnectionEvent, process: LineageProcess | null, peer: LineageProcess | null,
  ): number {
    const { local_addr: near, remote_addr: far } = columns
    const [nearPort, farPort] = [columns.local_port[row], columns.remote_port[row]]
    return this.farOf(process, peer, near, far, 16 * row, nearPort, farPort)
  }

  /** As `near`, of an end whose addresses are at `at` in two columns. */
  nearOf(
    process: LineageProcess | null, near: Uint8Array, far: Uint8Array, at: number,
    nearPort: number,
  ): number {
    const zone = this.ofProcess(process)
    const named = zone === NO_ZONE ? this.ofNamed(near, at, nearPort) : NO_ZONE
    return this.inForce.policy.nearZone(zone, near, at, far, at, named)
  }

  /** As `far`, of the other end of a connection whose addresses are at `at` in two columns. */
  farOf(
    process: LineageProcess | null, peer: LineageProcess | null, near: Uint8Array, far: Uint8Array,
    at: number, nearPort: number, farPort: number,
  ): number {
    const zone = this.ofProcess(process)
    const peerZone = this.ofProcess(peer)
    const nearNamed = zone === NO_ZONE ? this.ofNamed(near, at, nearPort) : NO_ZONE
    const farNamed = peerZone === NO_ZONE ? this.ofNamed(far, at, farPort) : NO_ZONE
    return this.inForce.policy.farZone(zone, near, at, far, at, peerZone, nearNamed, farNamed)
  }

  /** Zones of who opens a connection and of the other end; addresses are at `at` in two columns. */
  ofEnds(
    client: LineageProcess | null, server: LineageProcess | null, clientAddr: Uint8Array,
    serverAddr: Uint8Array, at: number, clientPort: number, serverPort: number,
  ): [from: number, to: number] {
    if (client === null) {
      return [this.farOf(server, null, serverAddr, clientAddr, at, serverPort, clientPort),
        this.nearOf(server, serverAddr, clientAddr, at, serverPort)]
    }
    return [this.nearOf(client, clientAddr, serverAddr, at, clientPort),
      this.farOf(client, server, clientAddr, serverAddr, at, clientPort, serverPort)]
  }

  /** A process of a pod of which no more than the cgroup is known yet: its names may still come. */
  awaitsNames(process: LineageProcess | null): boolean {
    if (process === null) return false
    const { facts, workload } = process.cgroup
    return !facts?.namespace && Boolean(facts?.pod_uid || workload.startsWith('pod:') ||
      process.rowWorkload.startsWith('pod:'))
  }

  /**
   * Whether `from` may open this connection to `to`, with all that is known of who opens it.
   *
   * @param opener the process that opens it, null when it is not known
   * @param accepted the event is of the accepting end
   */
  verdict(
    event: ConnectionEvent, from: number, to: number, opener: LineageProcess | null,
    accepted: boolean,
  ): Verdict {
    const { columns, row } = event
    const [source, target] = accepted ? [columns.remote_addr, columns.local_addr]
      : [columns.local_addr, columns.remote_addr]
    const port = accepted ? event.local_port : event.remote_port
    return this.verdictOf(from, to, opener, source, target, 16 * row, port, event.protocol)
  }

  /** As `verdict`; the addresses of who opens it and of the other end are at `at`. */
  verdictOf(
    from: number, to: number, opener: LineageProcess | null, source: Uint8Array,
    target: Uint8Array, at: number, port: number, protocol: string,
  ): Verdict {
    const identity = this.identityOf(opener, source, target, at, port)
    const exe = opener?.exe || null
    return this.inForce.policy.flowAllowed(from, to, port, protocol, exe, identity)
  }

  /**
   * The connection of an event with all that decides about it, for `explainConnection`.
   *
   * @param peer the process at the other end, null when it is not known
   */
  explain(
    event: ConnectionEvent, process: LineageProcess | null, peer: LineageProcess | null,
    accepted: boolean,
  ): Explanation {
    const { columns, row, local_port, remote_port } = event
    const { local_addr, remote_addr } = columns
    const at = 16 * row
    const near = this.endOf(process, local_addr, at, local_port)
    const far = this.endOf(peer, remote_addr, at, remote_port)
    near.zone = this.near(event, process)
    far.zone = this.far(event, process, peer)
    const [from, to] = accepted ? [far, near] : [near, far]
    const port = accepted ? local_port : remote_port
    const identity = accepted
      ? this.identityOf(peer, remote_addr, local_addr, at, port)
      : this.identityOf(process, local_addr, remote_addr, at, port)
    return explainConnection(this.inForce.policy, from, to, port, event.protocol, identity)
  }

  private endOf(
    process: LineageProcess | null, bytes: Uint8Array, at: number, port: number,
  ): EndFacts {
    const name = this.names.find(bytes, at, port, this.inForce.watermarkMs)
    return {
      process: process === null ? null : this.factsOfProcess(process),
      address: bytes.slice(at, at + 16), named: name === null ? {} : this.factsOfName(name),
    }
  }

  /** Always the same object: it holds until the next call. */
  private identityOf(
    opener: LineageProcess | null, source: Uint8Array, target: Uint8Array, at: number,
    port: number,
  ): FlowIdentity {
    const { identity, inForce } = this
    identity.serviceAccount = opener === null ? this.accountAt(source, at)
      : this.serviceAccountOf(opener)
    identity.from = source
    identity.fromOffset = at
    const name = this.names.find(target, at, port, inForce.watermarkMs)
    identity.toNames = believedNames(name, inForce.policy)
    return identity
  }

  /** `namespace/name`; '' for a process in no pod; null when it is not known. */
  serviceAccountOf(process: LineageProcess | null): string | null {
    if (process === null) return null
    const { facts, path, workload } = process.cgroup
    if (facts !== null && facts.service_account !== '') {
      return `${facts.namespace}/${facts.service_account}`
    }
    const known = facts !== null || path !== ''
    const pod = facts?.pod_uid || workload.startsWith('pod:') ||
      process.rowWorkload.startsWith('pod:')
    return known && !pod ? '' : null
  }

  /** Of an opener that is known by its address alone. */
  private accountAt(bytes: Uint8Array, at: number): string | null {
    const name = this.names.find(bytes, at, 0, this.inForce.watermarkMs)
    return name !== null && name.service_account !== '' ? accountOf(name) : null
  }

  /** All that the policy can ask of a process. The same object until something of it changes. */
  factsOfProcess(process: LineageProcess): ProcessFacts {
    return this.kept(process).facts
  }

  /** Of these its program and unit alone: what it is, and not where it runs. */
  programOfProcess(process: LineageProcess): ProcessFacts {
    return this.kept(process).program
  }

  private kept(process: LineageProcess): KeptFacts {
    const { exe, rowWorkload, cgroup, node_id } = process
    const { policyNumber } = this.inForce
    const known = this.facts.get(process)
    if (known?.exe === exe && known.rowWorkload === rowWorkload && known.cgroup === cgroup &&
      known.version === cgroup.version && known.policyNumber === policyNumber) return known
    const facts = processFacts(exe, rowWorkload, cgroup, this.names.nodes.get(node_id))
    const program = { exe, systemd_unit: facts.systemd_unit }
    const kept = {
      facts, program, exe, rowWorkload, cgroup, version: cgroup.version, policyNumber,
    }
    this.facts.set(process, kept)
    return kept
  }

  /** Group of a node; '' when it has none, or none is known. */
  groupOf(nodeId: string): string {
    return this.names.nodes.get(nodeId)?.group ?? ''
  }

  /**
   * The store that answers at the far end of a connection that was opened here; '' for none.
   *
   * @param bytes column of addresses, 16 bytes at `at`
   */
  storeAt(bytes: Uint8Array, at: number, port: number): string {
    const { policy: { stores }, watermarkMs } = this.inForce
    if (!stores.hasEndpoints) return ''
    const name = stores.hasNamedEndpoints ? this.names.find(bytes, at, port, watermarkMs) : null
    const facts = name === null ? {} : this.factsOfName(name)
    return stores.storeOfConnection(bytes, at, port, facts) ?? ''
  }

  private factsOfName(name: AddressName): AddressFacts {
    return addressFacts(name, this.names.nodes, this.inForce.policy)
  }
}

/** All that the policy can ask of a process in a cgroup on a node. */
export function processFacts(
  exe: string, workload: string, cgroup: Cgroup, node: NodeFacts | null,
): ProcessFacts {
  const { path, facts } = cgroup
  return {
    workload: cgroup.workload || workload,
    namespace: facts?.namespace,
    service_account: facts?.service_account ? `${facts.namespace}/${facts.service_account}` : '',
    labels: facts?.labels,
    slurm_partition: facts?.slurm_partition, slurm_user: facts?.slurm_user,
    slurm_self_told: facts?.slurm_self_told ?? false,
    exe, cgroup_path: path, systemd_unit: unitOf(path),
    node_group: node?.group, node_labels: node?.labels, node_partitions: node?.partitions,
  }
}

/** All that the policy can ask of an address. */
export function addressFacts(
  name: AddressName, nodes: NodeTable, policy: CompiledPolicy,
): AddressFacts {
  const node = name.on_node === '' ? null : nodes.get(name.on_node)
  const isNode = name.kind === 'node'
  return {
    workload: name.workload, namespace: name.namespace,
    service_account: name.service_account === '' ? '' : accountOf(name),
    // The labels of a node are no labels of a pod: whoever labels nodes does not place pods.
    labels: isNode ? [] : name.labels,
    node_group: node?.group, node_partitions: node?.partitions,
    node_labels: node?.labels ?? (isNode ? name.labels : []),
    dns_names: believedNames(name, policy),
    inside: isNode || name.kind === 'pod' || name.kind === 'service',
  }
}

function believedNames(name: AddressName | null, policy: CompiledPolicy): readonly string[] {
  if (name === null || name.dns.length === 0) return NO_NAMES
  return name.dns.filter((one) => policy.believes(one.server, 0)).map((one) => one.name)
}

function accountOf({ namespace, service_account }: AddressName): string {
  return `${namespace}/${service_account}`
}
