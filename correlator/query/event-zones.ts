/**
 * What a policy says of an event: its zones, whom its far address stands for, and who reads or
 * changes a store. Events do not hold it, so that a changed policy and a late fact count.
 */
import type { AddressName } from '../../detect/names/address-names.ts'
import { wordOf } from '../../detect/names/address-names.ts'
import { CgroupTable } from '../../detect/names/cgroup-table.ts'
import type { Known } from '../../detect/names/known.ts'
import { OUTGOING } from '../../detect/graph/sides.ts'
import { className, classOf } from '../../detect/names/workload-class.ts'
import { addressFacts, processFacts } from '../../detect/names/zones.ts'
import type { CompiledPolicy } from '../../policy/compile.ts'
import { NO_ZONE } from '../../policy/compile.ts'
import type { ProcessFacts } from '../../policy/match/process-rules.ts'
import type { Event } from '../../proto/batch-cursor.ts'
import { eventJson } from '../../proto/event-json.ts'
import type { EventJson } from '../../proto/event-json.ts'

/** Left out where the event has no such end, or nothing is known of it. */
export interface EventZones {
  zone?: string
  remote_zone?: string
  /** Pod, Service or node behind the far address, or its name by DNS. */
  remote_workload?: string
}

/** Of an event in which somebody reads, lists or changes a store; left out otherwise. */
export interface EventStores {
  /** Of a connection: the store at its far end. */
  store?: string
  /** Workloads that do the same work, which is what one is compared with. */
  workload_class?: string
  /** Whether the policy lets it; left out where it does not say. */
  permitted?: boolean
}

/** A fact may come so long after the first events with the address. */
const LATE_MS = 60_000

/** Names the zones of events. */
export class EventZoner {
  readonly #policy: CompiledPolicy
  readonly #known: () => Known | null
  readonly #learning: boolean
  readonly #unknown = new CgroupTable().none

  /** @param known who is who; without it, only what events say of themselves counts */
  constructor(policy: CompiledPolicy, known: () => Known | null = () => null) {
    this.#policy = policy
    this.#known = known
    // Without zones of its own a policy says the same of everything.
    this.#learning = policy.learning
  }

  /** Zones of the event's process and, for connections, of the other end. */
  zonesOf(event: Event): EventZones {
    const known = this.#known()
    const far = 'remote_addr' in event.columns && 'local_addr' in event.columns
      ? event.columns : null
    const name = far === null ? null : this.#nameOf(known, event, far.remote_addr,
      'remote_port' in far ? far.remote_port[event.row] : 0)
    const word = wordOf(name)
    const zones: EventZones = word === '' ? {} : { remote_workload: word }
    if (this.#learning) return zones
    const policy = this.#policy
    const zone = event.pid === 0 ? NO_ZONE : this.#processZone(known, event)
    if (far === null) return zone === NO_ZONE ? zones : { zone: policy.zones[zone], ...zones }
    const { local_addr, remote_addr } = far
    const at = 16 * event.row
    const own = zone === NO_ZONE ? this.#nameOf(known, event, local_addr, 0) : null
    const nearNamed = this.#namedZone(known, own, local_addr, at)
    const farNamed = this.#namedZone(known, name, remote_addr, at)
    const near = policy.nearZone(zone, local_addr, at, remote_addr, at, nearNamed)
    const other =
      policy.farZone(zone, local_addr, at, remote_addr, at, NO_ZONE, nearNamed, farNamed)
    return { zone: policy.zones[near], remote_zone: policy.zones[other], ...zones }
  }

  /** The store that the event's process reads or changes; who may read it may list it. */
  storesOf(event: Event): EventStores {
    const { stores } = this.#policy
    const known = this.#known()
    const files = event.kind === 'store_read' || event.kind === 'store_write' ||
      event.kind === 'store_listing'
    const store = files ? event.store : this.#storeBehind(known, event)
    if (store === '') return {}
    if (event.pid === 0) return { store }
    const { uid, exe, comm, workload } = event
    const cgroup = known?.cgroupOf(event) ?? this.#unknown
    const facts = this.#factsOf(known, event)
    const zone = this.#policy.zoneOfProcess(facts)
    const { allowed } = event.kind === 'store_write' ? stores.mayWrite(store, facts, zone)
      : stores.mayRead(store, facts, zone)
    return {
      store, ...allowed !== null && { permitted: allowed },
      workload_class: className(classOf({ cgroup, rowWorkload: workload, uid, exe, comm })),
    }
  }

  /** The JSON of docs/events.md with what the policy says of it. */
  json(event: Event): EventJson {
    return { ...eventJson(event), ...this.zonesOf(event), ...this.storesOf(event) }
  }

  /** The store at the far end of a connection that was opened here; '' for none. */
  #storeBehind(known: Known | null, event: Event): string {
    const { stores } = this.#policy
    if (!stores.hasEndpoints) return ''
    if (!('direction' in event.columns) || !('remote_addr' in event.columns)) return ''
    const { columns: { direction, remote_addr, remote_port }, row } = event
    if (direction[row] !== OUTGOING) return ''
    const port = remote_port[row]
    const name = this.#nameOf(known, event, remote_addr, port)
    const facts = known === null || name === null ? {}
      : addressFacts(name, known.names.nodes, this.#policy)
    return stores.storeOfConnection(remote_addr, 16 * row, port, facts) ?? ''
  }

  /** Null also for a name that the address got after the event: it was another one's then. */
  #nameOf(
    known: Known | null, event: Event, bytes: Uint8Array, port: number,
  ): AddressName | null {
    const name = known?.names.find(bytes, 16 * event.row, port, known.watermarkMs) ?? null
    return name !== null && name.sinceMs <= event.time_ms + LATE_MS ? name : null
  }

  #namedZone(
    known: Known | null, name: AddressName | null, bytes: Uint8Array, at: number,
  ): number {
    if (known === null || name === null) return NO_ZONE
    const facts = addressFacts(name, known.names.nodes, this.#policy)
    return this.#policy.zoneOfNamed(bytes, at, facts)
  }

  #processZone(known: Known | null, event: Event): number {
    return this.#policy.zoneOfProcess(this.#factsOf(known, event))
  }

  #factsOf(known: Known | null, event: Event): ProcessFacts {
    const { exe, workload, cgroup_path: path, node_id } = event
    const cgroup = known?.cgroupOf(event) ?? this.#unknown
    const node = known?.names.nodes.get(node_id) ?? null
    const placed = cgroup.path === '' ? { ...cgroup, path } : cgroup
    return processFacts(exe, workload, placed, node)
  }
}
