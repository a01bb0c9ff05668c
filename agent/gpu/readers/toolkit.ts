// The container toolkit: what gives GPUs to containers, and how far it trusts them.

import { parse } from 'yaml'
import { known, notSupported, unknown } from '../../../gpu/state/item.ts'
import { snakeCase } from '../../../gpu/state/names.ts'
import type { GpuItem, ItemPlace } from '../../../gpu/state/item.ts'
import type { Files } from './files.ts'

const config = '/etc/nvidia-container-runtime/config.toml'
const packageList = '/var/lib/dpkg/info/nvidia-container-toolkit.list'
const programs = ['nvidia-container-runtime', 'nvidia-container-runtime-hook',
  'nvidia-container-runtime.cdi', 'nvidia-container-runtime.legacy', 'nvidia-ctk',
  'nvidia-cdi-hook', 'nvidia-container-cli']
const programFolders = ['/usr/bin', '/usr/local/nvidia/toolkit']
const specFolders = ['/etc/cdi', '/var/run/cdi']
const specsMax = 64
const specBytesMax = 1024 * 1024
const fileBytesMax = 128 * 1024 * 1024
/** Settings that open the boundary of the container (NVIDIA container toolkit, config.toml). */
const settings = ['accept-nvidia-visible-devices-envvar-when-unprivileged',
  'accept-nvidia-visible-devices-as-volume-mounts', 'disable-cuda-compat-lib-hook',
  'allow-cuda-compat-libs-from-container', 'allow-ldconfig-from-container', 'no-cgroups',
  'no-pivot', 'ldconfig', 'mode', 'path', 'load-kmods']

const at = (item: string, source: string): ItemPlace => ({ subject: 'toolkit', item, source })

/** Reads it again and again; looks into what is large only when it changed. */
export class ToolkitReader {
  readonly #files: Files
  /** By digest of the spec. */
  #hooks = new Map<string, string[]>()
  #package = { identity: '', version: undefined as string | undefined }

  constructor(files: Files) {
    this.#files = files
  }

  /** All of it; little when no toolkit is installed. */
  async read(): Promise<GpuItem[]> {
    const programs = await readPrograms(this.#files)
    return [
      ...await readConfig(this.#files), ...programs,
      ...programs.length > 0 ? [await this.#readVersion()] : [], ...await this.#readSpecs(),
    ]
  }

  /** Debian keeps it in one file for all packages; RPM in a database that we do not read. */
  async #readVersion(): Promise<GpuItem> {
    const place = at('version', '/var/lib/dpkg/status')
    const identity = await this.#files.identity(packageList)
    if (identity === '') return unknown(place, 'not installed by dpkg')
    if (identity !== this.#package.identity) {
      const version = await this.#files.dpkgVersion('nvidia-container-toolkit')
      this.#package = { identity, version }
    }
    const { version } = this.#package
    return version === undefined ? unknown(place, 'dpkg does not name it') : known(place, version)
  }

  async #readSpecs(): Promise<GpuItem[]> {
    const items: GpuItem[] = []
    const hooks = new Map<string, string[]>()
    for (const path of await specPaths(this.#files)) {
      const { text: digest, error } = await this.#files.sha256(path, specBytesMax)
      if (digest === undefined) {
        items.push(unknown(at(`file:${path}`, path), error))
        continue
      }
      items.push(known(at(`file:${path}`, path), digest))
      hooks.set(digest, this.#hooks.get(digest) ??
        hooksOf((await this.#files.text(path, specBytesMax)).text ?? ''))
    }
    this.#hooks = hooks
    if (items.length > 0) {
      const paths = [...new Set([...hooks.values()].flat())].sort()
      items.push(known(at('cdi_hooks', specFolders.join(' ')), paths.join(' ') || 'none'))
    }
    return items
  }
}

async function specPaths(files: Files): Promise<string[]> {
  const paths: string[] = []
  for (const folder of specFolders) {
    const names = (await files.names(folder)).filter((name) => /\.(ya?ml|json)$/.test(name))
    paths.push(...names.map((name) => `${folder}/${name}`))
  }
  return paths.slice(0, specsMax)
}

async function readConfig(files: Files): Promise<GpuItem[]> {
  const place = at('config_sha256', config)
  const digest = await files.sha256(config, 1024 * 1024)
  if (digest.error === 'ENOENT') return [
    notSupported(place, 'no container toolkit, or its defaults'),
  ]
  if (digest.text === undefined) return [unknown(place, digest.error)]
  const { text = '' } = await files.text(config)
  const set = settingsOf(text).filter(([name]) => settings.includes(name.split('.').at(-1)!))
  return [known(place, digest.text), ...set.map(([name, value]) =>
    known(at(`config_${snakeCase(name)}`, config), value))]
}

/** `section.key` and value of the lines `key = value` of a TOML file; lists as they are. */
export function settingsOf(toml: string): [name: string, value: string][] {
  let section = ''
  return toml.split('\n').flatMap((line): [string, string][] => {
    const header = /^\s*\[([\w.-]+)\]\s*$/.exec(line)
    if (header) section = `${header[1]}.`
    const pair = /^\s*([\w-]+)\s*=\s*(.*?)\s*$/.exec(line)
    return pair ? [[section + pair[1], pair[2].replace(/^"(.*)"$/, '$1')]] : []
  })
}

async function readPrograms(files: Files): Promise<GpuItem[]> {
  const items: GpuItem[] = []
  for (const folder of programFolders) {
    for (const name of programs) {
      const path = `${folder}/${name}`
      const { text, error } = await files.sha256(path, fileBytesMax)
      if (error === 'ENOENT') continue
      items.push(text === undefined ? unknown(at(`file:${path}`, path), error)
        : known(at(`file:${path}`, path), text))
    }
  }
  return items
}

/** Programs that a CDI spec has run for each container; a spec that is broken says so. */
export function hooksOf(spec: string): string[] {
  try {
    const found: string[] = []
    collectHooks(parse(spec, { maxAliasCount: 100 }), found, 0)
    return found
  } catch {
    return ['(not readable)']
  }
}

function collectHooks(value: unknown, found: string[], depth: number): void {
  if (typeof value !== 'object' || value === null || depth > 8) return
  for (const [key, inner] of Object.entries(value)) {
    if (key === 'hooks' && Array.isArray(inner)) {
      for (const hook of inner) {
        const path: unknown = hook?.path
        if (typeof path === 'string' && found.length < 256) found.push(path)
      }
    } else collectHooks(inner, found, depth + 1)
  }
}
