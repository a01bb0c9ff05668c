import { describe, expect, it } from 'vitest'
import { sampleRead, sampleRecord } from '../sample/records.ts'
import type { KernelCount } from '../spool/accounts.ts'
import type { Loss } from '../spool/gaps.ts'
import { recordOffsets } from '../../proto/gen/events.ts'
import { floodKind, QuotaLosses } from './quota-losses.ts'

const range = { from_time: 10n, to_time: 20n }
const at = recordOffsets.cgroup_flood
const open = 20
const secretRead = 40

const counted = (kind: number, count: number): KernelCount => {
  return { kind, produced: count, lost: count, over_quota: count }
}

function rig() {
  const losses: Loss[] = []
  const quota = new QuotaLosses((loss) => losses.push(loss))
  const report = (cgroupId: bigint, amounts: Partial<Record<keyof typeof at, number>>): void => {
    const bytes = sampleRecord('cgroup_flood', { cgroupId, time: 5_000_000_000n })
    for (const [field, amount] of Object.entries(amounts)) {
      bytes.writeBigUInt64LE(BigInt(amount), at[field as keyof typeof at])
    }
    quota.take(sampleRead([bytes]).record, 0)
  }
  return { losses, quota, report }
}

describe('QuotaLosses', () => {
  it('names the cgroup, the kind, the amount and the time of every report', () => {
    const { losses, report } = rig()
    report(2n ** 60n + 1n, {
      duration_ns: 1_000_000_000, lost_connection_open: 2 ** 33 + 7, lost_process_exec: 1,
      lost_other: 2,
    })
    const same = {
      stage: 'quota', from_time: 4_000_000_000n, to_time: 5_000_000_000n,
      cgroup_id: 2n ** 60n + 1n, reason: 'the cgroup made more events than its quota',
    }
    expect(losses).toEqual([
      { ...same, event_kind: 'connection_open', count: 2 ** 33 + 7 },
      { ...same, event_kind: 'process_exec', count: 1 },
      { ...same, event_kind: 'unknown', count: 2 },
    ])
    expect(floodKind).toBe(31)
  })

  it('says nothing more of what was reported in time', () => {
    const { losses, quota, report } = rig()
    quota.look([counted(open, 5), counted(secretRead, 2)], range)
    report(1n, { lost_connection_open: 5, lost_other: 2 })
    for (let look = 0; look < 10; look++) {
      quota.look([counted(open, 5), counted(secretRead, 2)], range)
    }
    quota.look([counted(open, 5), counted(secretRead, 2)], range, true)
    expect(losses).toHaveLength(2)
  })

  it('tells once, without a cgroup, what was never reported', () => {
    const { losses, quota, report } = rig()
    for (let look = 0; look < 10; look++) quota.look([counted(open, 5)], range)
    expect(losses).toHaveLength(1)
    expect(losses[0]).toMatchObject({ event_kind: 'connection_open', count: 5, ...range })
    expect(losses[0].cgroup_id).toBeUndefined()
    report(9n, { lost_connection_open: 3 })
    quota.look([counted(open, 9)], range, true)
    expect(losses.map(({ count, cgroup_id: cgroup }) => [count, cgroup])).toEqual([
      [5, undefined], [3, 9n], [1, undefined],
    ])
  })
})
