/** The baselines that the log says are in force, by the path that the policy names them by. */
import { BaselineFormatError, readBaseline } from '../../gpu/baseline/baseline.ts'
import type { Baseline } from '../../gpu/baseline/baseline.ts'
import { BaselineIndex } from '../../gpu/baseline/check.ts'

/** What a baseline_applied event says. */
export interface AppliedBaseline {
  path: string
  /** Of the text, hex. */
  sha256: string
  text: string
  /** Key whose signature was verified; '' when it is not signed. */
  key_id: string
}

/** A baseline that nodes are compared with. */
export interface BaselineInForce {
  path: string
  sha256: string
  key_id: string
  index: BaselineIndex
}

/** Of the evidence the roots only: RIM files are large, and are compared with offline. */
type Kept = { path: string, sha256: string, key_id: string, baseline: Baseline }
export type BaselinesSnapshot = { kept: Kept[], refused: number, evictions: number }

/** As many as a policy may name. */
const BASELINES_MAX = 64

/** What it is, and whom it comes from. */
export function baselineIdentity(
  { sha256, key_id }: Pick<AppliedBaseline, 'sha256' | 'key_id'>,
): string {
  return `${sha256} ${key_id}`
}

export class Baselines {
  /** Texts in the log that are no baseline; the one before stayed in force. */
  refused = 0
  /** Baselines that left to make room. */
  evictions = 0
  readonly #byPath = new Map<string, BaselineInForce>()
  readonly #pinned = new Set<string>()

  get(path: string): BaselineInForce | null {
    return this.#byPath.get(path) ?? null
  }

  /** `baselineIdentity` of all of them, by path. */
  identities(): Map<string, string> {
    return new Map([...this.#byPath].map(([path, one]) => [path, baselineIdentity(one)]))
  }

  /** Puts some in force whatever the log says of their paths. */
  pin(baselines: readonly AppliedBaseline[]): void {
    for (const one of baselines) this.apply(one)
    for (const { path } of baselines) this.#pinned.add(path)
  }

  /** Puts one in force. False: it was, or it is none. */
  apply({ path, sha256, text, key_id }: AppliedBaseline): boolean {
    if (this.#pinned.has(path)) return false
    const before = this.#byPath.get(path)
    if (before?.sha256 === sha256 && before.key_id === key_id) return false
    try {
      const { evidence, ...rest } = readBaseline(text)
      const roots = evidence?.roots
      const baseline = roots === undefined ? rest : { ...rest, evidence: { roots } }
      this.#add({ path, sha256, key_id, baseline })
      return true
    } catch (error) {
      if (!(error instanceof BaselineFormatError)) throw error
      this.refused++
      return false
    }
  }

  /** Forgets those that are not named any more. */
  retain(paths: readonly string[]): void {
    for (const path of this.#byPath.keys()) {
      if (!paths.includes(path)) this.#byPath.delete(path)
    }
  }

  #add({ path, sha256, key_id, baseline }: Kept): void {
    this.#byPath.delete(path)
    if (this.#byPath.size >= BASELINES_MAX) {
      this.#byPath.delete([...this.#byPath.keys()][0])
      this.evictions++
    }
    this.#byPath.set(path, { path, sha256, key_id, index: new BaselineIndex(baseline) })
  }

  snapshot(): BaselinesSnapshot {
    const kept = [...this.#byPath.values()].map(({ path, sha256, key_id, index }) =>
      ({ path, sha256, key_id, baseline: index.baseline }))
    return { kept, refused: this.refused, evictions: this.evictions }
  }

  /** Takes over what `snapshot` gave; this one must hold no more than pinned ones. */
  restore({ kept, refused, evictions }: BaselinesSnapshot): void {
    for (const one of kept) if (!this.#pinned.has(one.path)) this.#add(one)
    this.refused = refused
    this.evictions = evictions
  }
}
