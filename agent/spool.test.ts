import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { LogError } from '../log/errors.ts'
import { kindInfos } from '../proto/gen/events.ts'
import { noisyExec, sampleOpen, sampleRecord } from './sample/records.ts'
import { eventsOf, framesIn, sampleBootId, sampleSpool, take, withFolder } from './sample/spool.ts'
import { sequenceAfter } from './spool/sequence.ts'
import type { Spool } from './spool.ts'

/** produced = lost + malformed + dropped + stored, of every kind made here. */
function checkAccounts(spool: Spool, produced: Record<string, number>): void {
  for (const { kind } of kindInfos) {
    const { dropped, stored, produced: made } = spool.accounts.of(kind)
    expect([kind, dropped + stored]).toEqual([kind, produced[kind] ?? made])
  }
}

describe('Spool', () => {
  it('numbers events without holes over batches and restarts', () => withFolder(async (dir) => {
    const first = sampleSpool(dir)
    take(first, [sampleOpen(), sampleOpen()])
    await first.flush()
    first.add('heartbeat', { cpu_ms: 5 })
    await first.close()
    const second = sampleSpool(dir)
    expect(second.firstSeq).toBe(first.firstSeq + 3)
    take(second, [sampleOpen()])
    await second.close()
    expect(eventsOf(framesIn(dir)).map(({ seq }) => seq - first.firstSeq)).toEqual([0, 1, 2, 3])
  }))

  it('closes a batch that has the most events allowed, and one with long strings', () =>
    withFolder(async (dir) => {
      const spool = sampleSpool(dir, { eventsPerBatchMax: 4 })
      take(spool, Array.from({ length: 10 }, () => sampleOpen()))
      await spool.close()
      expect(framesIn(dir).map((frame) => eventsOf([frame]).length)).toEqual([4, 4, 2])
    }))

  it('never makes a batch that ingest must refuse, whatever the strings are', () =>
    withFolder(async (dir) => {
      const spool = sampleSpool(dir, { eventsPerBatchMax: 8192 })
      for (let round = 0; round < 4000; round++) take(spool, [noisyExec(round)])
      await spool.close()
      const frames = framesIn(dir)
      expect(frames.length).toBeGreaterThan(1)
      expect(Math.max(...frames.map(({ length }) => length))).toBeLessThan(4 * 1024 * 1024)
      expect(eventsOf(frames)).toHaveLength(4000)
    }))

  it('tells every noted loss once, as a gap event', () => withFolder(async (dir) => {
    const spool = sampleSpool(dir)
    const loss = { event_kind: 'connection_open', stage: 'ring', reason: 'full' } as const
    spool.noteLoss({ ...loss, count: 5, from_time: 10n, to_time: 20n })
    spool.noteLoss({ ...loss, count: 7, from_time: 5n, to_time: 15n })
    spool.noteLoss({ ...loss, count: 0, from_time: 1n, to_time: 90n })
    await spool.flush()
    await spool.flush()
    await spool.close()
    expect(eventsOf(framesIn(dir), 'event_kind', 'count', 'from_time', 'to_time', 'stage'))
      .toMatchObject([{ kind: 'gap', values: {
        event_kind: 'connection_open', count: 12, from_time: 5n, to_time: 20n, stage: 'ring',
      } }])
  }))

  it('refuses low, then normal events when it fills up, keeps room for critical ones, and says ' +
    'what it refused', () => withFolder(async (dir) => {
    const spool = sampleSpool(dir, { bytesMax: 4 * 1024 * 1024, eventsPerBatchMax: 50 })
    let rounds = 0
    for (; spool.store.fill < 0.9; rounds++) {
      take(spool, [noisyExec(rounds)])
      await (rounds % 50 === 0 ? spool.flush() : undefined)
    }
    take(spool, [sampleRecord('process_exit', {}), noisyExec(rounds++)])
    await spool.flush()
    expect(spool.dropped).toEqual({ low: 1, normal: 0, critical: 0 })
    const limit = rounds + 2000
    for (; rounds < limit; rounds++) {
      take(spool, [noisyExec(rounds)])
      if (rounds % 50 === 0) await spool.flush()
    }
    for (let i = 0; i < 50; i++) spool.add('heartbeat', { cpu_ms: i })
    await spool.flush()
    expect(spool.store.fill).toBeLessThan(1)
    expect(spool.dropped.normal).toBeGreaterThan(0)
    expect(spool.dropped.critical).toBe(0)
    checkAccounts(spool, { process_exec: rounds, process_exit: 1 })
    await spool.close()
    const events = eventsOf(framesIn(dir), 'event_kind', 'count', 'stage')
    const told = (kind: string) => events
      .filter(({ kind: what, values }) => what === 'gap' && values['event_kind'] === kind)
      .reduce((sum, { values }) => sum + Number(values['count']), 0)
    expect(told('process_exit')).toBe(1)
    expect(told('process_exec')).toBe(spool.dropped.normal)
    expect(events.filter(({ kind }) => kind === 'heartbeat')).toHaveLength(50)
    expect(events.filter(({ kind }) => kind === 'process_exec')).toHaveLength(
      rounds - spool.dropped.normal)
  }))

  it('takes events again when acknowledged frames have left', () => withFolder(async (dir) => {
    const spool = sampleSpool(dir, { bytesMax: 2 * 1024 * 1024, eventsPerBatchMax: 50 })
    for (let round = 0; round < 6000; round++) take(spool, [noisyExec(round)])
    await spool.flush()
    expect(spool.dropped.normal).toBeGreaterThan(0)
    let last = 0
    for (const { position } of spool.store.read(0, () => {})) last = position
    const left = new Promise<void>((resolve) => spool.onChange(() => {
      if (spool.store.fill < 0.5) resolve()
    }))
    spool.store.acknowledge(last, last, 0)
    await left
    const before = spool.dropped.normal
    take(spool, [noisyExec(1)])
    await spool.flush()
    expect(spool.dropped.normal).toBe(before)
    await spool.close()
  }))

  it('goes on with what is new after its end on disk was damaged', () => withFolder(async (dir) => {
    const first = sampleSpool(dir)
    take(first, [sampleOpen()])
    await first.close()
    writeFileSync(join(dir, 'mark'), 'position 3\ncrc32 00000000\n')
    const second = sampleSpool(dir)
    take(second, [sampleOpen()])
    await second.close()
    expect(eventsOf(framesIn(dir))).toHaveLength(2)
  }))

  it('says what is damaged in the middle, and delivers the rest', () => withFolder(async (dir) => {
    const first = sampleSpool(dir)
    for (let i = 0; i < 3; i++) {
      take(first, [sampleOpen()])
      await first.flush()
    }
    await first.close()
    const path = join(dir, '00000000000000000001.seg')
    const bytes = readFileSync(path)
    bytes[Math.floor(bytes.length / 2)] ^= 1
    writeFileSync(path, bytes)
    const codes: string[] = []
    const second = sampleSpool(dir, { failed: ({ code }) => codes.push(code) })
    expect(codes).toEqual(['LOG_DAMAGED'])
    expect(second.firstSeq).toBe(first.firstSeq + 3)
    take(second, [sampleOpen()])
    await second.close()
    expect(eventsOf(framesIn(dir)).map(({ seq }) => seq - first.firstSeq)).toEqual([0, 2, 3])
  }))

  it('is of one process at a time', () => withFolder(async (dir) => {
    const spool = sampleSpool(dir)
    expect(() => sampleSpool(dir)).toThrow(LogError)
    await spool.close()
  }))
})

describe('sequenceAfter', () => {
  const last = { boot_id: sampleBootId, first_seq: 100, count: 5 }

  it('goes on in the same boot, begins at 1 in a fresh one, and far ahead in a new spool', () => {
    expect(sequenceAfter(last, sampleBootId, 7_000_000n)).toBe(105)
    expect(sequenceAfter(last, 'f'.repeat(32), 7_000_000n)).toBe(1)
    expect(sequenceAfter(undefined, sampleBootId, 7_000_000n)).toBe(7000)
    expect(sequenceAfter(undefined, sampleBootId, 0n)).toBe(1)
  })
})
