import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { recordOffsets } from '../../proto/gen/events.ts'
import { sampleExec, sampleOpen, sampleRead, sampleRecord } from '../sample/records.ts'
import type { SampleHeader } from '../sample/records.ts'
import { Budget } from './budget.ts'
import { Cgroups, scopeOf } from './cgroups.ts'
import type { Cgroup } from './cgroups.ts'
import { Enricher } from './enricher.ts'
import { isProcess, readArgs, readCgroupPath, readExe } from './proc.ts'
import { KnownProcesses } from './processes.ts'

let dir: string
let child: ChildProcess | undefined
beforeEach(() => { dir = mkdtempSync(join(tmpdir(), 'vedette-enrich-')) })
afterEach(() => {
  child?.kill('SIGKILL')
  child = undefined
  rmSync(dir, { recursive: true })
})

const processExec = 10
const processExit = 11

function enricher(entriesMax = 100, cgroupMount = dir) {
  const late: Cgroup[] = []
  const changed: number[] = []
  const budget = new Budget(1000)
  const processes = new KnownProcesses({ entriesMax, endedMax: 2, budget })
  const cgroups = new Cgroups({
    mount: cgroupMount, entriesMax, budget, foundLate: (cgroup) => late.push(cgroup),
  })
  const one = new Enricher({ processes, cgroups, changed: (pid) => changed.push(pid) })
  const factsOf = (bytes: Buffer) => one.factsOf(sampleRead([bytes]).record, 0)
  const observe = (bytes: Buffer, kind: number) => {
    const { record } = sampleRead([bytes])
    one.observe(record, 0, kind)
    return record
  }
  return { one, processes, cgroups, late, changed, factsOf, observe }
}

/** A real process and what a record of it would say. */
function startProcess(...args: string[]): SampleHeader & { pid: number } {
  child = spawn('/bin/sleep', ['600', ...args], { stdio: 'ignore' })
  const pid = child.pid!
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  return { pid, startTime: BigInt(ticks) * 10_000_000n + 123_456n, comm: 'sleep' }
}

describe('executables', () => {
  it('come from the exec that was seen, for the process and nobody else', () => {
    const { factsOf, observe, changed } = enricher()
    const who = { pid: 2 ** 22 + 5, startTime: 77n }
    observe(sampleExec(who, '/usr/bin/first'), processExec)
    observe(sampleExec(who, '/usr/bin/second'), processExec)
    expect(factsOf(sampleOpen(who)).exe).toBe('/usr/bin/second')
    expect(factsOf(sampleOpen({ ...who, startTime: 78n })).exe).toBe('')
    expect(changed).toEqual([who.pid, who.pid])
  })

  it('come from /proc when no exec was seen and the start time agrees', () => {
    const { factsOf, processes } = enricher()
    const who = startProcess()
    expect(factsOf(sampleOpen(who)).exe).toBe(realpathSync('/bin/sleep'))
    expect(factsOf(sampleOpen({ ...who, startTime: who.startTime! + 20_000_000n })).exe).toBe('')
    expect(processes.misses).toBe(1)
  })

  it('come from the parent when the process is gone, never ran exec and has the same name', () => {
    const { factsOf, observe } = enricher()
    const parent = { pid: 2 ** 22 + 6, startTime: 1000n, time: 2000n }
    observe(sampleExec(parent, '/opt/worker'), processExec)
    const forked = {
      pid: 2 ** 22 + 7, startTime: 3000n, ppid: parent.pid, parentStartTime: 1000n, comm: 'worker',
    }
    expect(factsOf(sampleOpen({ ...forked })).exe).toBe('/opt/worker')
    // Forked before the parent became what it is; an adopted orphan; a pid that was used again.
    expect(factsOf(sampleOpen({ ...forked, pid: 2 ** 22 + 8, startTime: 1500n })).exe).toBe('')
    expect(factsOf(sampleOpen({ ...forked, pid: 2 ** 22 + 9, comm: 'other' })).exe).toBe('')
    expect(factsOf(sampleOpen({ ...forked, pid: 2 ** 22 + 10, parentStartTime: 999n })).exe).toBe('')
  })

  it('are known a while after the process ended, since its connections close later', () => {
    const { factsOf, observe, processes } = enricher()
    const who = (pid: number) => ({ pid: 2 ** 22 + pid, startTime: 5n })
    for (const pid of [1, 2, 3]) {
      observe(sampleExec(who(pid), `/bin/p${pid}`), processExec)
      observe(sampleRecord('process_exit', who(pid)), processExit)
    }
    expect(factsOf(sampleOpen(who(3))).exe).toBe('/bin/p3')
    expect(factsOf(sampleOpen(who(1))).exe).toBe('')
    expect(processes.size).toBe(3)
  })

  it('are kept for a bounded number of processes, those asked for last', () => {
    const { factsOf, observe, processes } = enricher(3)
    const who = (pid: number) => ({ pid: 2 ** 22 + pid, startTime: 5n })
    for (const pid of [1, 2, 3]) observe(sampleExec(who(pid), `/bin/p${pid}`), processExec)
    expect(factsOf(sampleOpen(who(1))).exe).toBe('/bin/p1')
    observe(sampleExec(who(4), '/bin/p4'), processExec)
    expect(processes.size).toBe(3)
    expect(factsOf(sampleOpen(who(1))).exe).toBe('/bin/p1')
    expect(factsOf(sampleOpen(who(2))).exe).toBe('')
  })

  it('are forgotten when execs were lost', () => {
    const { factsOf, observe, processes } = enricher()
    observe(sampleExec({ pid: 2 ** 22 + 1 }, '/bin/old'), processExec)
    processes.forgetAll()
    expect(factsOf(sampleOpen({ pid: 2 ** 22 + 1 })).exe).toBe('')
  })

  it('are nobody\'s where no process is known', () => {
    const { factsOf } = enricher()
    expect(factsOf(sampleOpen({ pid: 0 }))).toEqual({ exe: '', cgroup_path: '', workload: '' })
  })
})

