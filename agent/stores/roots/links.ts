// Files of stores that have several names: one may be outside of the store, and be all that the
// kernel knows when the file is read. Looked for slowly, since data sets have millions of files.

import { lstat, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { keyOf } from './claims.ts'
import type { StoreRoot } from './claims.ts'
import type { StoreLink } from '../watch.ts'

export interface LinkScanOptions {
  /** All that are known; after each folder of a store that was scanned. */
  found(links: StoreLink[]): void
  /** Of a store's folder; then the rest is left. Default 100,000. */
  entriesMax?: number
  /** From the end of a scan of all folders to the next. Default half an hour. */
  againMs?: number
}

/** Known links of all stores; the probes have room for some more. */
const linksMax = 32_768
const depthMax = 64
/** About a thousand files a second. */
const entriesPerTurn = 64
const turnMs = 60

/** Goes through the folders of stores, one at a time. */
export class LinkScan {
  readonly #options: LinkScanOptions
  readonly #links = new Map<string, StoreLink[]>()
  /** What was scanned of each folder in this round; a folder is scanned once in it. */
  readonly #done = new Set<string>()
  #roots = new Map<string, StoreRoot>()
  #scanning: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #stopped = false
  #left = new Map<string, number>()

  constructor(options: LinkScanOptions) {
    this.#options = options
  }

  get counts(): { links: number, left: number } {
    const sum = (all: Iterable<number>): number => [...all].reduce((one, other) => one + other, 0)
    return {
      links: sum([...this.#links.values()].map(({ length }) => length)),
      left: sum(this.#left.values()),
    }
  }

  /** Where the stores are now. */
  setRoots(roots: readonly StoreRoot[]): void {
    this.#roots = new Map(roots.filter(({ inode, folder }) => inode !== 0n && folder)
      .map((root) => [keyOf(root.device, root.inode), root]))
    const gone = [...this.#links.keys()].filter((key) => !this.#roots.has(key))
    for (const key of gone) this.#links.delete(key)
    for (const key of this.#done) if (!this.#roots.has(key)) this.#done.delete(key)
    for (const key of this.#left.keys()) if (!this.#roots.has(key)) this.#left.delete(key)
    if (gone.length > 0) this.#tell()
    void this.scan()
  }

  /** Scans what was not scanned in this round; resolves when all is. Never rejects. */
  scan(): Promise<void> {
    return this.#scanning ??= this.#scanAll().finally(() => { this.#scanning = undefined })
  }

  async #scanAll(): Promise<void> {
    for (let next = this.#next(); next && !this.#stopped; next = this.#next()) {
      const [key, root] = next
      this.#done.add(key)
      const { links, left } = await this.#scanFolder(root)
      if (this.#stopped || !this.#roots.has(key)) continue
      this.#links.set(key, links)
      this.#left.set(key, left)
      this.#tell()
    }
    clearTimeout(this.#timer)
    if (this.#stopped || this.#roots.size === 0) return
    this.#timer = setTimeout(() => {
      this.#done.clear()
      void this.scan()
    }, this.#options.againMs ?? 1_800_000).unref()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  #next(): [string, StoreRoot] | undefined {
    return [...this.#roots].find(([key]) => !this.#done.has(key))
  }

  #tell(): void {
    this.#options.found([...this.#links.values()].flat().slice(0, linksMax))
  }

  async #scanFolder(root: StoreRoot): Promise<{ links: StoreLink[], left: number }> {
    const { store, device } = root
    const links = new Map<bigint, StoreLink>()
    const folders = [{ path: root.reach, depth: 0 }]
    const { entriesMax = 100_000 } = this.#options
    let [entries, left] = [0, 0]
    const fileSystem = await tried(() => lstat(root.reach, { bigint: true }))
    for (let at = folders.pop(); at && fileSystem && !this.#stopped; at = folders.pop()) {
      for await (const { name, path, isFolder } of entriesOf(at.path)) {
        if (++entries > entriesMax) return { links: [...links.values()], left: left + 1 }
        if (entries % entriesPerTurn === 0) await delay(turnMs, undefined, { ref: false })
        if (isFolder && at.depth === depthMax) left++
        else if (isFolder) folders.push({ path: join(path, name), depth: at.depth + 1 })
        else {
          const found = await tried(() => lstat(join(path, name), { bigint: true }))
          if (!found?.isFile() || found.nlink < 2n || found.dev !== fileSystem.dev) continue
          links.set(found.ino, { store, device, inode: found.ino })
        }
      }
    }
    return { links: [...links.values()], left }
  }
}

async function* entriesOf(
  path: string,
): AsyncGenerator<{ name: string, path: string, isFolder: boolean }> {
  const folder = await tried(() => opendir(path))
  if (!folder) return
  try {
    for await (const entry of folder) {
      yield { name: entry.name, path, isFolder: entry.isDirectory() }
    }
  } catch {
    // It went away, or its file server did: what was read of it counts.
  }
}

async function tried<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch {
    return undefined
  }
}
