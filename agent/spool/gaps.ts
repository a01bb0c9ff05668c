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

/** Past so many, a loss is added to those of its kind and stage without its cgroup. */
const lossesMax = 1024

/** Losses by kind, stage and cgroup. */
export class Gaps {
  readonly #losses = new Map<string, Loss>()

  get size(): number { return this.#losses.size }

  /** Adds a loss to what is known of the same kind and stage. */
  note(loss: Loss): void {
    if (loss.count <= 0) return
    const key = `${loss.stage} ${loss.event_kind} ${loss.cgroup_id ?? 0n}`
    const known = this.#losses.get(key)
    if (!known && loss.cgroup_id && this.#losses.size >= lossesMax) {
      this.note({ ...loss, cgroup_id: undefined })
      return
    }
    if (!known) {
      this.#losses.set(key, { ...loss })
      return
    }
    known.count += loss.count
    if (loss.from_time < known.from_time) known.from_time = loss.from_time
    if (loss.to_time > known.to_time) known.to_time = loss.to_time
    known.reason = loss.reason
  }

  /** At most `max` losses as values of gap events; forgotten here until `putBack`. */
  take(max: number): Gap[] {
    const gaps: Gap[] = []
    for (const [key, loss] of this.#losses) {
      if (gaps.length >= max) break
      gaps.push({ ...loss, cgroup_id: loss.cgroup_id ?? 0n })
      this.#losses.delete(key)
    }
    return gaps
  }

  /** The events of `take` could not be stored. */
  putBack(gaps: Gap[]): void {
    for (const gap of gaps) this.note({ ...gap, stage: gap.stage as LossStage })
  }
}
