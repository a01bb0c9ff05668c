/** What is known of cgroups. Processes point here, so that a late fact reaches all at once. */
import type { WorkloadSeenView } from '../../proto/gen/events.ts'

export interface Cgroup {
  number: number
  /** Key in the table: source and id or, without an id, the path. */
  key: string
  source: number
  /** The 64-bit id as two words; zeros when not known. */
  idLow: number
  idHigh: number
  path: string
  /** From `workload_seen`; '' when none came. */
  workload: string
  /** Counts the changes: what was derived from the facts is stale when it differs. */
  version: number
}

export type CgroupSnapshot = { cgroups: Cgroup[]; forgotten: Cgroup[]; nextNumber: number }

const CGROUPS_MAX = 65_536
const systemdUnit = /\.(service|scope|mount|socket|swap)$/

export class CgroupTable {
  /** Of processes of which no cgroup is known. */
  readonly none: Cgroup = {
    number: 0, key: '', source: 0, idLow: 0, idHigh: 0, path: '', workload: '', version: 0,
  }

  private readonly byKey = new Map<string, Cgroup>()
  private nextNumber = 1

  /**
   * The cgroup that a row of a process dictionary names, `current` when the row says nothing new.
   * The first path of a cgroup stays: the kernel does not rename cgroups.
   */
  follow(current: Cgroup, source: number, idLow: number, idHigh: number, path: string): Cgroup {
    const unnamed = idLow === 0 && idHigh === 0
    if (unnamed && (path === '' || path === current.path)) return current
    const same = !unnamed && current.idLow === idLow && current.idHigh === idHigh
    const key = unnamed ? `${source}:${path}` : idKey(source, idLow, idHigh)
    const cgroup = same && current !== this.none ? current
      : this.byKey.get(key) ?? this.add(key, source, idLow, idHigh)
    if (cgroup.path === '' && path !== '') {
      cgroup.path = path
      cgroup.version++
    }
    return cgroup
  }

  /** Takes over the facts of a `workload_seen` event. */
  learn(source: number, event: WorkloadSeenView): void {
    const id = event.cgroup_id
    const [low, high] = [Number(id & 0xffffffffn), Number(id >> 32n)]
    const key = id === 0n ? `${source}:${event.cgroup_path}` : idKey(source, low, high)
    const cgroup = this.byKey.get(key) ?? this.add(key, source, low, high)
    if (event.cgroup_path !== '') cgroup.path = event.cgroup_path
    if (event.workload !== '') cgroup.workload = event.workload
    cgroup.version++
  }

  private add(key: string, source: number, idLow: number, idHigh: number): Cgroup {
    // The oldest leave. Their processes keep them; only late facts no longer arrive there.
    if (this.byKey.size >= CGROUPS_MAX) {
      const oldest = [...this.byKey.keys()].slice(0, CGROUPS_MAX >> 4)
      for (const leaving of oldest) this.byKey.delete(leaving)
    }
    const cgroup = {
      number: this.nextNumber++, key, source, idLow, idHigh, path: '', workload: '', version: 0,
    }
    this.byKey.set(key, cgroup)
    return cgroup
  }

  /** @param used cgroups of processes, also those that are no longer in the table */
  snapshot(used: Iterable<Cgroup>): CgroupSnapshot {
    const forgotten = new Set<Cgroup>()
    for (const cgroup of used) {
      if (cgroup !== this.none && this.byKey.get(cgroup.key) !== cgroup) forgotten.add(cgroup)
    }
    return {
      cgroups: [...this.byKey.values()], forgotten: [...forgotten], nextNumber: this.nextNumber,
    }
  }

  /**
   * Takes over what `snapshot` gave, which must not be used again; this one must be empty.
   * Returns the cgroups by number.
   */
  restore(from: CgroupSnapshot): ReadonlyMap<number, Cgroup> {
    const byNumber = new Map([[0, this.none]])
    for (const cgroup of from.cgroups) this.byKey.set(cgroup.key, cgroup)
    for (const cgroup of [...from.cgroups, ...from.forgotten]) byNumber.set(cgroup.number, cgroup)
    this.nextNumber = from.nextNumber
    return byNumber
  }
}

/**
 * The systemd unit of a cgroup path, null when none. The outermost: what is further inside was made
 * by the workload itself and can have any name.
 */
export function unitOf(path: string): string | null {
  return path.split('/').find((segment) => systemdUnit.test(segment)) ?? null
}

function idKey(source: number, idLow: number, idHigh: number): string {
  return `${source}:${idHigh}:${idLow}`
}
