import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { LogError } from './errors.ts'
import { openMark } from './mark.ts'
import {
  appendSamples, readAll, SAMPLE_OPTIONS, samplePayload, withFolder, writeSampleLog,
} from './sample-log.ts'
import { verifyLog } from './verify.ts'
import { openLog, type LogOptions, type Removed } from './writer.ts'

// Five frames of 100 bytes fit into one segment.
const SMALL: Partial<LogOptions> = { segmentBytesMax: 72 + 5 * 156 }

const segments = (dir: string): string[] =>
  readdirSync(dir).filter((name) => name.endsWith('.seg')).sort()

test('positions count from 1 and go on after the log is opened again', () =>
  withFolder(async (dir) => {
    const log = openLog(dir, SAMPLE_OPTIONS)
    expect([log.first, log.next, log.synced]).toEqual([1, 1, 0])
    expect(log.append(samplePayload(1))).toBe(1)
    expect(log.append(samplePayload(2))).toBe(2)
    expect(await log.sync()).toBe(2)
    await log.close()
    const again = openLog(dir, SAMPLE_OPTIONS)
    expect([again.first, again.next, again.synced]).toEqual([1, 3, 2])
    expect(again.append(samplePayload(3))).toBe(3)
    await again.close()
    expect(segments(dir)).toEqual(['00000000000000000001.seg'])
    expect(readAll(dir).positions).toEqual([1, 2, 3])
    expect(await verifyLog(dir)).toMatchObject({ ok: true, frames: 3 })
  }))

test('what is only appended is not on disk, what is flushed is, and bytes say so', () =>
  withFolder(async (dir) => {
    const log = openLog(dir, SAMPLE_OPTIONS)
    log.append(samplePayload(1))
    expect([log.bytes, log.unsyncedBytes]).toEqual([0, 156])
    await log.flush()
    expect([log.bytes, log.unsyncedBytes, log.synced]).toEqual([72 + 156, 156, 0])
    expect(readAll(dir).positions).toEqual([1])
    await log.sync()
    expect([log.bytes, log.unsyncedBytes, log.synced]).toEqual([72 + 156, 0, 1])
    expect(statSync(join(dir, segments(dir)[0])).size).toBe(log.bytes)
    await log.close()
  }))

test('many syncs at once all wait for their own frames', () => withFolder(async (dir) => {
  const log = openLog(dir, SAMPLE_OPTIONS)
  const synced = []
  for (let position = 1; position <= 200; position++) {
    log.append(samplePayload(position))
    synced.push(log.sync().then((upTo) => expect(upTo).toBeGreaterThanOrEqual(position)))
    if (position % 20 === 0) await synced.at(-1)
  }
  await Promise.all(synced)
  expect(log.synced).toBe(200)
  await log.close()
}))

test('a sync asked for while a flush waits is a sync', () => withFolder(async (dir) => {
  const log = openLog(dir, SAMPLE_OPTIONS)
  log.append(samplePayload(1))
  await Promise.all([log.flush(), log.sync()])
  expect(log.synced).toBe(1)
  await log.close()
}))

test('a full segment is followed by one named after its first position', () =>
  withFolder(async (dir) => {
    await writeSampleLog(dir, 12, SMALL)
    expect(segments(dir).map((name) => Number(name.slice(0, 20)))).toEqual([1, 6, 11])
    expect(statSync(join(dir, segments(dir)[0])).size).toBe(SMALL.segmentBytesMax)
    expect(readAll(dir).texts).toEqual(
      Array.from({ length: 12 }, (_, index) => samplePayload(index + 1).toString('latin1')),
    )
    expect(await verifyLog(dir)).toMatchObject({ ok: true, frames: 12, segments: 3, last: 12 })
  }))

test('a frame larger than a segment gets one for itself, an empty one is kept too', () =>
  withFolder(async (dir) => {
    const log = openLog(dir, { ...SAMPLE_OPTIONS, ...SMALL })
    for (const bytes of [10, 5000, 0, 3]) log.append(Buffer.alloc(bytes, 1))
    await log.close()
    expect(segments(dir).length).toBe(3)
    expect(readAll(dir).texts.map((text) => text.length)).toEqual([10, 5000, 0, 3])
  }))

test('over its size the log removes oldest segments, says so, and stays verifiable', () =>
  withFolder(async (dir) => {
    const seen: Removed[] = []
    const bytesMax = 3 * SMALL.segmentBytesMax!
    const onRemoved = (removed: Removed): void => void seen.push(removed)
    const log = openLog(dir, { ...SAMPLE_OPTIONS, ...SMALL, bytesMax, onRemoved })
    for (let last = 1; last <= 40; last++) {
      await appendSamples(log, last)
      expect(log.bytes).toBeLessThanOrEqual(bytesMax)
    }
    const frames = seen.reduce((sum, removed) => sum + removed.frames, 0)
    expect(log.first).toBe(frames + 1)
    expect(frames).toBe(25)
    expect(seen[0]).toEqual({ segments: 1, frames: 5, bytes: SMALL.segmentBytesMax })
    await log.close()
    expect(await verifyLog(dir)).toMatchObject({ ok: true, first: 26, last: 40 })
    const again = openLog(dir, { ...SAMPLE_OPTIONS, ...SMALL, bytesMax })
    expect([again.first, again.next]).toEqual([26, 41])
    await again.close()
  }))

