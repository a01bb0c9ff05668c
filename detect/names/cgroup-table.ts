/** What is known of cgroups. Processes point here, so that a late fact reaches all at once. */
import type { WorkloadSeenView } from '../../proto/gen/events.ts'

/** What the orchestrator says of what runs in a cgroup; '' for what is not known. Plain data. */
export interface CgroupFacts {
  pod_uid: string
  namespace: string
  pod_name: string
  /** Name of the service account, without its namespace. */
  service_account: string
  /** Labels of the pod, each `key=value`. */
  labels: readonly string[]
  /** What made the pod, such as `Deployment/llm`. */
  owner: string
  slurm_job: string
  slurm_partition: string
  slurm_user: string
  slurm_job_name: string
  /** Partition, user and name of the job are what it says of itself. */
  slurm_self_told: boolean
  container_id: string
}

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
  /** From `workload_seen`; null while none came. */
  facts: CgroupFacts | null
  /** Counts the changes: what was derived from the facts is stale when it differs. */
  version: number
}

export type CgroupSnapshot = { cgroups: Cgroup[]; forgotten: Cgroup[]; nextNumber: number }

const CGROUPS_MAX = 65_536
const LABELS_MAX = 64
const systemdUnit = /\.(?:service|scope|mount|socket|swap)(?=\/|$)/

export class CgroupTable {
  /** Of processes of which no cgroup is known. */
  readonly none: Cgroup = {
    number: 0, key: '', source: 0, idLow: 0, idHigh: 0, path: '', workload: '',
    facts: null, version: 0,
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

  /** The cgroup of an id and, for one without, a path; null when nothing is known of it. */
  find(source: number, id: bigint, path: string): Cgroup | null {
    const key = id === 0n ? `${source}:${path}`
      : idKey(source, Number(id & 0xffffffffn), Number(id >> 32n))
    return this.byKey.get(key) ?? null
  }

  /** How a cgroup of this id is called: its path, or its id when that is not known. */
  nameOf(source: number, id: bigint): string {
    const path = this.byKey.get(idKey(source, Number(id & 0xffffffffn), Number(id >> 32n)))?.path
    return path || `cgroup ${id}`
  }

  /** Takes over the facts of a `workload_seen` event. */
  learn(source: number, event: WorkloadSeenView): void {
    const id = event.cgroup_id
    const [low, high] = [Number(id & 0xffffffffn), Number(id >> 32n)]
    const key = id === 0n ? `${source}:${event.cgroup_path}` : idKey(source, low, high)
    const cgroup = this.byKey.get(key) ?? this.add(key, source, low, high)
    if (event.cgroup_path !== '') cgroup.path = event.cgroup_path
    if (event.workload !== '') cgroup.workload = event.workload
    cgroup.facts = mergedFacts(cgroup.facts, event)
    cgroup.version++
  }

  private add(key: string, source: number, idLow: number, idHigh: number): Cgroup {
    // The oldest leave. Their processes keep them; only late facts no longer arrive there.
    if (this.byKey.size >= CGROUPS_MAX) {
      const oldest = [...this.byKey.keys()].slice(0, CGROUPS_MAX >> 4)
      for (const leaving of oldest) this.byKey.delete(leaving)
    }
    const cgroup: Cgroup = {
      number: this.nextNumber++, key, source, idLow, idHigh, path: '', workload: '',
      facts: null, version: 0,
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
  const ending = systemdUnit.exec(path)
  if (ending === null) return null
  const { index } = ending
  return path.slice(path.lastIndexOf('/', index) + 1, index + ending[0].length)
}

/** What was known stays where an event says nothing: each source tells its own part. */
function mergedFacts(known: CgroupFacts | null, event: WorkloadSeenView): CgroupFacts {
  const { facts_source: source } = event
  const told = source === 'slurm' || source === 'environment'
  // What Slurm said is not replaced by what the job says.
  const keep = source === 'environment' && known !== null && !known.slurm_self_told &&
    known.slurm_partition !== ''
  return {
    pod_uid: event.pod_uid || (known?.pod_uid ?? ''),
    namespace: event.namespace || (known?.namespace ?? ''),
    pod_name: event.pod_name || (known?.pod_name ?? ''),
    service_account: event.service_account || (known?.service_account ?? ''),
    // A pod can lose its last label.
    labels: source === 'kubernetes' ? event.labels.slice(0, LABELS_MAX) : known?.labels ?? [],
    owner: event.owner || (known?.owner ?? ''),
    slurm_job: event.slurm_job || (known?.slurm_job ?? ''),
    slurm_partition: (keep ? '' : event.slurm_partition) || (known?.slurm_partition ?? ''),
    slurm_user: (keep ? '' : event.slurm_user) || (known?.slurm_user ?? ''),
    slurm_job_name: (keep ? '' : event.slurm_job_name) || (known?.slurm_job_name ?? ''),
    slurm_self_told: told && !keep ? source === 'environment' : known?.slurm_self_told ?? false,
    container_id: event.container_id || (known?.container_id ?? ''),
  }
}

function idKey(source: number, idLow: number, idHigh: number): string {
  return `${source}:${idHigh}:${idLow}`
}
