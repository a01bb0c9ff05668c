/**
 * The zones of an event by a policy, and whom its far address stands for. Events do not hold them,
 * so that a changed policy and a late fact count.
 */
import type { AddressName } from '../../detect/names/address-names.ts'
import { wordOf } from '../../detect/names/address-names.ts'
import { CgroupTable } from '../../detect/names/cgroup-table.ts'
import type { Known } from '../../detect/names/known.ts'
import { addressFacts, processFacts } from '../../detect/names/zones.ts'
import type { CompiledPolicy } from '../../policy/compile.ts'
import { NO_ZONE } from '../../policy/compile.ts'
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

  /** The JSON of docs/events.md with `zone`, `remote_zone` and `remote_workload`. */
  json(event: Event): EventJson {
    return { ...eventJson(event), ...this.zonesOf(event) }
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
    const { exe, workload, cgroup_path: path, node_id } = event
    const cgroup = known?.cgroupOf(event) ?? this.#unknown
    const node = known?.names.nodes.get(node_id) ?? null
    const placed = cgroup.path === '' ? { ...cgroup, path } : cgroup
    return this.#policy.zoneOfProcess(processFacts(exe, workload, placed, node))
  }
}
