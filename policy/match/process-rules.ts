import { FactRules } from './fact-rules.ts'
import type { NodeFacts, Rule, WorkloadFacts } from './fact-rules.ts'

/** What is known of a process; null, absent or '' where it is not known. */
export type ProcessFacts = WorkloadFacts & NodeFacts & {
  exe?: string | null
  cgroup_path?: string | null
  systemd_unit?: string | null
  slurm_partition?: string | null
  slurm_user?: string | null
  /** Partition and user are what the job says of itself, not what Slurm says. */
  slurm_self_told?: boolean
}

/**
 * Finds the zone of a process. In this order, the first that matches decides:
 *
 * 1. what the orchestrator says of the pod (workload, service account, labels, namespace) or job
 *    (user, partition),
 * 2. the executable, 3. the systemd unit, 4. the cgroup path, since each contains the one before,
 * 5. the node (labels, group, partitions that it is in),
 * 6. what a job says of itself.
 *
 * The orchestrator is asked before the executable since whoever fills a container can put any
 * program at any path; and a job's own word counts only where nobody else says anything. Among
 * patterns of one kind the most specific wins, then the first in the file. Not for the hot path:
 * callers keep the answer per process.
 */
export class ProcessRules {
  readonly #rules: FactRules

  constructor(rules: FactRules) {
    this.#rules = rules
  }

  /** The rule that decides, or null when no zone holds the process. */
  find(facts: ProcessFacts): Rule | null {
    const rules = this.#rules
    return rules.ofWorkload(facts) ?? (facts.slurm_self_told ? null : this.#ofJob(facts)) ??
      rules.ofText('executables', facts.exe) ??
      rules.ofText('systemd_units', facts.systemd_unit) ??
      rules.ofText('cgroup_paths', facts.cgroup_path) ?? rules.ofNode(facts) ??
      (facts.slurm_self_told ? this.#ofJob(facts) : null)
  }

  #ofJob({ slurm_user, slurm_partition }: ProcessFacts): Rule | null {
    return this.#rules.ofText('slurm_users', slurm_user) ??
      this.#rules.ofText('slurm_partitions', slurm_partition)
  }
}
