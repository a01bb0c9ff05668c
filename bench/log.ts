// Stage 8 and replay: append and sync, read, replay, verify; bytes per event on disk.
//
// On the disk of the temporary folder. Reading finds the files in the page cache, as a replay of
// recent hours does.

import { replay } from '../detect/replay.ts'
import { detectors } from '../detectors/index.ts'
import { LogReader } from '../log/cursor.ts'
import { verifyLog } from '../log/verify.ts'
import { openLog } from '../log/writer.ts'
import type { LogWriter } from '../log/writer.ts'
import { parsePolicy } from '../policy/parse.ts'
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { median } from './figure.ts'
import type { Figure } from './figure.ts'
import { temporaryFolder } from './rig.ts'
import { sampleBatches, samplePolicy } from './sample-batches.ts'

const rounds = 5
const events = 8192
const batches = 160
/** Batches that share one sync: what arrives while the disk is busy. */
const groupMax = 16

function openNew(parent: string): LogWriter {
  return openLog(mkdtempSync(join(parent, 'log-')), {
    segmentBytesMax: 64 * 1024 * 1024, bytesMax: 8 * 1024 ** 3, whenFull: 'remove_oldest',
    nowMs: Date.now,
  })
}

/** Events per second, middle of several rounds after one that warms up. */
async function rate(count: number, work: () => Promise<void>): Promise<number> {
  const all: number[] = []
  for (let i = 0; i <= rounds; i++) {
    const start = performance.now()
    await work()
    if (i > 0) all.push(count / ((performance.now() - start) / 1000))
  }
  return median(all)
}

async function append(log: LogWriter, payloads: readonly Buffer[]): Promise<void> {
  for (const [i, payload] of payloads.entries()) {
    log.append(payload)
    if ((i + 1) % groupMax === 0) await log.sync()
  }
  await log.sync()
}

export async function measure(): Promise<Figure[]> {
  const folder = temporaryFolder()
  const payloads = sampleBatches(batches)
  const total = events * batches
  let log = openNew(folder)
  const appended = await rate(total, async () => {
    await log.close()
    log = openNew(folder)
    await append(log, payloads)
  })
  const { bytes, dir } = log
  await log.close()
  const read = await rate(total, async () => {
    let count = 0
    for (const { payload } of new LogReader(dir).read()) count += payload.length
    if (count === 0) throw new Error('nothing was read')
  })
  const { policy } = parsePolicy(samplePolicy)
  let incidents = 0
  const replayed = await rate(total, async () => {
    const result = replay(new LogReader(dir).read(), { detectors, policy: policy! })
    if (result.events !== total) throw new Error(`${result.events} of ${total} events came back`)
    incidents = result.incidents.length
  })
  const verified = await rate(total, async () => { await verifyLog(dir) })
  return [
    { name: 'append and sync', value: appended, unit: 'events/s',
      note: `8,192 events per batch, ${groupMax} batches per sync` },
    { name: 'read', value: read, unit: 'events/s', note: 'frames with checksums, not opened' },
    { name: 'replay', value: replayed, unit: 'events/s', at_least: 1_000_000,
      note: `read, open, ${detectors.length} detectors; ${incidents} incidents` },
    { name: 'verify', value: verified, unit: 'events/s', note: 'the hash chain over everything' },
    { name: 'on disk', value: bytes / total, unit: 'B/event', below: 20,
      note: 'opens, closes and failed attempts' },
  ]
}
