import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import type { ChildProcess } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { recordOffsets } from '../../proto/gen/events.ts'
import { SampleEnricher, startSleep } from '../sample/enricher.ts'
import { sampleExec, sampleOpen, sampleRecord } from '../sample/records.ts'
import { isProcess, readArgs, readCgroupPath, readExe } from './proc.ts'

let dir: string
let child: ChildProcess | undefined
beforeEach(() => { dir = mkdtempSync(join(tmpdir(), 'vedette-enrich-')) })
afterEach(() => {
  child?.kill('SIGKILL')
  child = undefined
  rmSync(dir, { recursive: true })
})

function startProcess(...args: string[]) {
  const started = startSleep(...args)
  child = started.child
  return started.who
}

describe('executables', () => {
  it('come from the exec that was seen, for the process and nobody else', () => {
    const one = new SampleEnricher(dir)
    const who = { pid: 2 ** 22 + 5, startTime: 77n }
    one.observe(sampleExec(who, '/usr/bin/first'))
    one.observe(sampleExec(who, '/usr/bin/second'))
    expect(one.factsOf(sampleOpen(who)).exe).toBe('/usr/bin/second')
    expect(one.factsOf(sampleOpen({ ...who, startTime: 78n })).exe).toBe('')
    expect(one.changed).toEqual([who.pid, who.pid])
  })

  it('come from /proc when no exec was seen and the start time agrees', () => {
    const one = new SampleEnricher(dir)
    const who = startProcess()
    expect(one.factsOf(sampleOpen(who)).exe).toBe(realpathSync('/bin/sleep'))
    expect(one.factsOf(sampleOpen({ ...who, startTime: who.startTime + 20_000_000n })).exe).toBe('')
    expect(one.processes.misses).toBe(1)
  })

  it('come from the parent when the process is gone, never ran exec and has the same name', () => {
    const one = new SampleEnricher(dir)
    const parent = { pid: 2 ** 22 + 6, startTime: 1000n, time: 2000n }
    one.observe(sampleExec(parent, '/opt/worker'))
    const forked = {
      pid: 2 ** 22 + 7, startTime: 3000n, ppid: parent.pid, parentStartTime: 1000n, comm: 'worker',
    }
    expect(one.factsOf(sampleOpen({ ...forked })).exe).toBe('/opt/worker')
    // Forked before the parent became what it is; an adopted orphan; a pid that was used again.
    expect(one.factsOf(sampleOpen({ ...forked, pid: 2 ** 22 + 8, startTime: 1500n })).exe).toBe('')
    expect(one.factsOf(sampleOpen({ ...forked, pid: 2 ** 22 + 9, comm: 'other' })).exe).toBe('')
    expect(one.factsOf(sampleOpen({ ...forked, pid: 2 ** 22 + 10, parentStartTime: 999n })).exe).toBe('')
  })

  it('are known a while after the process ended, since its connections close later', () => {
    const one = new SampleEnricher(dir)
    const who = (pid: number) => ({ pid: 2 ** 22 + pid, startTime: 5n })
    for (const pid of [1, 2, 3]) {
      one.observe(sampleExec(who(pid), `/bin/p${pid}`))
      one.observe(sampleRecord('process_exit', who(pid)))
    }
    expect(one.factsOf(sampleOpen(who(3))).exe).toBe('/bin/p3')
    expect(one.factsOf(sampleOpen(who(1))).exe).toBe('')
    expect(one.processes.size).toBe(3)
  })

  it('are kept for a bounded number of processes, those asked for last', () => {
    const one = new SampleEnricher(dir, 3)
    const who = (pid: number) => ({ pid: 2 ** 22 + pid, startTime: 5n })
    for (const pid of [1, 2, 3]) one.observe(sampleExec(who(pid), `/bin/p${pid}`))
    expect(one.factsOf(sampleOpen(who(1))).exe).toBe('/bin/p1')
    one.observe(sampleExec(who(4), '/bin/p4'))
    expect(one.processes.size).toBe(3)
    expect(one.factsOf(sampleOpen(who(1))).exe).toBe('/bin/p1')
    expect(one.factsOf(sampleOpen(who(2))).exe).toBe('')
  })

  it('are forgotten when execs were lost', () => {
    const one = new SampleEnricher(dir)
    one.observe(sampleExec({ pid: 2 ** 22 + 1 }, '/bin/old'))
    one.processes.forgetAll()
    expect(one.factsOf(sampleOpen({ pid: 2 ** 22 + 1 })).exe).toBe('')
  })

  it('are nobody\'s where no process is known', () => {
    const one = new SampleEnricher(dir)
    expect(one.factsOf(sampleOpen({ pid: 0 }))).toEqual({ exe: '', cgroup_path: '', workload: '' })
  })
})

describe('arguments of processes found at start', () => {
  it('are filled into the record', () => {
    const one = new SampleEnricher(dir)
    const who = startProcess('601')
    const record = one.observe(sampleExec(who, '/usr/bin/sleep', true))
    const at = recordOffsets.process_exec
    const text = Buffer.from(record.u8.subarray(at.args, at.args + 20)).toString('latin1')
    expect(text).toBe('/bin/sleep\x00600\x00601\x00\x00')
    expect(record.u32[at.args_bytes >> 2]).toBe(19)
    expect(record.u16[at.args_bytes_kept >> 1]).toBe(19)
    expect(one.enricher.misses.args).toBe(0)
  })

  it('are cut at what a record holds, with their true length', () => {
    const one = new SampleEnricher(dir)
    const who = startProcess('1'.padStart(3000, '0'))
    const record = one.observe(sampleExec(who, '/usr/bin/sleep', true))
    const at = recordOffsets.process_exec
    expect(record.u32[at.args_bytes >> 2]).toBe(11 + 4 + 3001)
    expect(record.u16[at.args_bytes_kept >> 1]).toBe(512)
    expect(record.u32[at.exe_inode >> 2]).toBe(0)
  })

  it('stay empty, counted, when the process is another one by now', () => {
    const one = new SampleEnricher(dir)
    const who = startProcess()
    const later = { ...who, startTime: who.startTime + 10_000_000n }
    const record = one.observe(sampleExec(later, '/usr/bin/sleep', true))
    expect(record.u8[recordOffsets.process_exec.args]).toBe(0)
    expect(one.enricher.misses.args).toBe(1)
  })

  it('are left as the kernel gave them for programs that begin', () => {
    const one = new SampleEnricher(dir)
    const who = startProcess()
    const record = one.observe(sampleExec(who, '/usr/bin/sleep'))
    expect(record.u8[recordOffsets.process_exec.args]).toBe(0)
  })
})

describe('/proc', () => {
  it('answers for living processes and not for others', () => {
    const { pid, startTime } = startProcess()
    expect(isProcess(pid, startTime)).toBe(true)
    expect(isProcess(pid, startTime - 10_000_000n)).toBe(false)
    expect(isProcess(2 ** 22 + 1, startTime)).toBe(false)
    expect(readExe(2 ** 22 + 1, startTime)).toBe('')
    expect(readArgs(2 ** 22 + 1, startTime, 10)).toBeUndefined()
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
