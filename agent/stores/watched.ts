// Tells the probes of which stores changes are told, and how the paths of stores begin: the latter
// for kernels that show only the paths that programs give to system calls.

import type { NativeFailure } from '../../native/index.ts'
import type { LabelKernel } from './labels.ts'

/** Where a store is found in a mount namespace. */
export interface StorePath {
  /** Inode number of the namespace. */
  mount_namespace: number
  /** Absolute, without a slash at the end. */
  path: string
  /** With all that is below it. */
  folder: boolean
  /** Number of the store, from 1 on. */
  id: number
}

/** As many as the maps hold (bpf/lib/store/change.bpf.h, store_write_calls.bpf.c). */
const artifactsMax = 1024
const pathEntriesMax = 8192
/** struct store_path_key: the length of the prefix in bits, the namespace, the path. */
const keyBytes = 256
const pathAt = 8
const pathBytesMax = keyBytes - pathAt

type Entry = { map: string, key: Buffer, value: Buffer }

/** Keeps the maps of the probes as they are told. */
export class WatchedStores {
  readonly #kernel: LabelKernel
  /** By map and key in hex, as the kernel has them: the values in hex. */
  readonly #set = new Map<string, string>()
  /** Stores and paths that did not fit. */
  left = 0

  constructor(kernel: LabelKernel) {
    this.#kernel = kernel
  }

  /**
   * Changes of the stores with these numbers are told from now on, and no others; `paths` are those
   * of all stores. Returns what the kernel refused, if anything: the next call tries that again.
   */
  set(artifacts: readonly number[], paths: readonly StorePath[]): NativeFailure | undefined {
    const entries = new Map([
      ...artifacts.slice(0, artifactsMax).map(artifactEntry),
      ...paths.flatMap(pathEntries).slice(0, pathEntriesMax),
    ].map((entry) => [nameOf(entry), entry]))
    const long = paths.filter((one) => pathEntries(one).length === 0).length
    const all = artifacts.length + paths.flatMap(pathEntries).length
    this.left = long + all - Math.min(artifacts.length, artifactsMax)
      - Math.min(all - artifacts.length, pathEntriesMax)
    let failure: NativeFailure | undefined
    const put = (name: string, { map, key }: Omit<Entry, 'value'>, value?: Buffer): void => {
      const refused = this.#kernel.setEntry(map, key, value)
      failure = refused ?? failure
      if (refused) return
      if (value) this.#set.set(name, value.toString('hex'))
      else this.#set.delete(name)
    }
    // What goes makes room first.
    for (const name of [...this.#set.keys()].filter((one) => !entries.has(one))) {
      const [map, key] = name.split(' ')
      put(name, { map, key: Buffer.from(key, 'hex') })
    }
    for (const [name, entry] of entries) {
      if (this.#set.get(name) !== entry.value.toString('hex')) put(name, entry, entry.value)
    }
    return failure
  }
}

function nameOf({ map, key }: Entry): string {
  return `${map} ${key.toString('hex')}`
}

function artifactEntry(id: number): Entry {
  return { map: 'store_artifacts', key: word(id), value: Buffer.from([1]) }
}

/** Of a folder two: itself, and what is below it. None when the path is too long. */
function pathEntries({ mount_namespace: namespace, path, folder, id }: StorePath): Entry[] {
  const below = path.endsWith('/') ? path : `${path}/`
  return [`${path}\0`, ...folder ? [below] : []].flatMap((prefix) => {
    const bytes = Buffer.from(prefix)
    if (bytes.length > pathBytesMax) return []
    const key = Buffer.alloc(keyBytes)
    key.writeUInt32LE(8 * (bytes.length + pathAt - 4), 0)
    key.writeUInt32LE(namespace, 4)
    bytes.copy(key, pathAt)
    return [{ map: 'store_paths', key, value: word(id) }]
  })
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
