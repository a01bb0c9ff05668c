import { describe, expect, it } from 'vitest'
import { meet, usual } from './sweep.ts'
import type { Group, Peak } from './sweep.ts'

describe('a group of those that were met', () => {
  it('holds the distinct ones of the window alone', () => {
    const groups = new Map<number, Group>()
    for (let i = 0; i < 10; i++) meet(groups, 22, i % 5, 1000 * i, 60_000)
    expect(groups.get(22)!.members.size).toBe(5)
    expect([...meet(groups, 22, 9, 66_500, 60_000).members.keys()]).toEqual([2, 3, 4, 9])
  })

  it('is bounded in members, the oldest leave', () => {
    const groups = new Map<number, Group>()
    for (let i = 0; i < 5000; i++) meet(groups, 22, i, i, 60_000)
    const { members } = groups.get(22)!
    expect(members.size).toBe(1024)
    expect([members.has(4999), members.has(5000 - 1024), members.has(0)]).toEqual([true, true, false])
  })

  it('leaves when there are too many groups and it was idle for longest', () => {
    const groups = new Map<number, Group>()
    for (let i = 0; i < 32; i++) meet(groups, i, 1, 100 - i, 60_000)
    meet(groups, 99, 1, 200, 60_000)
    expect(groups.size).toBe(32)
    expect([groups.has(31), groups.has(0), groups.has(99)]).toEqual([false, true, true])
  })
})

describe('what is usual', () => {
  it('is the most of the windows that are over, not of the one that runs', () => {
    const peaks = new Map<number, Peak>()
    for (let i = 0; i <= 7; i++) expect(usual(peaks, 22, i, 1000 * i, 60_000)).toBe(0)
    expect(usual(peaks, 22, 1, 60_000, 60_000)).toBe(7)
    expect(usual(peaks, 22, 30, 61_000, 60_000)).toBe(7)
    expect(usual(peaks, 22, 1, 200_000, 60_000)).toBe(30)
    expect(usual(peaks, 23, 1, 200_000, 60_000)).toBe(0)
  })

  it('is bounded', () => {
    const peaks = new Map<number, Peak>()
    for (let i = 0; i < 1000; i++) usual(peaks, i, 1, i, 60_000)
    expect(peaks.size).toBe(64)
  })
})
