// The GPUs as kernel and driver know them, without NVML: which driver has them, what it says.

import { known } from '../../../gpu/state/item.ts'
import { gpuSubject, gpuUuidOf, snakeCase } from '../../../gpu/state/names.ts'
import type { GpuItem } from '../../../gpu/state/item.ts'
import type { GpuIdentity } from '../../../gpu/state/nvml-items.ts'
import { parseNamedLines } from '../../../gpu/state/proc.ts'
import { itemOfText } from './files.ts'
import type { Files } from './files.ts'

const gpusMax = 64
/** Of `information`, in its words. The rest is in sysfs and NVML, or changes by itself (IRQ). */
const told = new Set(['Model', 'Video BIOS', 'Device Minor', 'GPU Firmware', 'GPU Excluded'])

/** What was read of the GPUs. */
export interface DevicesRead {
  items: GpuItem[]
  /** By PCI address. */
  identities: Map<string, GpuIdentity>
  /** Subjects that were not asked, since that would have woken them. */
  asleep: Set<string>
}

/**
 * Reads all of it. `identityOf` tells the UUID that a PCI address had before: a GPU that was taken
 * away from the driver stays who it was.
 */
export async function readDevices(
  files: Files, pci: string[], identityOf: (pciAddress: string) => GpuIdentity,
): Promise<DevicesRead> {
  const read: DevicesRead = { items: [], identities: new Map(), asleep: new Set() }
  for (const address of pci.slice(0, gpusMax)) {
    const folder = `/sys/bus/pci/devices/${address}`
    const asleep = (await files.text(`${folder}/power/runtime_status`, 32)).text?.trim()
    const path = `/proc/driver/nvidia/gpus/${address}/information`
    // Before branch 590 reading it wakes the GPU.
    const { text = '' } = asleep === 'suspended' ? {} : await files.text(path)
    const lines = parseNamedLines(text)
    const uuid = gpuUuidOf(lines.find(([name]) => name === 'GPU UUID')?.[1] ?? '') ??
      identityOf(address).uuid
    const subject = gpuSubject(uuid, address)
    if (asleep === 'suspended') read.asleep.add(subject)
    read.identities.set(address, { uuid, pci_address: address })
    const place = { subject, pci_address: address }
    read.items.push(...await readPci(files, folder, place))
    for (const [name, value] of lines.filter(([name]) => told.has(name))) {
      read.items.push(known({ ...place, item: snakeCase(name), source: path }, value))
    }
  }
  return read
}

async function readPci(
  files: Files, folder: string, place: { subject: string, pci_address: string },
): Promise<GpuItem[]> {
  const at = (item: string, name: string) => ({ ...place, item, source: `${folder}/${name}` })
  const text = async (item: string, name: string, words?: (text: string) => string) =>
    itemOfText(at(item, name), await files.text(`${folder}/${name}`, 256), 'not of this device',
      words)
  return [
    known(at('pci_driver', 'driver'), await files.linkName(`${folder}/driver`) || 'none'),
    await text('pci_driver_override', 'driver_override',
      (said) => said === '(null)' || said === '' ? 'none' : said),
    await text('pci_device', 'device'),
    await text('pci_subsystem_device', 'subsystem_device'),
    await text('pci_numa_node', 'numa_node'),
    await text('pci_sriov_numvfs', 'sriov_numvfs'),
    known(at('pci_iommu_group', 'iommu_group'),
      await files.linkName(`${folder}/iommu_group`) === '' ? 'no' : 'yes'),
  ]
}
