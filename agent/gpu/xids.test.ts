import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { GpuXid, Process } from '../../proto/gen/events.ts'
import type { Loss } from '../spool/gaps.ts'
import { FakeLog } from './sample/fake-log.ts'
import { Xids } from './xids.ts'
import type { XidsOptions } from './xids.ts'

interface Told { values: Partial<GpuXid>, time: bigint, process: Partial<Process> }

let root: string
let log: FakeLog
let told: Told[]
let losses: Loss[]
let complaints: string[]
let hints: number
let xids: Xids

beforeEach(() => {
  vi.useFakeTimers()
  root = mkdtempSync(join(tmpdir(), 'vedette-xids-'))
  log = new FakeLog()
  told = []
  losses = []
  complaints = []
  hints = 0
})
afterEach(() => {
  xids.stop()
  vi.useRealTimers()
  rmSync(root, { recursive: true })
})

function open(more: Partial<XidsOptions> = {}): Xids {
  xids = new Xids({
    root, clock: { now: () => ({ bootNs: 50_000_000_000n, wallNs: 0n }) },
    add: (_, values, time, process) => told.push({ values, time, process }),
    processOf: (pid) => ({ pid, comm: 'python', workload: 'job' }),
    seen: () => { hints++ }, noteLoss: (loss) => losses.push(loss),
    complain: ({ message }) => complaints.push(message), openLog: () => log,
    monotonicNs: () => 40_000_000_000n, ...more,
  })
  xids.start()
  return xids
}

function loadDriver(name = 'nvidia'): void {
  mkdirSync(join(root, 'sys/module', name), { recursive: true })
}

const line = (xid: number, text = 'x'): string => `NVRM: Xid (PCI:0000:1b:00): ${xid}, ${text}`

describe('errors of GPUs', () => {
  it('are told with what they mean, when they happened and whose they are', () => {
    loadDriver()
    open()
    log.say(line(48, 'pid=4121, name=python, DBE (double bit error)'), { time_us: 39_000_000 })
    vi.advanceTimersByTime(1000)
    expect(told).toEqual([{
      values: {
        pci_address: '0000:1b:00.0', xid: 48, xid_name: 'GPU_ECC_DBE', xid_category: 'integrity',
        critical: true, text: 'pid=4121, name=python, DBE (double bit error)', xid_pid: 4121,
        is_switch: false, previous_xid: 0, source: 'kmsg',
      },
      // A second ago, by the kernel's own clock.
      time: 49_000_000_000n, process: { pid: 4121, comm: 'python', workload: 'job' },
    }])
    expect(hints).toBe(1)
  })

  it('that stand in the log before the start are not told again, however many', () => {
    loadDriver()
    for (let i = 0; i < 1700; i++) log.say(line(79))
    open()
    vi.advanceTimersByTime(1000)
    expect(told).toEqual([])
    log.say(line(31, 'Ch 00000010'))
    vi.advanceTimersByTime(1000)
    expect(told).toMatchObject([{ values: { xid: 31, xid_category: 'application', critical: false }, process: {} }])
  })

  it('are read from a driver that comes later, from its first message on', () => {
    open()
    expect(vi.getTimerCount()).toBe(1)
    log.say(line(62))
    vi.advanceTimersByTime(50_000)
    expect(told).toEqual([])
    loadDriver('nvidia_nvswitch')
    xids.look()
    expect(told).toMatchObject([{ values: { xid: 62 } }])
    rmSync(join(root, 'sys/module'), { recursive: true })
    vi.advanceTimersByTime(2000)
    // Only the look once a minute is left.
    expect(vi.getTimerCount()).toBe(1)
  })

  it('of a switch are none of a GPU, and say themselves whether they are fatal', () => {
    loadDriver()
    open()
    log.say('nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): 79, Fatal, Link 30 LTSSM Fault Up')
    log.say('nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): 20034, Non-fatal, Link 30')
    log.say(line(9999))
    vi.advanceTimersByTime(1000)
    expect(told.map(({ values }) => [values.xid, values.xid_name, values.xid_category, values.critical])).toEqual([
      [79, undefined, 'fabric', true], [20034, undefined, 'fabric', false], [9999, undefined, undefined, false],
    ])
  })

  it('that a program wrote into the log are not believed', () => {
    loadDriver()
    open()
    log.say(line(79), { priority: 12 })
    vi.advanceTimersByTime(1000)
    expect(told).toEqual([])
  })

  it('beyond a limit are counted and told as lost, and so is what was overwritten', () => {
    loadDriver()
    open()
    for (let i = 0; i < 250; i++) log.say(line(31))
    vi.advanceTimersByTime(1000)
    // What is left of the first second, and a second more.
    expect(told).toHaveLength(200)
    expect(xids.counts).toEqual({ told: 200, refused: 50, messages_lost: 0 })
    expect(losses.reduce((sum, { count }) => sum + count, 0)).toBe(50)
    losses = []
    log.skip(500)
    log.say('something else')
    vi.advanceTimersByTime(1000)
    expect(losses).toMatchObject([{ event_kind: 'gpu_xid', stage: 'probe', count: 500 }])
    expect(xids.counts.messages_lost).toBe(500)
  })

  it('cannot be seen without the log, which matters only where there is a driver', () => {
    const openLog = (): FakeLog => { throw Object.assign(new Error('no'), { code: 'EPERM' }) }
    open({ openLog })
    expect(complaints).toEqual([])
    loadDriver()
    open({ openLog })
    expect(complaints).toEqual([expect.stringContaining('EPERM')])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('are not waited for any more when the log breaks, and the log is closed', () => {
    loadDriver()
    open()
    log.fail('EIO')
    vi.advanceTimersByTime(1000)
    expect(complaints).toEqual([expect.stringContaining('EIO')])
    expect([log.closed, vi.getTimerCount()]).toEqual([true, 0])
  })
})
