/**
 * Who talks in a range of the log, and with whom: the first of the two passes that learn a policy.
 * It looks at each end by itself. Bounded: what does not fit is counted.
 */
import { formatAddress, parseAddress } from '../../proto/address.ts'
import type { Event } from '../../proto/batch-cursor.ts'
import { drillEnd } from '../match/drill-ranges.ts'
import { isLoopback } from '../match/cidr.ts'

/** Processes of one executable in one cgroup of one node, and what is known of the cgroup. */
export interface Member {
  node_id: string
  node_group: string
  namespace: string
  /** Each "key=value". */
  labels: string[]
  service_account: string
  /** Of the job or, failing that, the only one that the node is in; '' where there is none. */
  slurm_partition: string
  cgroup_path: string
  workload: string
  exe: string
  /** Its own addresses, as text. */
  addresses: Set<string>
}

/** What an address was seen to do from the side of those who talked with it. */
export interface Remote {
  /** Services that it was asked for, such as `443/tcp`. */
  serves: Set<string>
  /** Services that it asked for. */
  asks: Set<string>
}

/** What the pass found. */
export interface Census {
  members: Member[]
  /** Addresses that watched processes have themselves. */
  own: Set<string>
  /** Addresses that events say who they are: pods and services. */
  named: Set<string>
  /** The other ends, by address. */
  remotes: Map<string, Remote>
  /** DNS names that were given for an address. */
  names: Map<string, string[]>
  /** Nodes that were watched. */
  nodes: Map<string, NodeFacts>
  /** Events about connections. */
  ends: number
  /** Times that something new did not fit. */
  unlisted: number
}

/** What is known of a node. */
export interface NodeFacts {
  /** '' where none is known. */
  group: string
  partitions: readonly string[]
}

export interface CensusOptions {
  membersMax?: number
  addressesMax?: number
}

/** What is kept of one member or address. */
const ADDRESSES_EACH_MAX = 64
const SERVICES_EACH_MAX = 64
const NAMES_EACH_MAX = 8
/** What a policy can hold as it is. */
const DNS_NAME = /^[-a-z0-9_]+(\.[-a-z0-9_]+)+$/
const NODES_MAX = 20_000
const ACCEPTED = 2

/** Facts of a cgroup, by node, boot and cgroup id. */
type Facts = Pick<Member, 'namespace' | 'labels' | 'service_account' | 'slurm_partition'>

/** Kinds whose events hold facts that a later range needs as well: read them from the beginning. */
export const FACT_KINDS: ReadonlySet<string> = new Set(
  ['workload_seen', 'address_seen', 'node_seen', 'agent_start', 'dns_answer', 'policy_applied',
    'store_seen'])