describe('arguments of processes found at start', () => {
  it('are filled into the record', () => {
    const { observe, one } = enricher()
    const who = startProcess('601')
    const record = observe(sampleExec(who, '/usr/bin/sleep', true), processExec)
    const at = recordOffsets.process_exec
    const text = Buffer.from(record.u8.subarray(at.args, at.args + 20)).toString('latin1')
    expect(text).toBe('/bin/sleep\x00600\x00601\x00\x00')
    expect(record.u32[at.args_bytes >> 2]).toBe(19)
    expect(record.u16[at.args_bytes_kept >> 1]).toBe(19)
    expect(one.misses.args).toBe(0)
  })

  it('are cut at what a record holds, with their true length', () => {
    const { observe } = enricher()
    const who = startProcess('1'.padStart(3000, '0'))
    const record = observe(sampleExec(who, '/usr/bin/sleep', true), processExec)
    const at = recordOffsets.process_exec
    expect(record.u32[at.args_bytes >> 2]).toBe(11 + 4 + 3001)
    expect(record.u16[at.args_bytes_kept >> 1]).toBe(512)
    expect(record.u32[at.exe_inode >> 2]).toBe(0)
  })

  it('stay empty, counted, when the process is another one by now', () => {
    const { observe, one } = enricher()
    const who = startProcess()
    const later = { ...who, startTime: who.startTime! + 10_000_000n }
    const record = observe(sampleExec(later, '/usr/bin/sleep', true), processExec)
    expect(record.u8[recordOffsets.process_exec.args]).toBe(0)
    expect(one.misses.args).toBe(1)
  })

  it('are left as the kernel gave them for programs that begin', () => {
    const { observe } = enricher()
    const who = startProcess()
    const record = observe(sampleExec(who, '/usr/bin/sleep'), processExec)
    expect(record.u8[recordOffsets.process_exec.args]).toBe(0)
  })
})

