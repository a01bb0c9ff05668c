import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { NativeFailure } from '../../native/index.ts'
import { gpuDeviceFamilyNames } from '../../proto/gen/events.ts'
import { deviceNumbers, deviceNumbersMax, GpuDeviceNumbers, parseDevices } from './device-numbers.ts'

const folders: string[] = []
afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true })))

const before545 = `Character devices:
  1 mem
195 nvidia-frontend
226 drm
231 infiniband_verbs
234 nvidia-caps
235 nvidia-nvswitch
510 nvidia-uvm

Block devices:
  7 loop
510 nvidia-uvm
`

const since545 = `Character devices:
195 nvidia
195 nvidia-modeset
195 nvidiactl
503 nvidia-caps-imex-channels
509 nvidia-uvm
`

/** The map of the probes, as it stands. */
class FakeMap {
  readonly entries = new Map<number, { family: string, minor_from: number, by_minor: boolean }>()
  writes = 0
  refuse = false

  setEntry(map: string, key: Uint8Array, value?: Uint8Array): NativeFailure | undefined {
    expect(map).toBe('gpu_devices')
    if (this.refuse) return { operation: 'set_entry', errno: 7, code: 'E2BIG', detail: map }
    this.writes++
    const device = Buffer.from(key).readUInt32LE()
    if (!value) this.entries.delete(device)
    else {
      const bytes = Buffer.from(value)
      expect(bytes).toHaveLength(8)
      this.entries.set(device, {
        minor_from: bytes.readUInt32LE(0), family: gpuDeviceFamilyNames[bytes[4]],
        by_minor: bytes[5] === 1,
      })
    }
    return undefined
  }
}

function nodeWith(devices: string): string {
  const root = mkdtempSync(join(tmpdir(), 'vedette-devices-'))
  folders.push(root)
  mkdirSync(join(root, 'proc'))
  writeFileSync(join(root, 'proc/devices'), devices)
  return root
}

const all = (major: number): number => major * 2 ** 20 + 2 ** 20 - 1

describe('device numbers', () => {
  it('come from the character devices, and the fixed ones are not asked for', () => {
    expect(deviceNumbers(before545, [])).toEqual([
      { device: all(226), family: 'drm', minor_from: 0, by_minor: true },
      { device: all(231), family: 'infiniband_verbs', minor_from: 192, by_minor: false },
      { device: all(234), family: 'nvidia_caps', minor_from: 0, by_minor: false },
      { device: all(235), family: 'nvidia_nvswitch', minor_from: 0, by_minor: false },
      { device: all(510), family: 'nvidia_uvm', minor_from: 0, by_minor: false },
    ])
    expect(deviceNumbers(since545, []).map(({ family }) => family))
      .toEqual(['nvidia_caps_imex_channels', 'nvidia_uvm'])
  })

  it('of text that is none are none', () => {
    for (const text of ['', 'x', '510', '510  nvidia-uvm', '51000 nvidia-uvm',
      '510 nvidia-uvm extra', '-1 nvidia-uvm', '5000 nvidia-uvm', '510 constructor']) {
      expect(deviceNumbers(`Character devices:\n${text}\n`, [])).toEqual([])
    }
    expect(parseDevices('Character devices:\n  1 mem\n')).toEqual([{ major: 1, name: 'mem' }])
  })

  it('are brought up to date in the map, and nothing is written twice', () => {
    const [map, root] = [new FakeMap(), nodeWith(before545)]
    const numbers = new GpuDeviceNumbers(map, root)
    expect(numbers.refresh()).toBeUndefined()
    expect(map.entries.get(all(510))?.family).toBe('nvidia_uvm')
    expect(map.writes).toBe(5)
    numbers.refresh()
    expect(map.writes).toBe(5)
    writeFileSync(join(root, 'proc/devices'), since545)
    numbers.refresh()
    expect([...map.entries.keys()].sort()).toEqual([all(503), all(509)])
  })

  it('of graphics cards are those of NVIDIA alone', () => {
    const [map, root] = [new FakeMap(), nodeWith(before545)]
    for (const [name, vendor, minor] of [['card0', '0x1002', 0], ['card1', '0x10de', 1]]) {
      const folder = join(root, 'sys/class/drm', String(name), 'device')
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, 'vendor'), `${vendor}\n`)
      writeFileSync(join(folder, '../dev'), `226:${minor}\n`)
    }
    new GpuDeviceNumbers(map, root).refresh()
    expect(map.entries.get(226 * 2 ** 20 + 1)).toMatchObject({ family: 'drm', by_minor: false })
    expect(map.entries.has(226 * 2 ** 20)).toBe(false)
  })

  it('that do not fit are counted, and those that are refused are tried again', () => {
    const lines = Array.from({ length: deviceNumbersMax + 3 }, (_, i) => `${i} nvidia-caps`)
    const [map, root] = [new FakeMap(), nodeWith(`Character devices:\n${lines.join('\n')}\n`)]
    const numbers = new GpuDeviceNumbers(map, root)
    map.refuse = true
    expect(numbers.refresh()).toMatchObject({ code: 'E2BIG' })
    map.refuse = false
    expect(numbers.refresh()).toBeUndefined()
    expect([numbers.left_out, map.entries.size]).toEqual([3, deviceNumbersMax])
    // A node without /proc has no devices.
    expect(new GpuDeviceNumbers(map, join(root, 'nowhere')).refresh()).toBeUndefined()
  })
})
