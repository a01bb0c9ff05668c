import { describe, expect, it } from 'vitest'
import { beat, keepTrack, newTrack, rhythmOf } from './beacon.ts'
import type { Track } from './beacon.ts'
import { noteName } from './dns-names.ts'
import type { Domain } from './dns-names.ts'

function trackOf(intervals: number[]): Track {
  const track = newTrack(0)
  let nowMs = 0
  for (const interval of intervals) beat(track, nowMs += interval, 100)
  return track
}
const every = (count: number, ms: number) => Array.from({ length: count }, () => ms)

describe('a rhythm', () => {
  it('needs 16 intervals', () => {
    expect(rhythmOf(trackOf(every(15, 1000)))).toBeNull()
    expect(rhythmOf(trackOf(every(16, 1000)))).toEqual({ meanMs: 1000, jitterPercent: 0 })
  })

  it('is of the latest intervals only', () => {
    expect(rhythmOf(trackOf([...every(40, 5000), ...every(16, 1000)]))!.meanMs).toBe(1000)
  })

  it('bears two beats that were missed, not three', () => {
    expect(rhythmOf(trackOf([...every(14, 1000), 2000, 3000]))!.jitterPercent).toBe(0)
    expect(rhythmOf(trackOf([...every(13, 1000), 2000, 2000, 2000]))!.jitterPercent).toBeGreaterThan(20)
  })

  it('takes a burst for one beat', () => {
    const bursts = every(20, 1000).flatMap((ms) => [ms - 20, 10, 10])
    expect(rhythmOf(trackOf(bursts))!.jitterPercent).toBeLessThan(3)
  })
})

it('keeps a bounded number of peers, and forgets the one that was quiet for longest', () => {
  const tracks = new Map<string, Track>()
  for (let i = 0; i < 64; i++) expect(keepTrack(tracks, `p${i}`, newTrack(1000 - i))).toBe(true)
  expect(keepTrack(tracks, 'new', newTrack(2000))).toBe(false)
  expect(tracks.size).toBe(64)
  expect([tracks.has('p63'), tracks.has('p0'), tracks.has('new')]).toEqual([false, true, true])
})

it('counts distinct names within a window, bounded', () => {
  const domains = new Map<string, Domain>()
  for (let i = 0; i < 5000; i++) noteName(domains, 'evil.example', `n${i}.evil.example`, i, 10_000)
  expect(domains.get('evil.example')!.names.size).toBe(256)
  expect(noteName(domains, 'evil.example', 'n1.evil.example', 10_000, 10_000).names.size).toBe(1)
  for (let i = 0; i < 200; i++) noteName(domains, `d${i}.example`, `a.d${i}.example`, 20_000, 10_000)
  expect(domains.size).toBe(64)
})
