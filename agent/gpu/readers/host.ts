// Boot, kernel trust and trusted execution of the host. A file that is missing is no "off": kernel
// or platform have no such thing (Linux documentation: arch/x86/sgx, tdx, virt/coco, ABI/testing).

import { createHash } from 'node:crypto'
import { known, notSupported, unknown } from '../../../gpu/state/item.ts'
import type { GpuItem, ItemPlace } from '../../../gpu/state/item.ts'
import { itemOfText, onOff } from './files.ts'
import type { Files } from './files.ts'

const taintLetters = 'PFSRMBUDAWCIOELKXTN'
const efiVariables = '/sys/firmware/efi/efivars'
const efiGlobal = '8be4df61-93ca-11d2-aa0d-00e098032b8c'
/** PCR 10 grows with each file that IMA measures: it is no state. */
const pcrs = [0, 1, 2, 3, 4, 5, 6, 7]
/** The first processor tells; all of them are a megabyte. */
const cpuinfoBytes = 8192

const at = (item: string, source: string): ItemPlace => ({ subject: 'host', item, source })

/** Reads all of it. */
export async function readHost(files: Files): Promise<GpuItem[]> {
  return [
    ...await readKernel(files), ...await readSecureBoot(files), ...await readSecurity(files),
    ...await readTpm(files), ...await readTrustedExecution(files),
  ]
}

async function readKernel(files: Files): Promise<GpuItem[]> {
  const item = async (
    name: string, path: string, absent: string, words?: (text: string) => string | undefined,
  ): Promise<GpuItem> => itemOfText(at(name, path), await files.text(path), absent, words)
  return [
    await item('kernel_release', '/proc/sys/kernel/osrelease', 'no /proc'),
    await item('kernel_command_line', '/proc/cmdline', 'no /proc'),
    await item('kernel_taint', '/proc/sys/kernel/tainted', 'no /proc', taintOf),
    await item('modules_disabled', '/proc/sys/kernel/modules_disabled', 'no loadable modules',
      onOff),
    await item('module_sig_enforce', '/sys/module/module/parameters/sig_enforce',
      'a kernel without signatures of modules', onOff),
  ]
}

/** Letters as in the kernel's own messages; 'none' for 0. */
function taintOf(text: string): string | undefined {
  if (!/^\d+$/.test(text)) return undefined
  const bits = BigInt(text)
  const letters = [...taintLetters].filter((_, bit) => (bits >> BigInt(bit)) & 1n)
  return letters.join('') || 'none'
}

async function readSecureBoot(files: Files): Promise<GpuItem[]> {
  const items: GpuItem[] = []
  for (const [item, name] of [['secure_boot', 'SecureBoot'], ['setup_mode', 'SetupMode']]) {
    const path = `${efiVariables}/${name}-${efiGlobal}`
    const place = at(item, path)
    // Four bytes of attributes, then the value.
    const { text, error } = await files.text(path, 16)
    if (text !== undefined && text.length === 5) {
      items.push(known(place, text.charCodeAt(4) === 1 ? 'on' : 'off'))
    } else if ((await files.names('/sys/firmware')).length === 0) {
      // Every machine has something there, but container runtimes hide it.
      items.push(unknown(place, '/sys/firmware is not to be seen'))
    } else if (!await files.exists('/sys/firmware/efi')) {
      items.push(notSupported(place, 'not booted by EFI'))
    } else {
      const mounted = (await files.names(efiVariables)).length > 0
      items.push(unknown(place, mounted ? error ?? 'not one byte' : 'efivarfs is not mounted'))
    }
  }
  return items
}

async function readSecurity(files: Files): Promise<GpuItem[]> {
  const folder = '/sys/kernel/security'
  const mounted = (await files.names(folder)).length > 0
  const read = async (
    name: string, path: string, absent: string, words: (text: string) => string | undefined,
  ): Promise<GpuItem> => mounted
    ? itemOfText(at(name, path), await files.text(path), absent, words)
    : unknown(at(name, path), 'securityfs is not mounted')
  const digest = (text: string): string => createHash('sha256').update(text, 'latin1').digest('hex')
  return [
    await read('lockdown', `${folder}/lockdown`, 'a kernel without lockdown',
      (text) => /\[(\w+)\]/.exec(text)?.[1]),
    await read('ima_policy_sha256', `${folder}/ima/policy`, 'a kernel that shows no IMA policy',
      digest),
    await read('ima_violations', `${folder}/ima/violations`, 'a kernel without IMA',
      (text) => /^\d+$/.test(text) ? text : undefined),
  ]
}

async function readTpm(files: Files): Promise<GpuItem[]> {
  const folder = '/sys/class/tpm/tpm0'
  const place = at('tpm_version_major', `${folder}/tpm_version_major`)
  if (!await files.exists(folder)) return [notSupported(place, 'no TPM')]
  const items = [itemOfText(place, await files.text(place.source), 'a kernel before 5.5')]
  for (const pcr of pcrs) {
    const path = `${folder}/pcr-sha256/${pcr}`
    items.push(itemOfText(at(`tpm_pcr_${pcr}`, path), await files.text(path),
      'no SHA-256 bank, or a kernel before 5.12', (text) => text.toLowerCase()))
  }
  return items
}

async function readTrustedExecution(files: Files): Promise<GpuItem[]> {
  const cpuinfo = (await files.text('/proc/cpuinfo', cpuinfoBytes)).text ?? ''
  const flags = new Set(/^flags\s*:(.*)$/m.exec(cpuinfo)?.[1].trim().split(/\s+/))
  const iommus = await files.names('/sys/class/iommu')
  const parameter = async (name: string, module: string, file: string): Promise<GpuItem> => {
    const path = `/sys/module/${module}/parameters/${file}`
    const loaded = await files.exists(`/sys/module/${module}`)
    return itemOfText(at(name, path), await files.text(path),
      loaded ? `a ${module} that does not know it` : `${module} is not loaded`, onOff)
  }
  const device = async (name: string, path: string, flag: string): Promise<GpuItem> =>
    await files.exists(path) ? known(at(name, path), 'on')
      : flags.has(flag) ? known(at(name, path), 'off')
        : notSupported(at(name, '/proc/cpuinfo'), `no flag ${flag} of the processor`)
  return [
    await files.exists('/sys/class/iommu')
      ? known(at('iommu', '/sys/class/iommu'), iommus.length > 0 ? 'on' : 'off')
      : notSupported(at('iommu', '/sys/class/iommu'), 'a kernel without IOMMU'),
    await device('sgx', '/dev/sgx_enclave', 'sgx'),
    flags.has('tdx_guest') ? known(at('tdx_guest', '/proc/cpuinfo'), 'on')
      : await device('tdx_guest', '/dev/tdx_guest', 'tdx_guest'),
    await device('sev_snp_guest', '/dev/sev-guest', 'sev_snp'),
    await parameter('tdx_host', 'kvm_intel', 'tdx'),
    await parameter('sev_host', 'kvm_amd', 'sev'),
    await parameter('sev_es_host', 'kvm_amd', 'sev_es'),
    await parameter('sev_snp_host', 'kvm_amd', 'sev_snp'),
  ]
}
