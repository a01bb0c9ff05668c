import { describe, expect, it } from 'vitest'
import { kindInfos } from '../../proto/gen/events.ts'
import { noisyExec, sampleOpen, sampleRecord } from '../sample/records.ts'
import { sampleSpool, take, withFolder } from '../sample/spool.ts'
import type { Spool } from '../spool.ts'
import { Accounts } from './accounts.ts'
import { Gaps } from './gaps.ts'

/** produced = lost + malformed + dropped + stored, of every kind made here. */
function checkAccounts(spool: Spool, produced: Record<string, number>): void {
  for (const { kind } of kindInfos) {
    const { dropped, stored, produced: made } = spool.accounts.of(kind)
    expect([kind, dropped + stored]).toEqual([kind, produced[kind] ?? made])
  }
}

describe('conservation', () => {
  it('holds for every kind at every flush, whatever is refused', () => withFolder(async (dir) => {
    let state = 3
    const random = (below: number) => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) % below
    const spool = sampleSpool(dir, { bytesMax: 300 * 1024, eventsPerBatchMax: 40 })
    const produced: Record<string, number> = { process_exec: 0, process_exit: 0, connection_open: 0 }
    for (let round = 0; round < 3000; round++) {
      const kind = random(3)
      if (kind === 0) take(spool, [noisyExec(round)])
      if (kind === 1) take(spool, [sampleRecord('process_exit', { pid: round })])
      if (kind === 2) take(spool, [sampleOpen({ pid: round })])
      produced[['process_exec', 'process_exit', 'connection_open'][kind]]++
      if (random(10) === 0) spool.add('heartbeat', { cpu_ms: round })
      if (random(100) > 0) continue
      await spool.flush()
      checkAccounts(spool, produced)
      const { position } = [...spool.store.read(0, () => {})].at(random(2) - 2) ?? { position: 0 }
      if (random(4) === 0) spool.store.acknowledge(position, 1, 0)
    }
    await spool.flush()
    checkAccounts(spool, produced)
    expect(spool.dropped.low).toBeGreaterThan(0)
    await spool.close()
  }), 60_000)
})

describe('Accounts', () => {
  it('gives what the kernel lost since it was asked last', () => {
    const accounts = new Accounts()
    expect(accounts.setKernelCounts([{ kind: 20, produced: 5, lost: 0, over_quota: 0 }])).toEqual([])
    expect(accounts.setKernelCounts([{ kind: 20, produced: 9, lost: 3, over_quota: 0 }]))
      .toEqual([{ kind: 'connection_open', lost: 3 }])
    expect(accounts.setKernelCounts([{ kind: 20, produced: 9, lost: 3, over_quota: 0 }])).toEqual([])
    expect(accounts.lost).toBe(3)
    expect(accounts.setKernelCounts([{ kind: 255, produced: 9, lost: 9, over_quota: 0 }])).toEqual([])
  })

  it('leaves out what was over a quota, which others tell', () => {
    const accounts = new Accounts()
    expect(accounts.setKernelCounts([{ kind: 20, produced: 9, lost: 5, over_quota: 5 }]))
      .toEqual([])
    expect(accounts.setKernelCounts([{ kind: 20, produced: 29, lost: 12, over_quota: 10 }]))
      .toEqual([{ kind: 'connection_open', lost: 2 }])
    expect(accounts.lost).toBe(12)
  })

  it('tells what changed, and kinds that change with every telling only when all are told', () => {
    const accounts = new Accounts()
    accounts.setKernelCounts([{ kind: 20, produced: 5, lost: 0, over_quota: 0 }])
    accounts.of('heartbeat').produced = 1
    const kinds = (all: boolean) => accounts.changed(all).map(({ event_kind: kind }) => kind)
    expect(kinds(false)).toEqual(['connection_open'])
    expect(kinds(false)).toEqual([])
    expect(kinds(true)).toEqual(['heartbeat'])
    accounts.of('connection_open').stored = 5
    expect(kinds(true)).toEqual(['connection_open'])
  })
})

describe('Gaps', () => {
  const loss = {
    event_kind: 'process_exec', stage: 'spool', count: 1, from_time: 1n, to_time: 2n, reason: 'full',
  } as const

  it('keeps stages and kinds apart, and takes back what could not be stored', () => {
    const gaps = new Gaps()
    gaps.note(loss)
    gaps.note({ ...loss, stage: 'ring' })
    gaps.note({ ...loss, event_kind: 'connection_open' })
    const taken = gaps.take(3)
    expect(taken).toHaveLength(3)
    expect(gaps.size).toBe(0)
    gaps.note({ ...loss, count: 4, to_time: 9n })
    gaps.putBack(taken)
    expect(gaps.take(3)).toContainEqual({ ...loss, cgroup_id: 0n, count: 5, to_time: 9n })
  })

  it('gives what was asked for, and keeps the rest', () => {
    const gaps = new Gaps()
    for (let cgroup = 1n; cgroup <= 5n; cgroup++) gaps.note({ ...loss, cgroup_id: cgroup })
    expect(gaps.take(2).map((gap) => gap.cgroup_id)).toEqual([1n, 2n])
    expect(gaps.size).toBe(3)
  })

  it('adds up without their cgroup what is more than it can keep', () => {
    const gaps = new Gaps()
    for (let cgroup = 1n; cgroup <= 5000n; cgroup++) gaps.note({ ...loss, cgroup_id: cgroup })
    expect(gaps.size).toBeLessThan(1100)
    const all = gaps.take(2000)
    expect(all.reduce((sum, { count }) => sum + count, 0)).toBe(5000)
    expect(all.filter((gap) => gap.cgroup_id === 0n)).toHaveLength(1)
  })
})
