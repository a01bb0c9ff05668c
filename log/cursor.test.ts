import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { LogReader } from './cursor.ts'
import type { LogProblem } from './errors.ts'
import { segmentName } from './folder.ts'
import {
  appendSamples, readAll, SAMPLE_OPTIONS, samplePayload, withFolder, writeSampleLog,
} from './sample-log.ts'
import { openLog } from './writer.ts'

const HEADER = 72
const FRAME = 156
const SMALL = { segmentBytesMax: HEADER + 5 * FRAME }

const positionsOf = (reader: LogReader, range = {}): number[] =>
  Array.from(reader.read(range), ({ position }) => position)

const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index)

test('any range gives exactly its frames, also from a reader that has read before', () =>
  withFolder(async (dir) => {
    await writeSampleLog(dir, 17, SMALL)
    const reader = new LogReader(dir)
    for (let from = 1; from <= 17; from++) {
      for (let to = from; to <= 17; to++) {
        expect(positionsOf(reader, { from, to })).toEqual(numbers(from, to))
      }
    }
    expect(positionsOf(reader)).toEqual(numbers(1, 17))
    expect(positionsOf(reader, { from: 18 })).toEqual([])
    expect(positionsOf(reader, { from: 5, to: 4 })).toEqual([])
  }))

test('frames larger than one read and many small ones come back as they were', () =>
  withFolder(async (dir) => {
    const log = openLog(dir, { ...SAMPLE_OPTIONS, segmentBytesMax: 16 * 1024 * 1024 })
    const sizes = [0, 1, 3_000_000, 5, 1024 * 1024 - 56, 1024 * 1024, 7, ...numbers(1, 2000)]
    const written = sizes.map((bytes, index) => samplePayload(index + 1, bytes))
    for (const payload of written) log.append(payload)
    await log.close()
    const reader = new LogReader(dir)
    const read = Array.from(reader.read(), ({ payload }) => payload)
    expect(read.length).toBe(written.length)
    for (const [index, payload] of read.entries()) expect(payload.equals(written[index])).toBe(true)
    expect(positionsOf(reader, { from: 1500, to: 1502 })).toEqual([1500, 1501, 1502])
    expect(positionsOf(reader, { from: 4, to: 5 })).toEqual([4, 5])
  }))

test('a follower gets every frame once while a writer appends, rolls and removes', () =>
  withFolder(async (dir) => {
    const bytesMax = 4 * SMALL.segmentBytesMax
    const log = openLog(dir, { ...SAMPLE_OPTIONS, ...SMALL, bytesMax })
    const reader = new LogReader(dir)
    const seen: number[] = []
    for (let last = 3; last <= 90; last += 1 + (last % 7)) {
      await appendSamples(log, last)
      for (const entry of reader.read({ from: (seen.at(-1) ?? 0) + 1 })) seen.push(entry.position)
      expect(seen.at(-1)).toBe(last)
    }
    expect(seen).toEqual(numbers(1, seen.length))
    expect(reader.first).toBe(log.first)
    await log.close()
  }))

test('frames appended while a read is going on do not disturb it, whole segments included', () =>
  withFolder(async (dir) => {
    const log = openLog(dir, { ...SAMPLE_OPTIONS, ...SMALL })
    await appendSamples(log, 3)
    const seen: number[] = []
    for (const { position } of new LogReader(dir).read()) {
      seen.push(position)
      if (position <= 20) await appendSamples(log, position + 6)
    }
    expect(seen).toEqual(numbers(1, seen.length))
    expect(seen.length).toBeGreaterThanOrEqual(3)
    await log.close()
  }))

test('an empty folder has nothing to read, a missing one is an error', () => withFolder((dir) => {
  expect(readAll(dir).positions).toEqual([])
  expect(new LogReader(dir).first).toBeNull()
  expect(() => new LogReader(join(dir, 'missing'))).toThrow(
    expect.objectContaining({ code: 'LOG_NOT_FOUND' }),
  )
}))

