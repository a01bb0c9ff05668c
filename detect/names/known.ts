/** Who is who, for whoever shows events: what the engine knows, or what a reader of the log saw. */
import type { Event } from '../../proto/batch-cursor.ts'
import type { EventView } from '../../proto/event-view.ts'
import { SourceTable } from './source-table.ts'
import { AddressNames } from './address-names.ts'
import { CgroupTable } from './cgroup-table.ts'
import type { Cgroup } from './cgroup-table.ts'

/** Asking changes nothing that anybody could see. */
export interface Known {
  readonly names: AddressNames
  /** Wall clock milliseconds. */
  readonly watermarkMs: number
  /** The cgroup of the process of an event; null when nothing is known of it. */
  cgroupOf(event: EventView): Cgroup | null
}

/** Kinds that `KnownFacts` learns from. */
export const FACT_KINDS: readonly string[] = ['workload_seen', 'address_seen', 'node_seen',
  'dns_answer']

/** What the events of a log say, from wherever one began to read. Bounded as the engine is. */
export class KnownFacts implements Known {
  readonly names = new AddressNames()
  watermarkMs = 0
  private readonly cgroups = new CgroupTable()
  private readonly sources = new SourceTable()

  /** Takes over what an event says; events come in the order of the log. */
  learn(event: Event): void {
    this.watermarkMs = Math.max(this.watermarkMs, event.time_ms)
    switch (event.kind) {
      case 'workload_seen':
        this.cgroups.learn(this.sources.of(event.batch.envelope, this.watermarkMs).number, event)
        break
      case 'address_seen':
        this.names.addressSeen(event, this.watermarkMs)
        break
      case 'node_seen':
        this.names.nodeSeen(event, this.watermarkMs)
        break
      case 'dns_answer':
        this.names.dnsAnswer(event, this.watermarkMs)
    }
  }

  cgroupOf(event: EventView): Cgroup | null {
    return cgroupIn(this.cgroups, this.sources, event)
  }
}

/** The cgroup of the process of an event, from the tables of whoever knows. */
export function cgroupIn(
  cgroups: CgroupTable, sources: SourceTable, event: EventView,
): Cgroup | null {
  const source = sources.find(event.node_id, event.boot_id)
  const { batch, process } = event
  const { cgroup_id: ids } = batch.processes
  const id = (BigInt(ids[2 * process + 1]) << 32n) | BigInt(ids[2 * process])
  const path = batch.strings[batch.processes.cgroup_path[process]] ?? ''
  return source === null ? null : cgroups.find(source.number, id, path)
}
