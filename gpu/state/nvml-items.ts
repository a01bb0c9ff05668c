// Answers of NVML as items: which GPU they are about, what is a value, what is none and why.

import { known, notSupported, unknown } from './item.ts'
import { gpuSubject, gpuUuidOf, pciAddressOf } from './names.ts'
import type { GpuItem, ItemPlace } from './item.ts'
import {
  nvmlCorruptedInforom, nvmlNotSupported, nvmlReason, nvmlStateOf,
} from './nvml-codes.ts'
import { nvmlWords } from './nvml-words.ts'

/** One answer of a function, as native/gpu.ts gives it. */
export interface NvmlFactLike {
  device: number
  item: string
  symbol: string
  status: number
  value: string
}

/** Who a GPU is, by what was learned of it elsewhere or before. */
export interface GpuIdentity { uuid?: string, pci_address?: string }

/** What a reading says. */
export interface NvmlItems {
  items: GpuItem[]
  /** By index: who each GPU is. */
  identities: Map<number, GpuIdentity>
}

/**
 * The items of a reading. `identityOf` names a GPU that does not say itself who it is: by its PCI
 * address (from /proc) or by its index (from the reading before).
 */
export function itemsOfNvml(
  facts: readonly NvmlFactLike[],
  identityOf: (index: number, pciAddress: string | undefined) => GpuIdentity,
): NvmlItems {
  const devices = new Map<number, NvmlFactLike[]>()
  for (const fact of facts) {
    const list = devices.get(fact.device) ?? []
    if (list.length === 0) devices.set(fact.device, list)
    list.push(fact)
  }
  const identities = new Map<number, GpuIdentity>()
  const items: GpuItem[] = []
  for (const [device, list] of devices) {
    if (device < 0) {
      items.push(...list.map((fact) => itemOf(fact, { subject: 'driver' })))
      continue
    }
    const identity = identityIn(list, (pci) => identityOf(device, pci))
    identities.set(device, identity)
    items.push(...itemsOfDevice(list, device, identity))
  }
  return { items, identities }
}

function identityIn(
  facts: readonly NvmlFactLike[], otherwise: (pciAddress: string | undefined) => GpuIdentity,
): GpuIdentity {
  const said = (item: string): string =>
    facts.find((fact) => fact.item === item && fact.status === 0)?.value ?? ''
  const uuid = gpuUuidOf(said('uuid'))
  const pciAddress = pciAddressOf(said('pci_bus_id'))
  if (uuid && pciAddress) return { uuid, pci_address: pciAddress }
  const other = otherwise(pciAddress)
  return { uuid: uuid ?? other.uuid, pci_address: pciAddress ?? other.pci_address }
}

function itemsOfDevice(
  facts: readonly NvmlFactLike[], device: number, { uuid, pci_address }: GpuIdentity,
): GpuItem[] {
  const subject = uuid || pci_address ? gpuSubject(uuid, pci_address) : `gpu:index${device}`
  const place = { subject, pci_address: pci_address ?? '' }
  // One lost GPU is one thing that happened, not one for each function that says so.
  const lost = facts.find(({ status }) => nvmlStateOf(status) !== undefined)
  const handle = lost ?? facts.find(({ item }) => item === 'handle')
  const state = handle ? [deviceState(handle, place)] : []
  if (lost) return state
  return [...state, ...facts.filter(({ item }) => item !== 'handle' && item !== 'pci_bus_id')
    .map((fact) => itemOf(fact, place))]
}

function deviceState(
  { status, symbol }: NvmlFactLike, at: Pick<ItemPlace, 'subject' | 'pci_address'>,
): GpuItem {
  const place = { ...at, item: 'device_state', source: symbol }
  const state = status === 0 ? 'ok' : nvmlStateOf(status)
  return state ? known(place, state) : unknown(place, nvmlReason(symbol, status))
}

function itemOf(
  { item, symbol, status, value }: NvmlFactLike, at: Pick<ItemPlace, 'subject' | 'pci_address'>,
): GpuItem {
  const place = { ...at, item, source: symbol }
  if (status === 0) return known(place, nvmlWords(item, value))
  if (item === 'inforom_valid' && status === nvmlCorruptedInforom) {
    return known(place, nvmlWords(item, '0'))
  }
  if (status === nvmlNotSupported) return notSupported(place)
  return unknown(place, nvmlReason(symbol, status))
}