describe('cgroups', () => {
  const idOf = (path: string) => statSync(join(dir, path), { bigint: true }).ino

  it('are found by the inode of their folder, and name the workload', () => {
    mkdirSync(join(dir, 'system.slice/ssh.service'), { recursive: true })
    const { cgroups, factsOf, observe } = enricher()
    cgroups.walk()
    const who = { pid: 2 ** 22 + 1, cgroupId: idOf('system.slice/ssh.service') }
    expect(factsOf(sampleOpen(who)))
      .toEqual({ exe: '', cgroup_path: '/system.slice/ssh.service', workload: 'ssh.service' })
    observe(sampleExec({ ...who, cgroupId: idOf('.') }, '/bin/a'), processExec)
    expect(factsOf(sampleOpen({ ...who, cgroupId: idOf('.') })))
      .toEqual({ exe: '/bin/a', cgroup_path: '/', workload: '/bin/a' })
  })

  it('that came since are told late, once, and the workload is left open until then', () => {
    vi.useFakeTimers()
    try {
      const { cgroups, factsOf, late } = enricher()
      factsOf(sampleOpen({ cgroupId: 999_999_999_999n }))
      const id = `${'ab'.repeat(32)}`
      mkdirSync(join(dir, 'docker', id), { recursive: true })
      const who = { pid: 2 ** 22 + 1, cgroupId: idOf(`docker/${id}`) }
      expect(factsOf(sampleOpen(who))).toMatchObject({ cgroup_path: '', workload: '' })
      factsOf(sampleOpen(who))
      expect(late).toEqual([])
      vi.advanceTimersByTime(5000)
      expect(late).toMatchObject([
        { id: who.cgroupId, path: `/docker/${id}`, workload: { container_id: id } },
      ])
      expect(factsOf(sampleOpen(who)).workload).toBe(`container:${id.slice(0, 12)}`)
      cgroups.stop()
    } finally {
      vi.useRealTimers()
    }
  })

  it('that came since the last walk, a while ago, are found at once', () => {
    const { factsOf, late } = enricher()
    mkdirSync(join(dir, 'new.service'))
    expect(factsOf(sampleOpen({ cgroupId: idOf('new.service') })).workload).toBe('new.service')
    expect(late).toEqual([])
  })

  it('that are gone before anybody looked stay unknown, without looking for ever', () => {
    vi.useFakeTimers()
    try {
      const { cgroups, factsOf, observe, one } = enricher()
      const who = { pid: 2 ** 22 + 1, cgroupId: 999_999_999_999n }
      observe(sampleExec(who, '/bin/a'), processExec)
      expect(factsOf(sampleOpen(who)).workload).toBe('')
      expect(vi.getTimerCount()).toBe(1)
      vi.advanceTimersByTime(60_000)
      expect(vi.getTimerCount()).toBe(0)
      expect(factsOf(sampleOpen(who)).workload).toBe('/bin/a')
      expect(vi.getTimerCount()).toBe(0)
      expect(one.misses.cgroup_path).toBe(2)
      cgroups.stop()
    } finally {
      vi.useRealTimers()
    }
  })

  it('are kept in a bounded number', () => {
    for (let i = 0; i < 20; i++) mkdirSync(join(dir, `g${i}`))
    const { cgroups } = enricher(5)
    cgroups.walk()
    expect(cgroups.size).toBeLessThanOrEqual(5)
  })

  it('stay unknown where no cgroup v2 is mounted', () => {
    const { cgroups, factsOf, observe } = enricher(100, '')
    cgroups.walk()
    observe(sampleExec({ pid: 2 ** 22 + 1 }, '/bin/a'), processExec)
    expect(factsOf(sampleOpen({ pid: 2 ** 22 + 1 })))
      .toEqual({ exe: '/bin/a', cgroup_path: '', workload: '/bin/a' })
    expect(scopeOf('', '/a')).toBeUndefined()
  })

  it('can be named as the scope, by path below the mount or whole', () => {
    mkdirSync(join(dir, 'a/b'), { recursive: true })
    expect(scopeOf(dir, '/a/b')).toEqual({ id: idOf('a/b'), level: 2 })
    expect(scopeOf(dir, join(dir, 'a'))).toEqual({ id: idOf('a'), level: 1 })
    expect(scopeOf(dir, '/')).toEqual({ id: idOf('.'), level: 0 })
    expect(scopeOf(dir, '/none')).toBeUndefined()
    expect(scopeOf(dir, '/a/../a')).toBeUndefined()
  })
})

describe('/proc', () => {
  it('answers for living processes and not for others', () => {
    const { pid, startTime } = startProcess()
    expect(isProcess(pid, startTime!)).toBe(true)
    expect(isProcess(pid, startTime! - 10_000_000n)).toBe(false)
    expect(isProcess(2 ** 22 + 1, startTime!)).toBe(false)
    expect(readExe(2 ** 22 + 1, startTime!)).toBe('')
    expect(readArgs(2 ** 22 + 1, startTime!, 10)).toBeUndefined()
    expect(readCgroupPath(2 ** 22 + 1)).toBe('')
  })

  it('is read although the name of the process is made to confuse', () => {
    const folder = join(dir, '77')
    mkdirSync(folder)
    const known: Record<number, number> = { 0: 77, 21: 5, 47: 100, 48: 164 }
    const fields = Array.from({ length: 50 }, (_, i) => known[i] ?? 0)
    const text = fields.map((field, i) => i === 1 ? '(a) R 1 (b)' : String(field)).join(' ')
    writeFileSync(join(folder, 'stat'), text)
    writeFileSync(join(folder, 'cmdline'), 'one\0two\0')
    writeFileSync(join(folder, 'cgroup'), '4:memory:/x\n0::/a b\n')
    expect(isProcess(77, 50_000_000n, dir)).toBe(true)
    expect(readArgs(77, 59_999_999n, 5, dir)).toEqual({ kept: Buffer.from('one\0t'), bytes: 64 })
    expect(readCgroupPath(77, dir)).toBe('/a b')
  })
})
