import { describe, expect, it } from 'vitest'
import { Acts } from './acts.ts'
import { sampleRead, sampleRecord } from '../sample/records.ts'
import type { SampleHeader } from '../sample/records.ts'
import { recordOffsets } from '../../proto/gen/events.ts'
import type { KernelKind } from '../../proto/gen/events.ts'

const second = 1_000_000_000n
const factsOf = () => ({ exe: '/usr/bin/tool', cgroup_path: '/a', workload: 'a' })

function observe(acts: Acts, kind: KernelKind, header: SampleHeader, fill: (bytes: Buffer) => void = () => {}) {
  const bytes = sampleRecord(kind, header)
  fill(bytes)
  return acts.observe(sampleRead([bytes]).record, 0, bytes.readUInt16LE(8))
}

const load = (module: string, action = 1) => (bytes: Buffer) => {
  bytes.write(module, recordOffsets.kernel_module.module)
  bytes[recordOffsets.kernel_module.action] = action
}
const opened = (privileged: number) => (bytes: Buffer) => {
  bytes[recordOffsets.gpu_device_open.cap_sys_admin] = privileged
  bytes[recordOffsets.gpu_device_open.family] = 1
}

describe('Acts', () => {
  it('names the latest fitting act of the last two minutes', () => {
    const acts = new Acts({ factsOf })
    observe(acts, 'kernel_module', { time: 10n * second, pid: 1 }, load('nvidia', 2))
    observe(acts, 'kernel_module', { time: 20n * second, pid: 2, uid: 0, comm: 'modprobe' }, load('nvidia'))
    observe(acts, 'firmware_load', { time: 21n * second, pid: 3 },
      (bytes) => bytes.write('nvidia/570/gsp.bin', recordOffsets.firmware_load.firmware))
    expect(acts.actorOf('driver', 30n * second)).toMatchObject({
      kind: 'kernel_module', action: 'load nvidia', time: 20n * second,
      process: { pid: 2, uid: 0, comm: 'modprobe', exe: '/usr/bin/tool', workload: 'a', start_time: 500_000_000n },
    })
    expect(acts.actorOf('firmware', 30n * second)?.action).toBe('nvidia/570/gsp.bin')
    expect(acts.actorOf('driver', 140n * second)?.process.pid).toBe(2)
    expect(acts.actorOf('driver', 141n * second)).toBeUndefined()
    expect(acts.actorOf('driver', 15n * second)?.action).toBe('unload nvidia')
  })

  it('names nobody for what no act can have done', () => {
    const acts = new Acts({ factsOf })
    observe(acts, 'kernel_module', { time: second }, load('nvidia'))
    expect(acts.actorOf('toolkit', 2n * second)).toBeUndefined()
    expect(observe(acts, 'connection_open', { time: second })).toBeUndefined()
    expect(observe(acts, 'kernel_module', { time: second }, load('nvidia', 3))).toBeUndefined()
  })

  it('takes calls that set something for acts, and opens only of those who could, as the last resort', () => {
    const acts = new Acts({ factsOf })
    expect(observe(acts, 'gpu_call', { time: second })).toBeUndefined()
    expect(observe(acts, 'gpu_device_open', { time: second, pid: 5 }, opened(0))).toBeUndefined()
    expect(observe(acts, 'gpu_device_open', { time: second, pid: 6 }, opened(1))).toBe('gpu_device_open')
    expect(acts.actorOf('gpu:x', 2n * second))
      .toMatchObject({ action: expect.stringMatching(/^open /), process: { pid: 6 } })
    observe(acts, 'gpu_call', { time: second / 2n, pid: 7 }, (bytes) => {
      bytes.writeUInt32LE(0x20800134, recordOffsets.gpu_call.command)
      bytes[recordOffsets.gpu_call.has_value] = 1
    })
    expect(acts.actorOf('gpu:x', 2n * second)).toMatchObject({ action: '0x20800134', process: { pid: 7 } })
  })

  it('blames a module of others for the taint of the kernel only, and reads nothing because of it', () => {
    const acts = new Acts({ factsOf })
    expect(observe(acts, 'kernel_module', { time: second, pid: 9 }, load('zfs'))).toBeUndefined()
    expect(observe(acts, 'kernel_module', { time: second / 2n, pid: 8 }, load('nvidia_uvm'))).toBe('kernel_module')
    expect(acts.actorOf('host', 2n * second)?.action).toBe('load zfs')
    expect(acts.actorOf('driver', 2n * second)?.action).toBe('load nvidia_uvm')
  })

  it('does not name the agent itself, which opens devices to read their state', () => {
    const acts = new Acts({ factsOf })
    expect(observe(acts, 'gpu_device_open', { time: second, pid: process.pid }, opened(1))).toBeUndefined()
  })

  it('is bounded: like acts are one, of others the oldest leaves, which is counted', () => {
    const acts = new Acts({ factsOf })
    for (let i = 0; i < 1000; i++) observe(acts, 'kernel_module', { time: second, pid: 1 }, load('nvidia'))
    expect(acts.forgotten).toBe(0)
    for (let i = 0; i < 100; i++) observe(acts, 'kernel_module', { time: 2n * second, pid: i + 2 }, load('nvidia'))
    expect(acts.forgotten).toBe(37)
    // Calls do not push out modules.
    for (let i = 0; i < 100; i++) {
      observe(acts, 'driver_setting', { time: 3n * second, pid: i + 2 },
        (bytes) => bytes.write('/x', recordOffsets.driver_setting.setting))
    }
    expect(acts.actorOf('driver', 2n * second)?.kind).toBe('kernel_module')
  })
})
