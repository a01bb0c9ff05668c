import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { withData } from '../sample/sample-correlator.ts'
import type { Snapshot } from './snapshots.ts'
import { readSnapshot, removeSnapshots, snapshotPositions, writeSnapshot } from './snapshots.ts'

const snapshot = (position: number): Snapshot => ({
  version: 1, position, engine: Buffer.from('engine state'), sequences: [], policy_sha256: 'ab',
})

describe('snapshots', () => {
  it('come back as they were written, the newest first', () => withData(async (dir) => {
    for (const position of [9, 10, 100]) await writeSnapshot(dir, snapshot(position))
    expect(snapshotPositions(dir)).toEqual([100, 10, 9])
    expect(readSnapshot(dir, 10)).toEqual(snapshot(10))
    expect(readdirSync(dir).every((name) => name.endsWith('.snap'))).toBe(true)
  }))

  it('are refused with any bit wrong, cut off, or under another name', () => withData(async (dir) => {
    await writeSnapshot(dir, snapshot(7))
    const path = join(dir, `${'7'.padStart(20, '0')}.snap`)
    const good = readFileSync(path)
    const refused = (bytes: Buffer) => {
      writeFileSync(path, bytes)
      expect(() => readSnapshot(dir, 7)).toThrow(/SNAPSHOT|snap: /)
    }
    for (let at = 0; at < good.length; at++) {
      const bad = Buffer.from(good)
      bad[at] ^= 1 << (at % 8)
      refused(bad)
    }
    for (const length of [0, 3, 4, 10, good.length - 1]) refused(good.subarray(0, length))
    writeFileSync(join(dir, `${'8'.padStart(20, '0')}.snap`), good)
    expect(() => readSnapshot(dir, 8)).toThrow('another position')
    expect(() => readSnapshot(dir, 9)).toThrow('ENOENT')
  }))

  it('leave when the log no longer goes on from them, but for the newest', () => withData(async (dir) => {
    for (const position of [10, 20, 30]) await writeSnapshot(dir, snapshot(position))
    removeSnapshots(dir, 21)
    expect(snapshotPositions(dir)).toEqual([30, 20])
    removeSnapshots(dir, 500)
    expect(snapshotPositions(dir)).toEqual([30])
  }))

  it('that cannot be written leave the old ones and nothing else', () => withData(async (dir) => {
    await writeSnapshot(dir, snapshot(1))
    mkdirSync(join(dir, `${'2'.padStart(20, '0')}.snap.new`))
    await expect(writeSnapshot(dir, snapshot(2))).rejects.toThrow()
    expect(snapshotPositions(dir)).toEqual([1])
    expect(snapshotPositions(join(dir, 'nowhere'))).toEqual([])
  }))
})
