import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { SampleEnricher } from '../sample/enricher.ts'
import { sampleExec, sampleOpen } from '../sample/records.ts'
import { scopeOf } from './cgroups.ts'

let dir: string
beforeEach(() => { dir = mkdtempSync(join(tmpdir(), 'vedette-cgroups-')) })
afterEach(() => rmSync(dir, { recursive: true }))

describe('cgroups', () => {
  const idOf = (path: string) => statSync(join(dir, path), { bigint: true }).ino

  it('are found by the inode of their folder, and name the workload', () => {
    mkdirSync(join(dir, 'system.slice/ssh.service'), { recursive: true })
    const one = new SampleEnricher(dir)
    one.cgroups.walk()
    const who = { pid: 2 ** 22 + 1, cgroupId: idOf('system.slice/ssh.service') }
    expect(one.factsOf(sampleOpen(who)))
      .toEqual({ exe: '', cgroup_path: '/system.slice/ssh.service', workload: 'ssh.service' })
    one.observe(sampleExec({ ...who, cgroupId: idOf('.') }, '/bin/a'))
    expect(one.factsOf(sampleOpen({ ...who, cgroupId: idOf('.') })))
      .toEqual({ exe: '/bin/a', cgroup_path: '/', workload: '/bin/a' })
  })

  it('that came since are told late, once, and the workload is left open until then', () => {
    vi.useFakeTimers()
    try {
      const one = new SampleEnricher(dir)
      one.factsOf(sampleOpen({ cgroupId: 999_999_999_999n }))
      const id = `${'ab'.repeat(32)}`
      mkdirSync(join(dir, 'docker', id), { recursive: true })
      const who = { pid: 2 ** 22 + 1, cgroupId: idOf(`docker/${id}`) }
      expect(one.factsOf(sampleOpen(who))).toMatchObject({ cgroup_path: '', workload: '' })
      one.factsOf(sampleOpen(who))
      expect(one.late).toEqual([])
      vi.advanceTimersByTime(5000)
      expect(one.late).toMatchObject([
        { id: who.cgroupId, path: `/docker/${id}`, workload: { container_id: id } },
      ])
      expect(one.factsOf(sampleOpen(who)).workload).toBe(`container:${id.slice(0, 12)}`)
      one.cgroups.stop()
    } finally {
      vi.useRealTimers()
    }
  })

  it('that came since the last walk, a while ago, are found at once', () => {
    const one = new SampleEnricher(dir)
    mkdirSync(join(dir, 'new.service'))
    expect(one.factsOf(sampleOpen({ cgroupId: idOf('new.service') })).workload).toBe('new.service')
    expect(one.late).toEqual([])
  })

  it('that are gone before anybody looked stay unknown, without looking for ever', () => {
    vi.useFakeTimers()
    try {
      const one = new SampleEnricher(dir)
      const who = { pid: 2 ** 22 + 1, cgroupId: 999_999_999_999n }
      one.observe(sampleExec(who, '/bin/a'))
      expect(one.factsOf(sampleOpen(who)).workload).toBe('')
      expect(vi.getTimerCount()).toBe(1)
      vi.advanceTimersByTime(60_000)
      expect(vi.getTimerCount()).toBe(0)
      expect(one.factsOf(sampleOpen(who)).workload).toBe('/bin/a')
      expect(vi.getTimerCount()).toBe(0)
      expect(one.enricher.misses.cgroup_path).toBe(2)
      one.cgroups.stop()
    } finally {
      vi.useRealTimers()
    }
  })

  it('are kept in a bounded number', () => {
    for (let i = 0; i < 20; i++) mkdirSync(join(dir, `g${i}`))
    const one = new SampleEnricher(dir, 5)
    one.cgroups.walk()
    expect(one.cgroups.size).toBeLessThanOrEqual(5)
  })

  it('stay unknown where no cgroup v2 is mounted', () => {
    const one = new SampleEnricher('')
    one.cgroups.walk()
    one.observe(sampleExec({ pid: 2 ** 22 + 1 }, '/bin/a'))
    expect(one.factsOf(sampleOpen({ pid: 2 ** 22 + 1 })))
      .toEqual({ exe: '/bin/a', cgroup_path: '', workload: '/bin/a' })
    expect(scopeOf('', '/a')).toBeUndefined()
  })

  it('can be named as the scope, by path below the mount or whole', () => {
    mkdirSync(join(dir, 'a/b'), { recursive: true })
    expect(scopeOf(dir, '/a/b')).toEqual({ id: idOf('a/b'), level: 2, dir: join(dir, 'a/b') })
    expect(scopeOf(dir, join(dir, 'a'))).toEqual({ id: idOf('a'), level: 1, dir: join(dir, 'a') })
    expect(scopeOf(dir, '/')).toEqual({ id: idOf('.'), level: 0, dir })
    expect(scopeOf(dir, '/none')).toBeUndefined()
    expect(scopeOf(dir, '/a/../a')).toBeUndefined()
  })
})

