// NVSwitches, and the fabric manager that runs them.

import { known, notSupported, unknown } from '../../../gpu/state/item.ts'
import { snakeCase } from '../../../gpu/state/names.ts'
import type { GpuItem, ItemPlace } from '../../../gpu/state/item.ts'
import { parseNamedLines } from '../../../gpu/state/proc.ts'
import type { Files } from './files.ts'

const switches = '/proc/driver/nvidia-nvswitch/devices'
const configs = ['/usr/share/nvidia/nvswitch/fabricmanager.cfg',
  '/etc/nvidia-fabricmanager/fabricmanager.cfg']
const switchesMax = 64
/** The kernel keeps 15 characters of a name. */
const managerComm = 'nv-fabricmanager'.slice(0, 15)

const at = (item: string, source: string): ItemPlace => ({ subject: 'fabric', item, source })

/** Reads it again and again; looks for the process of the fabric manager only when it is lost. */
export class FabricReader {
  readonly #files: Files
  #managerPid = ''

  constructor(files: Files) {
    this.#files = files
  }

  /** All of it. Nodes without NVSwitch have no fabric manager, and are not searched for one. */
  async read(): Promise<GpuItem[]> {
    const found = (await this.#files.names(switches)).slice(0, switchesMax)
    const items: GpuItem[] = []
    for (const [index, address] of found.entries()) {
      items.push(...await this.#readSwitch(index, address))
    }
    items.push(await this.#readManager(found.length > 0))
    for (const path of configs) {
      const { text, error } = await this.#files.sha256(path, 1024 * 1024)
      if (error === 'ENOENT') continue
      const place = at(`file:${path}`, path)
      items.push(text === undefined ? unknown(place, error) : known(place, text))
    }
    return items
  }

  async #readSwitch(index: number, address: string): Promise<GpuItem[]> {
    const source = `${switches}/${address}/information`
    const { text = '' } = await this.#files.text(source)
    return parseNamedLines(text).slice(0, 32).map(([name, value]) => known({
      subject: `nvswitch:${index}`, item: snakeCase(name), source, pci_address: address,
    }, value))
  }

  async #readManager(needed: boolean): Promise<GpuItem> {
    const place = at('fabric_manager', '/proc')
    if (!needed) return notSupported(place, 'no NVSwitch')
    if (!await this.#isManager(this.#managerPid)) {
      this.#managerPid = ''
      for (const name of await this.#files.names('/proc')) {
        if (!/^\d+$/.test(name) || !await this.#isManager(name)) continue
        this.#managerPid = name
        break
      }
    }
    return known(place, this.#managerPid === '' ? 'not_running' : 'running')
  }

  async #isManager(pid: string): Promise<boolean> {
    if (pid === '') return false
    return (await this.#files.text(`/proc/${pid}/comm`, 32)).text?.trim() === managerComm
  }
}
