import { describe, expect, it } from 'vitest'
import type { NativeFailure } from '../../native/index.ts'
import { StoreLabels } from './labels.ts'

/** The maps of the probes, as bytes; refuses what it is told to. */
class Maps {
  readonly entries = new Map<string, string>()
  refuse = ''
  calls = 0

  setEntry(map: string, key: Uint8Array, value?: Uint8Array): NativeFailure | undefined {
    this.calls++
    if (map === this.refuse) return { operation: 'set_entry', errno: 7, code: 'E2BIG', detail: '' }
    const name = `${map} ${Buffer.from(key).toString('hex')}`
    if (value) this.entries.set(name, Buffer.from(value).toString('hex'))
    else this.entries.delete(name)
    return undefined
  }

  of(map: string): string[] {
    return [...this.entries].filter(([key]) => key.startsWith(`${map} `))
      .map(([key, value]) => `${key.split(' ')[1]} ${value}`).sort()
  }
}

const folder = { device: 0x800001, inode: 0x1234n, folder: true, id: 3 }
const disk = { device: 0x800002, inode: 0n, folder: true, id: 4 }

describe('the labels of stores', () => {
  it('are in the maps as the probes read them', () => {
    const maps = new Maps()
    expect(new StoreLabels(maps).set([folder, disk, { ...folder, id: 9 }])).toBeUndefined()
    expect(maps.of('store_roots')).toEqual(['34120000000000000100800001000000 03000000'])
    expect(maps.of('store_devices')).toEqual(['01008000 0000000001000000', '02008000 0400000000000000'])
    expect(maps.of('store_changes')).toEqual(['01000000 01000000'])
  })

  it('change only what is different, and then everything is looked for anew', () => {
    const maps = new Maps()
    const labels = new StoreLabels(maps)
    labels.set([folder, disk])
    const { calls } = maps
    labels.set([disk, folder])
    expect(maps.calls).toBe(calls)
    labels.set([{ ...folder, id: 5 }, { ...disk, device: folder.device }])
    expect(maps.of('store_roots')).toEqual(['34120000000000000100800001000000 05000000'])
    expect(maps.of('store_devices')).toEqual(['01008000 0400000001000000'])
    expect(maps.of('store_changes')).toEqual(['01000000 02000000'])
    labels.set([])
    expect([maps.of('store_roots'), maps.of('store_devices'), labels.size]).toEqual([[], [], 0])
  })

  it('tell a file from a folder of the same number, as overlays of several file systems have them', () => {
    const maps = new Maps()
    new StoreLabels(maps).set([folder, { ...folder, folder: false, id: 9 }])
    expect(maps.of('store_roots')).toEqual([
      '34120000000000000100800000000000 09000000', '34120000000000000100800001000000 03000000',
    ])
  })

  it('have a bit for each device, until it has no label more', () => {
    const maps = new Maps()
    const labels = new StoreLabels(maps)
    const bits = (): number[] => [...Buffer.from(maps.of('store_device_bits')[0].split(' ')[1], 'hex')]
      .flatMap((byte, i) => [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => byte >> bit & 1).map((bit) => 8 * i + bit))
    labels.set([folder, disk, { ...disk, device: 0xfff }, { ...disk, device: 0x103 << 20 | 0x1000 }])
    // The major number changes the lower bits of the minor one.
    expect(bits()).toEqual([9, 10, 0x103, 0xfff])
    labels.set([disk])
    expect(bits()).toEqual([10])
    labels.set([])
    expect(bits()).toEqual([])
  })

  it('that the kernel refuses are told, and tried again', () => {
    const maps = new Maps()
    const labels = new StoreLabels(maps)
    maps.refuse = 'store_roots'
    expect(labels.set([folder])).toMatchObject({ code: 'E2BIG' })
    maps.refuse = ''
    expect(labels.set([folder])).toBeUndefined()
    expect(maps.of('store_roots')).toHaveLength(1)
  })

  it('beyond what the maps hold are left out and counted', () => {
    const labels = new StoreLabels(new Maps())
    labels.set(Array.from({ length: 1030 }, (_, device) => ({ device, inode: 0n, folder: true, id: 1 })))
    expect([labels.size, labels.left]).toEqual([1024, 6])
    labels.set(Array.from({ length: 65_540 }, (_, at) => ({ ...folder, device: 1, inode: BigInt(at + 1) })))
    expect([labels.size, labels.left]).toEqual([65_537, 4])
  })
})
