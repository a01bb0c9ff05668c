// Spools for tests: small, in a folder of their own, with a clock that stands still unless moved.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Spool } from '../spool.ts'
import type { SpoolOptions } from '../spool.ts'
import { BatchCursor } from '../../proto/batch-cursor.ts'
import type { Event } from '../../proto/batch-cursor.ts'
import { decodeBatch } from '../../proto/batch.ts'
import { LogReader } from '../../log/cursor.ts'
import { sampleRead } from './records.ts'

export const sampleBootId = '0123456789abcdef0123456789abcdef'

/** Runs `work` with a new empty folder that is removed afterwards. */
export async function withFolder<Result>(
  work: (dir: string) => Promise<Result> | Result,
): Promise<Result> {
  const dir = mkdtempSync(join(tmpdir(), 'vedette-agent-'))
  try {
    return await work(dir)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** Opens a spool in `dir`. Time stands at 1,000 s after boot; nothing is flushed by itself. */
export function sampleSpool(dir: string, options: Partial<SpoolOptions> = {}): Spool {
  return new Spool({
    dir, node_id: 'n1', boot_id: sampleBootId, bytesMax: 64 * 1024 * 1024,
    clock: { now: () => ({ bootNs: 1_000_000_000_000n, wallNs: 1_700_000_000_000_000_000n }) },
    eventsPerBatchMax: 1000, flushIntervalMs: 60_000,
    factsOf: () => ({ exe: '', cgroup_path: '', workload: '' }),
    failed: () => {}, recovered: () => {}, ...options,
  })
}

/** Takes each record as stage 3 hands it on. */
export function take(spool: Spool, records: Buffer[]): void {
  for (const bytes of records) {
    const { record } = sampleRead([bytes])
    spool.takeRecord(record, 0, bytes.readUInt16LE(8))
  }
}

/** What a test looks at of an event. */
export interface SeenEvent {
  seq: number
  kind: string
  boot_id: string
  values: Record<string, unknown>
}

/** The events of encoded batches, in order; `values` by the names of fields given. */
export function eventsOf(frames: Iterable<Uint8Array>, ...names: string[]): SeenEvent[] {
  const events: SeenEvent[] = []
  const cursor = new BatchCursor()
  for (const frame of frames) {
    cursor.forEach(decodeBatch(frame), (event: Event) => {
      const values = Object.fromEntries(
        names.map((name) => [name, (event as unknown as Record<string, unknown>)[name]]))
      events.push({ seq: event.seq, kind: event.kind, boot_id: event.boot_id, values })
    })
  }
  return events
}

/** All frames in a spool's folder. */
export function framesIn(dir: string): Buffer[] {
  return [...new LogReader(dir).read({ onProblem: () => {} })].map(({ payload }) => payload)
}