/** Takes events in the order of the log; call `finish` once, at the end. */
export class CensusTaker {
  readonly #members = new Map<string, Member>()
  readonly #cgroupOf = new Map<Member, string>()
  readonly #facts = new Map<string, Facts>()
  readonly #census: Census = {
    members: [], own: new Set(), named: new Set(), remotes: new Map(), names: new Map(),
    nodes: new Map(), ends: 0, unlisted: 0,
  }
  readonly #membersMax: number
  readonly #addressesMax: number

  constructor(options: CensusOptions = {}) {
    this.#membersMax = options.membersMax ?? 20_000
    this.#addressesMax = options.addressesMax ?? 65_536
  }

  /** Facts count whenever they come; ends only when they are in the range. */
  take(event: Event, inRange: boolean): void {
    switch (event.kind) {
      case 'workload_seen':
        return this.#learn(event)
      case 'address_seen':
        if (event.address_kind === 'pod' || event.address_kind === 'service') {
          this.#keep(this.#census.named, event.seen_addr, this.#addressesMax)
        }
        return
      case 'node_seen':
        this.#node(event.node_id, event.node_group, event.slurm_partitions)
        for (const address of event.addresses.flatMap(asEventsSayIt)) {
          this.#keep(this.#census.own, address, this.#addressesMax)
        }
        return
      case 'agent_start':
        return this.#node(event.node_id, event.node_group)
      case 'dns_answer':
        return this.#answer(event)
      case 'connection_open':
      case 'connection_close':
      case 'connection_repeat':
      case 'datagram_flow':
      case 'rdma_connection':
        if (inRange) this.#end(event)
    }
  }

  #learn(event: Extract<Event, { kind: 'workload_seen' }>): void {
    const { namespace, labels, service_account, slurm_partition } = event
    const key = cgroupKey(event)
    if (this.#facts.size >= this.#membersMax && !this.#facts.has(key)) {
      this.#census.unlisted++
      return
    }
    // What a job says of itself decides nothing where anyone else says something.
    const partition = event.facts_source === 'environment' ? '' : slurm_partition
    this.#facts.set(key, { namespace, labels, service_account, slurm_partition: partition })
  }

  #answer({ name, addresses, response_code: code }: Extract<Event, { kind: 'dns_answer' }>): void {
    if (code !== 0 || !DNS_NAME.test(name)) return
    const { names } = this.#census
    for (const address of addresses) {
      const known = names.get(address)
      if (known?.includes(name)) continue
      if (known === undefined ? names.size >= this.#addressesMax : known.length >= NAMES_EACH_MAX) {
        this.#census.unlisted++
      } else if (known === undefined) names.set(address, [name])
      else known.push(name)
    }
  }

  #node(nodeId: string, group = '', partitions?: readonly string[]): void {
    const { nodes } = this.#census
    const known = nodes.get(nodeId)
    if (known === undefined && nodes.size >= NODES_MAX) this.#census.unlisted++
    else if (known === undefined) nodes.set(nodeId, { group, partitions: partitions ?? [] })
    else if (group !== '' || partitions !== undefined) {
      nodes.set(nodeId, {
        group: group || known.group, partitions: partitions ?? known.partitions,
      })
    }
  }

  #end(event: EndEvent): void {
    const { local_addr: near, remote_addr: far } = event.columns
    const at = 16 * event.row
    if (isLoopback(far, at) || drillEnd(near, at, far, at) !== null) return
    this.#census.ends++
    this.#node(event.node_id)
    const { local_addr: local, remote_addr: remote } = event
    if (event.pid !== 0) {
      const member = this.#member(event)
      if (member !== null && !isLoopback(near, at)) {
        this.#keep(member.addresses, local, ADDRESSES_EACH_MAX)
      }
    }
    if (!isLoopback(near, at)) this.#keep(this.#census.own, local, this.#addressesMax)
    if (local === remote) return
    const accepted = event.columns.direction[event.row] === ACCEPTED
    const port = accepted ? event.local_port : event.remote_port
    const kept = this.#remote(remote)
    if (kept === null) return
    this.#keep(accepted ? kept.asks : kept.serves, `${port}/${event.protocol}`, SERVICES_EACH_MAX)
  }

  #member(event: EndEvent): Member | null {
    const cgroup = cgroupKey(event)
    const key = `${cgroup} ${event.exe}`
    let member = this.#members.get(key)
    if (member === undefined) {
      if (this.#members.size >= this.#membersMax) {
        this.#census.unlisted++
        return null
      }
      member = {
        node_id: event.node_id, node_group: '', namespace: '', labels: [], service_account: '',
        slurm_partition: '', cgroup_path: '', workload: '', exe: event.exe, addresses: new Set(),
      }
      this.#members.set(key, member)
      this.#cgroupOf.set(member, cgroup)
    }
    member.cgroup_path ||= event.cgroup_path
    member.workload ||= event.workload
    return member
  }

  #remote(address: string): Remote | null {
    const { remotes } = this.#census
    let remote = remotes.get(address)
    if (remote !== undefined) return remote
    if (remotes.size >= this.#addressesMax) {
      this.#census.unlisted++
      return null
    }
    remotes.set(address, remote = { serves: new Set(), asks: new Set() })
    return remote
  }

  #keep(set: Set<string>, text: string, max: number): void {
    if (set.has(text)) return
    if (set.size >= max) this.#census.unlisted++
    else set.add(text)
  }

  /** What was found, with the facts that came late. In an order that the log alone decides. */
  finish(): Census {
    const { nodes } = this.#census
    for (const member of this.#members.values()) {
      Object.assign(member, this.#facts.get(this.#cgroupOf.get(member)!))
      const { group = '', partitions = [] } = nodes.get(member.node_id) ?? {}
      member.node_group = group
      if (partitions.length === 1) member.slurm_partition ||= partitions[0]
    }
    this.#census.members = [...this.#members.entries()]
      .sort(([a], [b]) => a < b ? -1 : 1).map(([, member]) => member)
    return this.#census
  }
}

type EndEvent = Extract<Event, { kind: 'connection_open' | 'connection_close'
  | 'connection_repeat' | 'datagram_flow' | 'rdma_connection' }>

/** None for what is no address: the list is the word of a node. */
function asEventsSayIt(text: string): string[] {
  try {
    return [formatAddress(parseAddress(text))]
  } catch {
    return []
  }
}

function cgroupKey({ node_id, boot_id, cgroup_id, cgroup_path }: Event): string {
  return `${node_id} ${boot_id} ${cgroup_id === 0n ? cgroup_path : cgroup_id}`
}
