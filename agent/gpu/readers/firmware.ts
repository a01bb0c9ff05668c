// The firmware that the driver would load, where the kernel would look for it (Documentation/
// driver-api/firmware/fw_search_path.rst of Linux).

import { known, unknown } from '../../../gpu/state/item.ts'
import type { GpuItem } from '../../../gpu/state/item.ts'
import type { Files } from './files.ts'

const filesMax = 64
/** GSP firmware has 30 to 80 MB. */
const fileBytesMax = 512 * 1024 * 1024
const searchPath = '/sys/module/firmware_class/parameters/path'

/** Reads all of it. Digests are made once per file. */
export async function readFirmware(files: Files): Promise<GpuItem[]> {
  const chosen = (await files.text(searchPath, 4096)).text?.trim()
  const items = [chosen === undefined
    ? unknown({ subject: 'firmware', item: 'search_path', source: searchPath }, 'it is not there')
    : known({ subject: 'firmware', item: 'search_path', source: searchPath }, chosen || 'none')]
  const paths = await firmwareFiles(files, chosen ?? '')
  items.push(known({ subject: 'firmware', item: 'files', source: '/lib/firmware' },
    String(paths.length)))
  for (const path of paths.slice(0, filesMax)) {
    const { text, error } = await files.sha256(path, fileBytesMax)
    const place = { subject: 'firmware', item: `file:${path}`, source: path }
    items.push(text === undefined ? unknown(place, error) : known(place, text))
  }
  return items
}

/** Files of NVIDIA's driver: nvidia/570.211.01/gsp_ga10x.bin. Others there are of nouveau. */
async function firmwareFiles(files: Files, chosen: string): Promise<string[]> {
  const release = (await files.text('/proc/sys/kernel/osrelease', 256)).text?.trim() ?? ''
  const folders = ['/lib/firmware/updates', '/lib/firmware']
    .flatMap((folder) => release === '' ? [folder] : [`${folder}/${release}`, folder])
  if (chosen.startsWith('/')) folders.unshift(chosen.replace(/\/+$/, ''))
  const paths: string[] = []
  for (const folder of new Set(folders)) {
    const versions = (await files.names(`${folder}/nvidia`))
      .filter((name) => /^\d+\.\d+(\.\d+)?$/.test(name))
    for (const version of versions) {
      const names = await files.names(`${folder}/nvidia/${version}`)
      paths.push(...names.map((name) => `${folder}/nvidia/${version}/${name}`))
    }
  }
  return paths
}
