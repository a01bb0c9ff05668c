// The driver: version, modules and their trust, parameters, options, nodes of its devices.

import { known, unknown } from '../../../gpu/state/item.ts'
import { snakeCase } from '../../../gpu/state/names.ts'
import type { GpuItem, ItemPlace } from '../../../gpu/state/item.ts'
import { parseDriverVersion, parseNamedLines } from '../../../gpu/state/proc.ts'
import { itemOfText } from './files.ts'
import type { Files } from './files.ts'

const proc = '/proc/driver/nvidia'
const modulesMax = 32
const parametersMax = 256
const nodesMax = 256
const pciListBytesMax = 1024 * 1024
const optionFilesMax = 256
const optionFolders = ['/etc/modprobe.d', '/run/modprobe.d', '/usr/local/lib/modprobe.d',
  '/usr/lib/modprobe.d', '/lib/modprobe.d']
/** Modules of the GPU's surface: NVIDIA's own by their prefix, GDRCopy, and its rival. */
const isModule = (name: string): boolean => /^(nvidia|gdrdrv$|nouveau$)/.test(name)

const at = (item: string, source: string): ItemPlace => ({ subject: 'driver', item, source })

/** Is there anything of NVIDIA on this node? Where there is not, it costs three look-ups. */
export async function findGpus(files: Files): Promise<{ driver: boolean, pci: string[] }> {
  const driver = await files.exists(`${proc}/version`) || await files.exists('/sys/module/nvidia')
  const pci: string[] = []
  // One line for each device: bus and slot, vendor and device, … It does not name the PCI domain.
  const { text: devices } = await files.text('/proc/bus/pci/devices', pciListBytesMax)
  if (devices !== undefined && !/^[0-9a-f]{4}\t10de/m.test(devices)) return { driver, pci }
  for (const name of await files.names('/sys/bus/pci/devices')) {
    const folder = `/sys/bus/pci/devices/${name}`
    const { text: vendor } = await files.text(`${folder}/vendor`, 16)
    if (vendor?.trim() !== '0x10de') continue
    const { text: device } = await files.text(`${folder}/class`, 16)
    // Display controllers, VGA and 3D. Switches, bridges and sound are none.
    if (/^0x03(00|02)/.test(device ?? '')) pci.push(name)
  }
  return { driver, pci }
}

/** Reads all of it. `pci`: addresses of the GPUs. */
export async function readDriver(files: Files, driver: boolean, pci: string[]): Promise<GpuItem[]> {
  return [
    known(at('driver_state', '/sys/module/nvidia'), driver ? 'loaded' : 'not_loaded'),
    known(at('pci_gpus', '/sys/bus/pci/devices'), String(pci.length)),
    ...driver ? await readVersion(files) : [],
    ...await readModules(files), ...await readNodes(files), await readOptions(files),
  ]
}

async function readVersion(files: Files): Promise<GpuItem[]> {
  const path = `${proc}/version`
  const { text, error } = await files.text(path)
  const found = parseDriverVersion(text ?? '')
  const reason = error ?? 'it names no version'
  const params = await files.text(`${proc}/params`)
  return [
    found ? known(at('version', path), found.version) : unknown(at('version', path), reason),
    found ? known(at('flavour', path), found.flavour) : unknown(at('flavour', path), reason),
    ...params.text === undefined
      ? [unknown(at('params', `${proc}/params`), params.error)]
      : parseNamedLines(params.text).map(([name, value]) =>
        known(at(`param_${snakeCase(name)}`, `${proc}/params`), value)),
    itemOfText(at('registry', `${proc}/registry`), await files.text(`${proc}/registry`),
      'a driver without it', (text) => parseNamedLines(`${text}\n`)[0]?.[1]),
  ]
}

async function readModules(files: Files): Promise<GpuItem[]> {
  const items: GpuItem[] = []
  const names = (await files.names('/sys/module')).filter(isModule)
  const signing = await files.exists('/sys/module/module/parameters/sig_enforce')
  for (const name of names.slice(0, modulesMax)) {
    const folder = `/sys/module/${name}`
    const item = `module_${snakeCase(name)}`
    items.push(known(at(item, folder), 'loaded'))
    for (const fact of ['version', 'srcversion']) {
      items.push(itemOfText(at(`${item}_${fact}`, `${folder}/${fact}`),
        await files.text(`${folder}/${fact}`), 'the module does not say it'))
    }
    const taint = await files.text(`${folder}/taint`)
    items.push(itemOfText(at(`${item}_taint`, `${folder}/taint`), taint,
      'a kernel before 3.2', (text) => text || 'none'))
    const signed = at(`${item}_signed`, `${folder}/taint`)
    items.push(taint.text === undefined || !signing
      ? unknown(signed, 'the kernel does not check signatures of modules')
      : known(signed, taint.text.includes('E') ? 'no' : 'yes'))
  }
  return [...items, ...await readParameters(files, names.slice(0, modulesMax))]
}

async function readParameters(files: Files, modules: string[]): Promise<GpuItem[]> {
  const items: GpuItem[] = []
  for (const module of modules) {
    const folder = `/sys/module/${module}/parameters`
    for (const name of await files.names(folder)) {
      if (items.length >= parametersMax) return items
      const place = at(`module_${snakeCase(module)}_parameter_${snakeCase(name)}`,
        `${folder}/${name}`)
      items.push(itemOfText(place, await files.text(place.source, 4096), 'gone'))
    }
  }
  return items
}

async function readNodes(files: Files): Promise<GpuItem[]> {
  const names = (await files.names('/dev')).filter((name) => /^(nvidia|gdrdrv$)/.test(name))
  const items: GpuItem[] = []
  for (const name of names.slice(0, nodesMax)) {
    const node = await files.node(`/dev/${name}`)
    // Folders hold what comes and goes with MIG instances and jobs.
    if (node === undefined || node.startsWith('d')) continue
    items.push(known(at(`device_node_${snakeCase(name)}`, `/dev/${name}`), node))
  }
  return items
}

/** What modprobe would do with the modules, sorted. */
async function readOptions(files: Files): Promise<GpuItem> {
  const lines = new Set<string>()
  for (const folder of optionFolders) {
    const names = (await files.names(folder)).filter((name) => name.endsWith('.conf'))
    for (const name of names.slice(0, optionFilesMax)) {
      const { text = '' } = await files.text(`${folder}/${name}`)
      for (const line of text.split('\n')) {
        const words = line.trim().split(/\s+/)
        if (!/^(options|install|remove|blacklist|softdep|alias)$/.test(words[0])) continue
        if (words.some((word) => isModule(word.replaceAll('-', '_')))) lines.add(words.join(' '))
      }
    }
  }
  return known(at('modprobe_options', '/etc/modprobe.d'), [...lines].sort().join('; ') || 'none')
}
