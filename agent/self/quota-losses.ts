// What cgroups lost to their quota, which becomes gap events that name the cgroup. The kernel
// reports it once a second as cgroup_flood records. What it counted and did not report, since the
// cgroup was forgotten or the report refused, becomes a gap of no cgroup: no loss stays untold.

import type { KernelCount } from '../spool/accounts.ts'
import type { Loss } from '../spool/gaps.ts'
import type { RecordBuffer } from '../../proto/columns.ts'
import { kindInfos, recordHeader, recordOffsets } from '../../proto/gen/events.ts'

const offsets = recordOffsets.cgroup_flood
/** Kinds with an amount of their own in a cgroup_flood; all others share one. */
const told = [
  ['connection_open', offsets.lost_connection_open],
  ['connection_close', offsets.lost_connection_close],
  ['connection_failed', offsets.lost_connection_failed],
  ['datagram_flow', offsets.lost_datagram_flow],
  ['process_exec', offsets.lost_process_exec],
  ['process_exit', offsets.lost_process_exit],
  ['unknown', offsets.lost_other],
] as const
const other = told.length - 1
const slotOf = new Map(kindInfos.map(({ kind, number }) => {
  const slot = told.findIndex(([name]) => name === kind)
  return [number, slot < 0 ? other : slot]
}))
/** A report is made every second, a look at least as often: so much later it must be in. */
const looksUntilDue = 4
const reason = 'the cgroup made more events than its quota'

/** Number of the kind whose records `take` wants. */
export const floodKind = kindInfos.find(({ kind }) => kind === 'cgroup_flood')!.number

/** Makes losses of stage `quota`. */
export class QuotaLosses {
  readonly #note: (loss: Loss) => void
  readonly #reported = new Float64Array(told.length)
  /** What the kernel had counted at the last looks, oldest first. */
  readonly #counted = Array.from({ length: looksUntilDue }, () => new Float64Array(told.length))

  constructor(note: (loss: Loss) => void) {
    this.#note = note
  }

  /** A cgroup_flood record at byte `at`. */
  take({ u8, u32 }: RecordBuffer, at: number): void {
    const record = new DataView(u8.buffer, u8.byteOffset + at)
    const to = record.getBigUint64(recordHeader.time, true)
    const from = to - record.getBigUint64(offsets.duration_ns, true)
    const cgroup = record.getBigUint64(recordHeader.cgroup_id, true)
    for (let slot = 0; slot < told.length; slot++) {
      const [kind, offset] = told[slot]
      const count = u32[(at + offset) >> 2] + u32[(at + offset + 4) >> 2] * 2 ** 32
      if (count === 0) continue
      this.#reported[slot] += count
      this.#note({
        event_kind: kind, stage: 'quota', count, from_time: from, to_time: to, reason,
        cgroup_id: cgroup,
      })
    }
  }

  /** Once a second, with what the kernel counted; `last`: when no more reports will come. */
  look(
    counts: readonly KernelCount[], range: { from_time: bigint, to_time: bigint }, last = false,
  ): void {
    const now = new Float64Array(told.length)
    for (const { kind, over_quota: count } of counts) now[slotOf.get(kind) ?? other] += count
    this.#counted.push(now)
    const before = this.#counted.shift()!
    const due = last ? now : before
    for (let slot = 0; slot < told.length; slot++) {
      const count = due[slot] - this.#reported[slot]
      if (count <= 0) continue
      this.#reported[slot] += count
      const why = `${reason}; which one is not known`
      this.#note({ event_kind: told[slot][0], stage: 'quota', count, reason: why, ...range })
    }
  }
}
