// Does our reading of NVML say what nvidia-smi says? Both ask the same library.

import { pciAddressOf } from '../../gpu/state/names.ts'
import type { GpuItem } from '../../gpu/state/item.ts'

/** One item that both tell. */
export interface Compared {
  /** PCI address; '' for the node. */
  pci_address: string
  item: string
  ours: string
  theirs: string
  same: boolean
}

/** Our items by their tags in `nvidia-smi -q -x`; tags within others by a path. */
const tags: Record<string, string> = {
  name: 'product_name',
  architecture: 'product_architecture',
  uuid: 'uuid',
  serial: 'serial',
  minor_number: 'minor_number',
  vbios_version: 'vbios_version',
  board_part_number: 'board_part_number',
  inforom_image_version: 'inforom_version/img_version',
  inforom_oem_version: 'inforom_version/oem_object',
  inforom_ecc_version: 'inforom_version/ecc_object',
  inforom_power_version: 'inforom_version/pwr_object',
  gsp_firmware_version: 'gsp_firmware_version',
  persistence_mode: 'persistence_mode',
  accounting_mode: 'accounting_mode',
  compute_mode: 'compute_mode',
  mig_mode: 'mig_mode/current_mig',
  mig_mode_pending: 'mig_mode/pending_mig',
  ecc_mode: 'ecc_mode/current_ecc',
  ecc_mode_pending: 'ecc_mode/pending_ecc',
  remapped_rows_correctable: 'remapped_rows/remapped_row_corr',
  remapped_rows_uncorrectable: 'remapped_rows/remapped_row_unc',
  remapped_rows_pending: 'remapped_rows/remapped_row_pending',
  remapped_rows_failure: 'remapped_rows/remapped_row_failure',
  fabric_state: 'fabric/state',
}

/** Every item that nvidia-smi tells, too. What it has no tag for is left out. */
export function compareWithSmi(items: readonly GpuItem[], xml: string): Compared[] {
  const ours = new Map(items.map((one) => [`${one.pci_address} ${one.item}`, one]))
  const compared: Compared[] = []
  const compare = (address: string, item: string, theirs: string | undefined): void => {
    const found = ours.get(`${address} ${item}`)
    if (theirs === undefined) return
    const said = found === undefined ? '(not read)'
      : found.reading === 'known' ? found.value : `(${found.reason || found.reading})`
    compared.push({
      pci_address: address, item, ours: said, theirs, same: isSame(found, theirs),
    })
  }
  compare('', 'nvml_driver_version', tagOf(xml, 'driver_version'))
  for (const [, id, gpu] of xml.matchAll(/<gpu id="([^"]*)">([\s\S]*?)<\/gpu>/g)) {
    const address = pciAddressOf(id) ?? id
    for (const [item, path] of Object.entries(tags)) compare(address, item, tagOf(gpu, path))
  }
  return compared
}

function tagOf(xml: string, path: string): string | undefined {
  let text: string | undefined = xml
  for (const name of path.split('/')) {
    text = new RegExp(`<${name}>([\\s\\S]*?)</${name}>`).exec(text ?? '')?.[1]
  }
  return text?.trim()
}

function isSame(ours: GpuItem | undefined, theirs: string): boolean {
  if (!ours) return false
  // Of what NVML does not support, and of empty texts, nvidia-smi says N/A.
  if (/^\[?N\/A\]?$/i.test(theirs)) {
    return ours.reading === 'not_supported' || /^(n\/a|"")$/i.test(ours.value)
  }
  const words = theirs.toLowerCase().replaceAll(' ', '_')
  return ours.reading === 'known' && (ours.value === theirs || ours.value.toLowerCase() === words)
}