test('an unfinished frame at the end is a write in flight, not a problem', () =>
  withFolder(async (dir) => {
    await writeSampleLog(dir, 3)
    const path = join(dir, segmentName(1))
    const whole = readFileSync(path)
    const reader = new LogReader(dir)
    writeFileSync(path, whole.subarray(0, HEADER + 2 * FRAME + 60))
    expect(positionsOf(reader)).toEqual([1, 2])
    writeFileSync(path, whole)
    expect(positionsOf(reader, { from: 3 })).toEqual([3])
  }))

test('reading from before the oldest begins at the oldest without a problem', () =>
  withFolder(async (dir) => {
    await writeSampleLog(dir, 12, SMALL)
    rmSync(join(dir, segmentName(1)))
    expect(readAll(dir, 2)).toMatchObject({ positions: numbers(6, 12), problems: [] })
  }))

test('a segment missing in the middle is reported with its positions', () =>
  withFolder(async (dir) => {
    await writeSampleLog(dir, 17, SMALL)
    rmSync(join(dir, segmentName(6)))
    const { positions, problems } = readAll(dir)
    expect(positions).toEqual([...numbers(1, 5), ...numbers(11, 17)])
    expect(problems).toMatchObject([{ segment: segmentName(11), position: 6 }])
    expect(problems[0].what).toContain('6 to 10')
    expect(readAll(dir, 8).positions).toEqual(numbers(11, 17))
  }))

test('segments removed during a read are reported, not passed over', () =>
  withFolder(async (dir) => {
    await writeSampleLog(dir, 17, SMALL)
    const problems: LogProblem[] = []
    const seen: number[] = []
    const onProblem = (problem: LogProblem): void => void problems.push(problem)
    for (const { position } of new LogReader(dir).read({ onProblem })) {
      seen.push(position)
      if (position !== 2) continue
      for (const first of [1, 6]) rmSync(join(dir, segmentName(first)))
    }
    expect(seen).toEqual([...numbers(1, 5), ...numbers(11, 17)])
    expect(problems).toMatchObject([{ position: 6, segment: segmentName(11) }])
  }))

test('damage is told with its place, costs one frame or one segment, and throws if untold', () =>
  withFolder(async (dir) => {
    await writeSampleLog(dir, 12, SMALL)
    const path = join(dir, segmentName(1))
    const whole = readFileSync(path)
    const flipped = (offset: number): Buffer => {
      const bytes = Buffer.from(whole)
      bytes[offset] ^= 1
      return bytes
    }
    writeFileSync(path, flipped(HEADER + FRAME + 56))
    expect(readAll(dir).positions).toEqual([1, ...numbers(3, 12)])
    expect(readAll(dir).problems).toMatchObject([
      { segment: segmentName(1), offset: HEADER + FRAME, position: 2 },
    ])
    expect(() => positionsOf(new LogReader(dir))).toThrow(
      expect.objectContaining({
        code: 'LOG_DAMAGED', message: expect.stringContaining('offset 228'),
      }),
    )
    expect(positionsOf(new LogReader(dir), { from: 3 })).toEqual(numbers(3, 12))
    writeFileSync(path, flipped(HEADER + FRAME))
    expect(readAll(dir).positions).toEqual([1, ...numbers(6, 12)])
    expect(readAll(dir).problems).toMatchObject([{ offset: HEADER + FRAME, position: 2 }])
    writeFileSync(path, flipped(20))
    expect(readAll(dir).positions).toEqual(numbers(1, 12))
    expect(readAll(dir).problems).toMatchObject([{ offset: 0, position: 1 }])
  }))

test('a segment written anew at the same place is read anew', () => withFolder(async (dir) => {
  await writeSampleLog(dir, 4)
  const reader = new LogReader(dir)
  expect(positionsOf(reader)).toEqual([1, 2, 3, 4])
  rmSync(dir, { recursive: true })
  const log = openLog(dir, SAMPLE_OPTIONS)
  await appendSamples(log, 9, 333)
  expect(positionsOf(reader, { from: 5 })).toEqual([5, 6, 7, 8, 9])
  await log.close()
}))
