/** The zones of an event by a policy. Events do not hold them, so that a changed policy counts. */
import { unitOf } from '../../detect/names/cgroup-table.ts'
import type { CompiledPolicy } from '../../policy/compile.ts'
import { NO_ZONE } from '../../policy/compile.ts'
import type { Batch } from '../../proto/batch.ts'
import type { Event } from '../../proto/batch-cursor.ts'
import { eventJson } from '../../proto/event-json.ts'
import type { EventJson } from '../../proto/event-json.ts'

/** Names of zones; left out where the event has no such end. */
export interface EventZones {
  zone?: string
  remote_zone?: string
}

/** Names the zones of events; keeps the zone of each process of the batch it last looked at. */
export class EventZoner {
  readonly #policy: CompiledPolicy
  readonly #learning: boolean
  #batch: Batch | null = null
  // By row of the batch's processes; absent: not looked up yet.
  #zones: (number | undefined)[] = []

  constructor(policy: CompiledPolicy) {
    this.#policy = policy
    // Without zones of its own a policy says the same of everything.
    this.#learning = policy.learning
  }

  /** Zones of the event's process and, for connections, of the other end. */
  zonesOf(event: Event): EventZones {
    if (this.#learning) return {}
    const policy = this.#policy
    const processZone = event.pid === 0 ? NO_ZONE : this.#processZone(event)
    switch (event.kind) {
      case 'connection_open':
      case 'connection_close':
      case 'connection_failed': {
        const { local_addr, remote_addr } = event.columns
        const at = 16 * event.row
        const near = policy.nearZone(processZone, local_addr, at, remote_addr, at)
        const far = policy.farZone(processZone, local_addr, at, remote_addr, at)
        return { zone: policy.zones[near], remote_zone: policy.zones[far] }
      }
      default:
        return processZone === NO_ZONE ? {} : { zone: policy.zones[processZone] }
    }
  }

  /** The JSON of docs/events.md with `zone` and `remote_zone`. */
  json(event: Event): EventJson {
    return { ...eventJson(event), ...this.zonesOf(event) }
  }

  #processZone(event: Event): number {
    const { batch, process } = event
    if (batch !== this.#batch) {
      this.#batch = batch
      this.#zones = []
    }
    return this.#zones[process] ??= this.#policy.zoneOfProcess({
      exe: event.exe, cgroup_path: event.cgroup_path, systemd_unit: unitOf(event.cgroup_path),
    })
  }
}
