import type { Actors, GpuPolicy, Pattern } from '../policy.ts'
import { FactRules } from './fact-rules.ts'
import { compileGlob } from './glob.ts'
import { ProcessRules } from './process-rules.ts'
import type { ProcessFacts } from './process-rules.ts'

/** Who may do what to GPUs, and what they must be. Not for the hot path. */
export class GpuRules {
  readonly confidentialComputing: boolean
  readonly baselines: GpuPolicy['baselines']
  /** Public keys in PEM. */
  readonly baselineKeys: readonly string[]
  readonly #users: ProcessRules | null
  readonly #administrators: ProcessRules | null
  readonly #maintenance: GpuPolicy['maintenance']

  constructor(policy: GpuPolicy) {
    this.confidentialComputing = policy.confidentialComputing
    this.baselines = policy.baselines
    this.baselineKeys = policy.baselineKeys.map(({ text }) => text)
    this.#users = rulesOf(policy.users)
    this.#administrators = rulesOf(policy.administrators)
    this.#maintenance = policy.maintenance
  }

  /** Whether a process may open a GPU; null where the policy does not say. */
  mayUse(facts: ProcessFacts): boolean | null {
    if (this.#users === null) return null
    return this.#users.find(facts) !== null || this.mayAdminister(facts) === true
  }

  /** Whether a process may change GPUs and their driver; null where the policy does not say. */
  mayAdminister(facts: ProcessFacts): boolean | null {
    return this.#administrators === null ? null : this.#administrators.find(facts) !== null
  }

  /** Whether a time (milliseconds since 1970) is one for changes; null: there are no windows. */
  inMaintenance(timeMs: number, nodeGroup: string): boolean | null {
    if (this.#maintenance.length === 0) return null
    return this.#maintenance.some((one) => one.fromMs <= timeMs && timeMs < one.untilMs &&
      holds(one.nodeGroups, nodeGroup))
  }

  /** The baseline file that a node must meet, the first in the policy; null where there is none. */
  baselineOf(nodeGroup: string): string | null {
    return this.baselines.find((one) => holds(one.nodeGroups, nodeGroup))?.file ?? null
  }
}

function rulesOf(actors: Actors | null): ProcessRules | null {
  if (actors === null) return null
  const zone = { name: '', exposure: 'internal' as const, line: 0, column: 0, match: actors }
  return new ProcessRules(new FactRules([zone], 0))
}

function holds(groups: readonly Pattern[], group: string): boolean {
  return groups.length === 0 || groups.some(({ text }) => compileGlob(text).matches(group))
}
