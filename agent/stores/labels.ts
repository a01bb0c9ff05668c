// Tells the probes which files belong to which store: by device and inode, since paths are many.

import type { NativeFailure } from '../../native/index.ts'

/** What is needed of the kernel; KernelObject of native/index.ts is it. */
export interface LabelKernel {
  setEntry(map: string, key: Uint8Array, value?: Uint8Array): NativeFailure | undefined
}

/** A folder with all that is below it, a file, or all of a file system that is below no other. */
export interface Label {
  /** Device number (kernel encoding, major << 20 | minor). */
  device: number
  /** 0: all of the device. */
  inode: bigint
  /** Some overlays give the number of a file to a folder, too. */
  folder: boolean
  /** Number of the store, from 1 on. */
  id: number
}

/** As many as the maps hold (bpf/lib/store/label.bpf.h); what is more is left out, and counted. */
const devicesMax = 1024
const rootsMax = 65_536
/** The entry of the map store_changes that is the agent's. */
const changeOfRoots = 1
/** struct store_device_bits. */
const deviceBits = 4096
const minorBits = 20

type Entry = { map: string, key: Buffer, value: Buffer }

/** Keeps the maps of the probes as they are told. */
export class StoreLabels {
  readonly #kernel: LabelKernel
  /** By map and key in hex, as the kernel has them: the values in hex. */
  readonly #set = new Map<string, string>()
  #generation = 0
  /** Labels that did not fit. */
  left = 0

  constructor(kernel: LabelKernel) {
    this.#kernel = kernel
  }

  /** Entries of the maps. */
  get size(): number {
    return this.#set.size
  }

  /**
   * These labels and no others from now on; of two for the same file the first counts. Returns what
   * the kernel refused, if anything: the next call tries that again.
   */
  set(labels: readonly Label[]): NativeFailure | undefined {
    const { entries, left } = entriesOf(labels)
    this.left = left
    let failure: NativeFailure | undefined
    let changed = false
    const put = (map: string, key: Buffer, value?: Buffer): void => {
      const refused = this.#kernel.setEntry(map, key, value)
      failure = refused ?? failure
      if (refused) return
      changed = true
      const name = `${map} ${key.toString('hex')}`
      if (value) this.#set.set(name, value.toString('hex'))
      else this.#set.delete(name)
    }
    // What goes makes room first.
    for (const name of [...this.#set.keys()].filter((one) => !entries.has(one))) {
      const [map, key] = name.split(' ')
      put(map, Buffer.from(key, 'hex'))
    }
    for (const [name, { map, key, value }] of entries) {
      if (this.#set.get(name) !== value.toString('hex')) put(map, key, value)
    }
    if (changed) failure = this.#setBits() ?? failure
    return (changed ? this.forget() : undefined) ?? failure
  }

  /** Which devices need to be looked up at all. */
  #setBits(): NativeFailure | undefined {
    const bits = Buffer.alloc(deviceBits / 8)
    for (const name of this.#set.keys()) {
      const [map, key] = name.split(' ')
      if (map !== 'store_devices') continue
      const device = Buffer.from(key, 'hex').readUInt32LE()
      const bit = (device ^ device >>> minorBits) & (deviceBits - 1)
      bits[bit >> 3] |= 1 << (bit & 7)
    }
    return this.#kernel.setEntry('store_device_bits', words(0), bits)
  }

  /** Every label is looked for anew: after a change that the probes do not see. */
  forget(): NativeFailure | undefined {
    this.#generation = (this.#generation + 1) >>> 0
    return this.#kernel.setEntry('store_changes', words(changeOfRoots), words(this.#generation))
  }
}

/** What the maps are to hold, by map and key. */
function entriesOf(labels: readonly Label[]): { entries: Map<string, Entry>, left: number } {
  const entries = new Map<string, Entry>()
  const devices = new Map<number, { id: number, hasRoots: boolean }>()
  let left = 0
  for (const { device, inode, folder, id } of labels) {
    const known = devices.get(device)
    if (known ? inode !== 0n && entries.size >= rootsMax : devices.size >= devicesMax) {
      left++
      continue
    }
    const entry = known ?? { id: 0, hasRoots: false }
    devices.set(device, entry)
    if (inode === 0n) entry.id ||= id
    else addRoot(entries, { device, inode, folder, id })
    if (inode !== 0n) entry.hasRoots = true
  }
  for (const [device, { id, hasRoots }] of devices) {
    const key = words(device)
    const value = words(id, Number(hasRoots))
    entries.set(`store_devices ${key.toString('hex')}`, { map: 'store_devices', key, value })
  }
  return { entries, left }
}

function addRoot(entries: Map<string, Entry>, { device, inode, folder, id }: Label): void {
  const key = Buffer.alloc(16)
  key.writeBigUInt64LE(inode, 0)
  key.writeUInt32LE(device, 8)
  key.writeUInt32LE(Number(folder), 12)
  const name = `store_roots ${key.toString('hex')}`
  if (!entries.has(name)) entries.set(name, { map: 'store_roots', key, value: words(id) })
}

/** As a record of u32 in the kernel. */
function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length)
  values.forEach((value, at) => bytes.writeUInt32LE(value, 4 * at))
  return bytes
}
