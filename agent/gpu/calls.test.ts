import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { recordBuffer } from '../../proto/columns.ts'
import type { RecordBuffer } from '../../proto/columns.ts'
import {
  gpuCallKindNames, gpuDeviceFamilyNames, kindInfos, recordOffsets,
} from '../../proto/gen/events.ts'
import { GpuCalls } from './calls.ts'
import type { GpuCallsOptions } from './calls.ts'

const folders: string[] = []
afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true })))

const kindOf = (name: string): number => kindInfos.find(({ kind }) => kind === name)!.number
const at = 64

function call(callKind: string, family: string, escape: number, command = 0, hasValue = 0):
RecordBuffer {
  const record = recordBuffer(new ArrayBuffer(256))
  const offsets = recordOffsets.gpu_call
  record.u8[at + offsets.call_kind] = gpuCallKindNames.indexOf(callKind)
  record.u8[at + offsets.family] = gpuDeviceFamilyNames.indexOf(family)
  record.u8[at + offsets.has_value] = hasValue
  record.u32[(at + offsets.escape) >> 2] = escape
  record.u32[(at + offsets.command) >> 2] = command
  return record
}

function nodeWith(version?: string, more: Partial<GpuCallsOptions> = {}):
{ root: string, calls: GpuCalls } {
  const root = mkdtempSync(join(tmpdir(), 'vedette-calls-'))
  folders.push(root)
  if (version !== undefined) load(root, version)
  const calls = new GpuCalls({
    kernel: undefined, root, lookLate: () => [], changed: () => {}, failed: () => {}, ...more,
  })
  return { root, calls }
}

function load(root: string, version: string): void {
  mkdirSync(join(root, 'sys/module/nvidia'), { recursive: true })
  writeFileSync(join(root, 'sys/module/nvidia/version'), `${version}\n`)
}

const number = kindOf('gpu_call')

describe('a module that is loaded', () => {
  it('is looked at soon, with its devices and the probes that wait for it', async () => {
    const state = {
      probe: 'gpu_driver', state: 'attached', program: '', attach_type: '', error: 0, reason: '',
      lost: '',
    }
    const [changed, failed, set]: [unknown[], string[], number[]] = [[], [], []]
    const { root, calls } = nodeWith(undefined, {
      lookLate: () => [state], changed: (one) => void changed.push(one),
      failed: ({ detail }) => void failed.push(detail),
      kernel: { setEntry: (_, key) => void set.push(Buffer.from(key).readUInt32LE()) },
    })
    try {
      mkdirSync(join(root, 'proc'))
      const lines = Array.from({ length: 1030 }, (_, i) => `${i} nvidia-caps`)
      writeFileSync(join(root, 'proc/devices'), `Character devices:\n${lines.join('\n')}\n`)
      load(root, '570.1')
      const module = recordBuffer(new ArrayBuffer(1024))
      expect(calls.textsOf(module, at, kindOf('kernel_module'))).toBeUndefined()
      await expect.poll(() => changed, { timeout: 20_000 }).toContain(state)
      expect(set).toHaveLength(1024)
      expect(failed[0]).toBe('6 device numbers more than fit')
      expect(calls.textsOf(call('control', 'nvidiactl', 0x2a, 0x20800134), at, number))
        .toMatchObject({ driver_branch: '570' })
    } finally {
      calls.stop()
    }
  })
})

describe('the names of calls', () => {
  it('are those of the driver that is loaded, also after another one was', () => {
    const { root, calls } = nodeWith('525.147.05')
    const record = call('control', 'nvidiactl', 0x2a, 0x208001a9)
    expect(calls.textsOf(record, at, number)).toEqual({
      escape_name: 'RM_CONTROL', command_name: 'GPU_GET_NVENC_SW_SESSION_INFO_V2',
      driver_branch: '525',
    })
    load(root, '570.211.01')
    expect(calls.look()).toEqual([])
    expect(calls.textsOf(record, at, number)).toMatchObject({
      command_name: 'GPU_MARK_DEVICE_FOR_RESET', driver_branch: '570',
    })
    rmSync(join(root, 'sys'), { recursive: true })
    calls.look()
    expect(calls.textsOf(record, at, number)).toMatchObject({ driver_branch: '570' })
  })

  it('are absent where nobody knows them, and of what is no ioctl', () => {
    const { calls } = nodeWith()
    expect(calls.textsOf(call('control', 'nvidiactl', 0x2a, 0x11110001), at, number))
      .toEqual({ escape_name: 'RM_CONTROL' })
    expect(calls.textsOf(call('open', 'nvidiactl', 0), at, number)).toEqual({})
    expect(calls.textsOf(call('escape', 'drm', 7), at, number)).toEqual({})
    expect(calls.textsOf(call('escape', 'nvidia_uvm', 62), at, number))
      .toEqual({ escape_name: 'UVM_TOOLS_READ_PROCESS_MEMORY' })
    expect(calls.textsOf(call('control', 'nvidiactl', 0x2a), at, kindOf('process_exec')))
      .toBeUndefined()
  })

  it('say which calls may change a state', () => {
    const { calls } = nodeWith('570.1')
    const facts = (...words: Parameters<typeof call>) => calls.callFacts(call(...words), at)
    expect(facts('control', 'nvidiactl', 0x2a, 0x20800134))
      .toEqual({ name: 'GPU_SET_ECC_CONFIGURATION', sensitive: true })
    expect(facts('escape', 'nvidiactl', 0x35, 0, 1)).toEqual({ name: 'RM_SHARE', sensitive: true })
    expect(facts('control', 'nvidiactl', 0x2a, 0x2080012f).sensitive).toBe(false)
    expect(facts('control', 'nvidiactl', 0x2a, 0x11110001).sensitive).toBe(false)
  })

  it('are as many as fit, however many commands there are', () => {
    const { calls } = nodeWith('570.1')
    for (let command = 0; command < 10_000; command++) {
      calls.textsOf(call('control', 'nvidiactl', 0x2a, command), at, number)
    }
    expect(calls.textsOf(call('control', 'nvidiactl', 0x2a, 0x20800134), at, number))
      .toMatchObject({ command_name: 'GPU_SET_ECC_CONFIGURATION' })
  })
})
