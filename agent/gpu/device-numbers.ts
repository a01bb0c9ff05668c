// Which device numbers belong to the GPU's surface, for the probes. Majors are given out as drivers
// are loaded; /proc/devices tells them, which is where nvidia-modprobe reads them, too.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { NativeFailure } from '../../native/index.ts'
import { gpuDeviceFamilyNames } from '../../proto/gen/events.ts'

/** What is needed of the kernel; KernelObject of native/index.ts is it. */
export interface MapKernel {
  setEntry(map: string, key: Uint8Array, value?: Uint8Array): NativeFailure | undefined
}

/** As struct gpu_device_numbers of bpf/lib/gpu/device.bpf.h. */
export interface DeviceNumbers {
  /** Device number; with all bits of its minor set, it stands for all of its major. */
  device: number
  /** A name of GpuDeviceFamily. */
  family: string
  /** Lower minors are something else. */
  minor_from: number
  /** Only minors with an entry of their own count. */
  by_minor: boolean
}

/** As many as the map holds (bpf/lib/gpu/device.bpf.h); what is more is left out, and counted. */
export const deviceNumbersMax = 1024

const minorBits = 20
const minorAll = 2 ** minorBits - 1
/** drivers/infiniband/core/uverbs_main.c: below are other devices of InfiniBand. */
const verbsMajor = 231
const verbsMinorFrom = 192
const vendorNvidia = '0x10de'

/** Names in /proc/devices. The fixed major 195 is known to the probe, whatever it is called. */
const families: Readonly<Record<string, string>> = {
  'nvidia-uvm': 'nvidia_uvm',
  'nvidia-caps': 'nvidia_caps',
  'nvidia-caps-imex-channels': 'nvidia_caps_imex_channels',
  'nvidia-nvswitch': 'nvidia_nvswitch',
  'nvidia-nvlink': 'nvidia_nvlink',
  'nvidia-fs': 'nvidia_fs',
  'gdrdrv': 'gdrdrv',
  'infiniband_verbs': 'infiniband_verbs',
  'drm': 'drm',
}

function familyOf(name: string): string | undefined {
  if (Object.hasOwn(families, name)) return families[name]
  return name.startsWith('nvidia-vgpu') ? 'nvidia_vgpu' : undefined
}

/** The part "Character devices:" of /proc/devices, as majors and names; odd lines are left out. */
export function parseDevices(text: string): { major: number, name: string }[] {
  const part = text.split(/^Block devices:/m)[0]
  return part.split('\n').flatMap((line) => {
    const found = /^\s*(\d{1,4}) (\S{1,64})$/.exec(line)
    return found ? [{ major: Number(found[1]), name: found[2] }] : []
  })
}

/** The numbers by the text of /proc/devices, and those of the DRM devices of NVIDIA cards. */
export function deviceNumbers(devices: string, cards: readonly number[]): DeviceNumbers[] {
  const numbers: DeviceNumbers[] = parseDevices(devices).flatMap(({ major, name }) => {
    const family = familyOf(name)
    if (!family || major >= 2 ** (32 - minorBits)) return []
    return [{
      device: major * 2 ** minorBits + minorAll, family, by_minor: family === 'drm',
      minor_from: family === 'infiniband_verbs' && major === verbsMajor ? verbsMinorFrom : 0,
    }]
  })
  for (const device of cards) {
    numbers.push({ device, family: 'drm', minor_from: 0, by_minor: false })
  }
  return numbers
}

/** Numbers of the DRM devices whose card is of NVIDIA. `root` is another folder for tests. */
export function nvidiaCards(root = '/'): number[] {
  const folder = join(root, 'sys/class/drm')
  return namesIn(folder).flatMap((name) => {
    if (textOf(join(folder, name, 'device/vendor')).trim() !== vendorNvidia) return []
    const found = /^(\d+):(\d+)$/.exec(textOf(join(folder, name, 'dev')).trim())
    return found ? [Number(found[1]) * 2 ** minorBits + Number(found[2])] : []
  })
}

/** Keeps the map of the probes as /proc/devices is. */
export class GpuDeviceNumbers {
  readonly #kernel: MapKernel
  readonly #root: string
  #set = new Map<number, string>()
  /** Numbers that did not fit. */
  left_out = 0

  constructor(kernel: MapKernel, root = '/') {
    this.#kernel = kernel
    this.#root = root
  }

  /** Reads again and brings the map up to date; what the kernel refused, if anything. */
  refresh(): NativeFailure | undefined {
    const all = deviceNumbers(textOf(join(this.#root, 'proc/devices')), nvidiaCards(this.#root))
    const wanted = all.slice(0, deviceNumbersMax)
    this.left_out = all.length - wanted.length
    const next = new Map<number, string>()
    let failure: NativeFailure | undefined
    const gone = [...this.#set.keys()].filter((device) =>
      !wanted.some((one) => one.device === device))
    for (const device of gone) {
      failure = this.#kernel.setEntry('gpu_devices', keyOf(device)) ?? failure
    }
    for (const numbers of wanted) {
      const spelled = JSON.stringify(numbers)
      if (this.#set.get(numbers.device) !== spelled) {
        const refused = setDeviceNumbers(this.#kernel, numbers)
        failure = refused ?? failure
        if (refused) continue
      }
      next.set(numbers.device, spelled)
    }
    this.#set = next
    return failure
  }
}

/** Sets one entry of the map of the probes. */
export function setDeviceNumbers(
  kernel: MapKernel, numbers: DeviceNumbers,
): NativeFailure | undefined {
  const value = Buffer.alloc(8)
  value.writeUInt32LE(numbers.minor_from, 0)
  value.writeUInt8(gpuDeviceFamilyNames.indexOf(numbers.family), 4)
  value.writeUInt8(Number(numbers.by_minor), 5)
  return kernel.setEntry('gpu_devices', keyOf(numbers.device), value)
}

function keyOf(device: number): Uint8Array {
  const key = Buffer.alloc(4)
  key.writeUInt32LE(device)
  return key
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
