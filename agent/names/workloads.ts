// Which cgroups belong to a pod or job, and what is known of it. Facts come before or after the
// cgroups: whichever is later makes the event.

import type { WorkloadSeen } from '../../proto/gen/events.ts'
import type { Cgroup } from '../enrich/cgroups.ts'

/** What `workload_seen` says beside what the path of the cgroup says. */
export type WorkloadFacts = Partial<Pick<WorkloadSeen, 'namespace' | 'pod_name' | 'service_account'
  | 'labels' | 'owner' | 'slurm_job' | 'slurm_partition' | 'slurm_user' | 'slurm_job_name'
  | 'facts_source'>>

export interface WorkloadsOptions {
  seen(workload: Partial<WorkloadSeen>): void
  /** Cgroups of all workloads together; beyond it the oldest workload leaves, counted. */
  cgroupsMax?: number
  /** Facts of workloads that have ended are kept so long: their last events come late. */
  endedMs?: number
}

interface Known {
  cgroups: Map<bigint, Cgroup>
  facts: WorkloadFacts | undefined
  /** 0 while it lives. */
  endedMs: number
}

/** Keyed by `pod:UID` and `job:ID`, as the paths of cgroups name them. */
export class Workloads {
  /** Workloads that were forgotten to make room. */
  evictions = 0
  readonly #options: Required<WorkloadsOptions>
  readonly #known = new Map<string, Known>()
  #cgroups = 0

  constructor(options: WorkloadsOptions) {
    this.#options = { cgroupsMax: 8192, endedMs: 600_000, ...options }
  }

  get size(): number { return this.#known.size }

  /** A cgroup of the workload was found. True when its facts are not known. */
  addCgroup(key: string, cgroup: Cgroup): boolean {
    const known = this.#of(key)
    if (!known.cgroups.has(cgroup.id)) {
      known.cgroups.set(cgroup.id, cgroup)
      this.#cgroups++
      this.#makeRoom(key)
      if (known.facts) this.#tell(cgroup, known.facts)
    }
    return known.facts === undefined
  }

  /** The facts of a workload, now known or changed. */
  setFacts(key: string, facts: WorkloadFacts): void {
    const known = this.#of(key)
    known.endedMs = 0
    if (JSON.stringify(known.facts) === JSON.stringify(facts)) return
    known.facts = facts
    this.#makeRoom(key)
    for (const cgroup of known.cgroups.values()) this.#tell(cgroup, facts)
  }

  /** Its facts are kept for a while. */
  ended(key: string, nowMs: number): void {
    const known = this.#known.get(key)
    if (known) known.endedMs = nowMs
    for (const [other, { endedMs }] of this.#known) {
      if (endedMs !== 0 && nowMs - endedMs > this.#options.endedMs) this.#forget(other)
    }
  }

  #of(key: string): Known {
    let known = this.#known.get(key)
    if (!known) this.#known.set(key, known = { cgroups: new Map(), facts: undefined, endedMs: 0 })
    return known
  }

  #makeRoom(keep: string): void {
    const { cgroupsMax } = this.#options
    for (const key of this.#known.keys()) {
      if (this.#cgroups <= cgroupsMax && this.#known.size <= cgroupsMax) return
      if (key === keep) continue
      this.#forget(key)
      this.evictions++
    }
  }

  #forget(key: string): void {
    this.#cgroups -= this.#known.get(key)?.cgroups.size ?? 0
    this.#known.delete(key)
  }

  #tell({ id, path, workload }: Cgroup, facts: WorkloadFacts): void {
    this.#options.seen({ cgroup_id: id, cgroup_path: path, ...workload, ...facts })
  }
}
