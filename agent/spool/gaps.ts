// What was lost and is not yet told. Every loss becomes a gap event (invariant 2), at the latest
// when the spool can be written again.

import type { Gap } from '../../proto/gen/events.ts'

/** The stages of the agent that can lose events. */
export type LossStage = 'probe' | 'quota' | 'ring' | 'decode' | 'spool' | 'uplink'

/** Events that exist no more. */
export interface Loss {
  /** Name of the kind; `unknown` when it cannot be told. */
  event_kind: string
  stage: LossStage
  count: number
  /** Nanoseconds since boot; the events happened in this range. */
  from_time: bigint
  to_time: bigint
  reason: string
  /** Only events of this cgroup; absent: of any. */
  cgroup_id?: bigint
}

/** Losses by kind, stage and cgroup: bounded by their product. */
export class Gaps {
  readonly #losses = new Map<string, Loss>()

  get size(): number { return this.#losses.size }

  /** Adds a loss to what is known of the same kind and stage. */
  note(loss: Loss): void {
    if (loss.count <= 0) return
    const key = `${loss.stage} ${loss.event_kind} ${loss.cgroup_id ?? 0n}`
    const known = this.#losses.get(key)
    if (!known) {
      this.#losses.set(key, { ...loss })
      return
    }
    known.count += loss.count
    if (loss.from_time < known.from_time) known.from_time = loss.from_time
    if (loss.to_time > known.to_time) known.to_time = loss.to_time
    known.reason = loss.reason
  }

  /** All losses as values of gap events; forgotten here until `putBack`. */
  take(): Gap[] {
    const gaps = [...this.#losses.values()].map((loss) => ({ cgroup_id: 0n, ...loss }))
    this.#losses.clear()
    return gaps
  }

  /** The events of `take` could not be stored. */
  putBack(gaps: Gap[]): void {
    for (const gap of gaps) this.note({ ...gap, stage: gap.stage as LossStage })
  }
}