test('a log that may not remove refuses frames over its size and takes them when some left', () =>
  withFolder(async (dir) => {
    const bytesMax = 2 * SMALL.segmentBytesMax!
    const options = { ...SAMPLE_OPTIONS, ...SMALL, bytesMax, whenFull: 'refuse' } as const
    const log = openLog(dir, options)
    // The second segment's header is not written yet, so it is not counted yet.
    await appendSamples(log, 10)
    expect(() => log.append(samplePayload(11))).toThrow(
      expect.objectContaining({ code: 'LOG_FULL' }),
    )
    expect(log.next).toBe(11)
    expect(await log.dropBefore(7)).toEqual({
      segments: 1, frames: 5, bytes: SMALL.segmentBytesMax,
    })
    expect(log.append(samplePayload(11))).toBe(11)
    await log.close()
    expect(readAll(dir).positions).toEqual([6, 7, 8, 9, 10, 11])
  }))

test('dropBefore keeps the segment that holds the position and never takes the active one', () =>
  withFolder(async (dir) => {
    const log = openLog(dir, { ...SAMPLE_OPTIONS, ...SMALL })
    await appendSamples(log, 12)
    expect((await log.dropBefore(5)).segments).toBe(0)
    expect((await log.dropBefore(6)).frames).toBe(5)
    expect((await log.dropBefore(1000)).frames).toBe(5)
    expect([log.first, log.next]).toEqual([11, 13])
    await log.close()
  }))

test('the next position is never at or below the mark, also when the folder was emptied', () =>
  withFolder(async (dir) => {
    await openMark(dir).set(500)
    const firstPosition = openMark(dir).position + 1
    const log = openLog(dir, { ...SAMPLE_OPTIONS, firstPosition })
    expect([log.first, log.next]).toEqual([501, 501])
    await appendSamples(log, 503)
    await log.close()
    const later = openLog(dir, { ...SAMPLE_OPTIONS, firstPosition: 502 })
    expect(later.next).toBe(504)
    await later.close()
    const jumped = openLog(dir, { ...SAMPLE_OPTIONS, firstPosition: 600 })
    await appendSamples(jumped, 600)
    await jumped.close()
    expect(readAll(dir).positions).toEqual([501, 502, 503, 600])
    expect(readAll(dir).problems[0].what).toContain('504 to 599 are missing')
  }))

test('too much that is not durable is refused until a sync, too large a frame always', () =>
  withFolder(async (dir) => {
    const log = openLog(dir, { ...SAMPLE_OPTIONS, frameBytesMax: 200, unsyncedBytesMax: 400 })
    log.append(samplePayload(1))
    log.append(samplePayload(2))
    const refusal = (code: string) => expect.objectContaining({ code })
    expect(() => log.append(samplePayload(3))).toThrow(refusal('LOG_BACKLOG'))
    await log.sync()
    expect(log.append(samplePayload(3))).toBe(3)
    expect(() => log.append(Buffer.alloc(201))).toThrow(refusal('LOG_FRAME_TOO_LARGE'))
    await log.close()
    expect(readAll(dir).positions).toEqual([1, 2, 3])
  }))

test('a closed log refuses everything, closes twice, and gives the folder back', () =>
  withFolder(async (dir) => {
    const log = openLog(dir, SAMPLE_OPTIONS)
    log.append(samplePayload(1))
    await log.close()
    await log.close()
    expect(() => log.append(samplePayload(2))).toThrow(LogError)
    await expect(log.sync()).rejects.toMatchObject({ code: 'LOG_CLOSED' })
    await expect(log.dropBefore(1)).rejects.toMatchObject({ code: 'LOG_CLOSED' })
    expect(existsSync(join(dir, 'lock'))).toBe(false)
    expect(readAll(dir).positions).toEqual([1])
  }))

test('a folder open for writing cannot be opened for writing again', () =>
  withFolder(async (dir) => {
    const log = openLog(dir, SAMPLE_OPTIONS)
    expect(() => openLog(dir, SAMPLE_OPTIONS)).toThrow(
      expect.objectContaining({ code: 'LOG_LOCKED' }),
    )
    await log.close()
  }))

test.each([
  ['segmentBytesMax', 100], ['bytesMax', 0], ['frameBytesMax', 17 * 1024 * 1024],
  ['unsyncedBytesMax', 0], ['firstPosition', 0], ['bytesMax', NaN],
])('the option %s may not be %d', (name, value) => withFolder((dir) => {
  expect(() => openLog(dir, { ...SAMPLE_OPTIONS, [name]: value })).toThrow(
    expect.objectContaining({ code: 'LOG_BAD_OPTION', message: expect.stringContaining(name) }),
  )
}))

test('the chain head is the hash of the last durable frame and comes back after opening', () =>
  withFolder(async (dir) => {
    const log = openLog(dir, SAMPLE_OPTIONS)
    const empty = log.chainHead
    log.append(samplePayload(1))
    expect(log.chainHead).toBe(empty)
    await log.sync()
    const head = log.chainHead
    expect(head).not.toBe(empty)
    await log.close()
    expect((await verifyLog(dir)).chain_head).toBe(head)
    const again = openLog(dir, SAMPLE_OPTIONS)
    expect(again.chainHead).toBe(head)
    await again.close()
  }))

test('a path that is a file is refused with the path in the message', () =>
  withFolder(async (dir) => {
    await writeSampleLog(dir, 1)
    const path = join(dir, segments(dir)[0])
    const before = readFileSync(path)
    expect(() => openLog(path, SAMPLE_OPTIONS)).toThrow(path)
    expect(readFileSync(path).equals(before)).toBe(true)
  }))
