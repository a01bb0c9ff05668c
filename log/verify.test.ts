import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { chainHash } from './chain.ts'
import { segmentName } from './folder.ts'
import { decodeFrameHeader, encodeFrameHeader, FRAME_HEADER_BYTES } from './frame.ts'
import { appendSamples, SAMPLE_OPTIONS, withFolder, writeSampleLog } from './sample-log.ts'
import { decodeSegmentHeader, encodeSegmentHeader } from './segment.ts'
import { verifyLog } from './verify.ts'
import { openLog } from './writer.ts'

const HEADER = 72
const FRAME = 156
const SMALL = { segmentBytesMax: HEADER + 5 * FRAME }

const offsetOf = (index: number): number => HEADER + index * FRAME

// What someone does who knows the format: a changed payload with all checksums made right again.
function forge(path: string, index: number, { hashToo }: { hashToo: boolean }): void {
  const bytes = readFileSync(path)
  const offset = offsetOf(index)
  const { position, hash } = decodeFrameHeader(bytes, offset)!
  const payload = Buffer.alloc(FRAME - FRAME_HEADER_BYTES, 'forged')
  const previous = index > 0 ? decodeFrameHeader(bytes, offsetOf(index - 1))!.hash
    : decodeSegmentHeader(bytes)!.previousHash
  const newHash = hashToo ? chainHash(previous, position, payload) : hash
  encodeFrameHeader(position, Buffer.from(newHash), payload).copy(bytes, offset)
  payload.copy(bytes, offset + FRAME_HEADER_BYTES)
  writeFileSync(path, bytes)
}

test('an untouched log is ok, with its counts and its head', () => withFolder(async (dir) => {
  const log = openLog(dir, { ...SAMPLE_OPTIONS, ...SMALL })
  await appendSamples(log, 12)
  expect(await verifyLog(dir)).toEqual({
    ok: true, segments: 3, frames: 12, bytes: log.bytes, first: 1, last: 12,
    chain_head: log.chainHead, tail_bytes: 0, problems: [], problems_left_out: 0,
  })
  await log.close()
}))

test('an empty folder is ok and has no positions', () => withFolder(async (dir) => {
  expect(await verifyLog(dir)).toMatchObject({ ok: true, frames: 0, first: null, last: null })
}))

test('a payload changed with its checksums made right breaks the chain at its frame', () =>
  withFolder(async (dir) => {
    await writeSampleLog(dir, 12, SMALL)
    forge(join(dir, segmentName(6)), 1, { hashToo: false })
    const { ok, problems } = await verifyLog(dir)
    expect(ok).toBe(false)
    expect(problems).toMatchObject([
      { segment: segmentName(6), offset: offsetOf(1), position: 7 },
    ])
    expect(problems[0].what).toContain('the chain is broken')
  }))

test('a payload changed with its hash made right breaks the chain at the frame behind it', () =>
  withFolder(async (dir) => {
    await writeSampleLog(dir, 12, SMALL)
    forge(join(dir, segmentName(1)), 1, { hashToo: true })
    expect((await verifyLog(dir)).problems).toMatchObject([{ position: 3, offset: offsetOf(2) }])
  }))

test('the last frame of a segment changed with its hash shows in the next header', () =>
  withFolder(async (dir) => {
    await writeSampleLog(dir, 12, SMALL)
    forge(join(dir, segmentName(1)), 4, { hashToo: true })
    expect((await verifyLog(dir)).problems).toMatchObject([
      { segment: segmentName(6), offset: 0, position: 6 },
    ])
  }))

test('a removed segment in the middle is named, a removed oldest one is retention', () =>
  withFolder(async (dir) => {
    await writeSampleLog(dir, 17, SMALL)
    rmSync(join(dir, segmentName(1)))
    expect(await verifyLog(dir)).toMatchObject({ ok: true, first: 6, last: 17 })
    rmSync(join(dir, segmentName(11)))
    const { ok, problems } = await verifyLog(dir)
    expect(ok).toBe(false)
    expect(problems).toMatchObject([{ segment: segmentName(16), position: 16 }])
    expect(problems[0].what).toContain('expected position 11')
  }))

test('a renamed segment and a first header with a history are named', () =>
  withFolder(async (dir) => {
    await writeSampleLog(dir, 7, SMALL)
    renameSync(join(dir, segmentName(6)), join(dir, segmentName(8)))
    expect((await verifyLog(dir)).ok).toBe(false)
    renameSync(join(dir, segmentName(8)), join(dir, segmentName(6)))
    const path = join(dir, segmentName(1))
    const bytes = readFileSync(path)
    const header = { firstPosition: 1, createdMs: 1, previousHash: Buffer.alloc(32, 1) }
    encodeSegmentHeader(header).copy(bytes)
    writeFileSync(path, bytes)
    expect((await verifyLog(dir)).problems[0]).toMatchObject({ segment: segmentName(1), offset: 0 })
  }))

test('one damaged payload is one problem and the chain is followed behind it', () =>
  withFolder(async (dir) => {
    await writeSampleLog(dir, 12, SMALL)
    const path = join(dir, segmentName(1))
    const bytes = readFileSync(path)
    bytes[offsetOf(1) + FRAME_HEADER_BYTES] ^= 1
    writeFileSync(path, bytes)
    const result = await verifyLog(dir)
    expect(result).toMatchObject({ ok: false, frames: 11, last: 12 })
    expect(result.problems).toMatchObject([{ position: 2, offset: offsetOf(1) }])
  }))

test('an unfinished end is counted and is no problem', () => withFolder(async (dir) => {
  await writeSampleLog(dir, 12, SMALL)
  const path = join(dir, segmentName(11))
  writeFileSync(path, readFileSync(path).subarray(0, offsetOf(1) + 70))
  expect(await verifyLog(dir)).toMatchObject({ ok: true, last: 11, tail_bytes: 70 })
}))

test('problems are bounded and the rest are counted', () => withFolder(async (dir) => {
  await writeSampleLog(dir, 1_100)
  const path = join(dir, segmentName(1))
  const bytes = readFileSync(path)
  for (let index = 0; index < 1_100; index++) bytes[offsetOf(index) + FRAME_HEADER_BYTES] ^= 1
  writeFileSync(path, bytes)
  const { problems, problems_left_out: leftOut, frames } = await verifyLog(dir)
  expect([problems.length, leftOut, frames]).toEqual([1000, 100, 0])
}))
