// Which path a cgroup id has. The id of a cgroup v2 is the inode number of its folder.

import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Budget } from './budget.ts'
import { readCgroupPath } from './proc.ts'
import { workloadOf } from './workload.ts'
import type { Workload } from './workload.ts'

/** A cgroup v2 whose path is known. */
export interface Cgroup {
  id: bigint
  /** Below the mount; `/` is the root. */
  path: string
  workload: Workload
}

export interface CgroupsOptions {
  /** Mount point of the cgroup v2 file system; '' when there is none. */
  mount: string
  /** Most cgroups kept; beyond it the first found leaves. */
  entriesMax: number
  budget: Budget
  /** Told of a cgroup that an event had before its path was known. */
  foundLate(cgroup: Cgroup): void
  /** Told of every cgroup whose path is known now. */
  found?(cgroup: Cgroup): void
  /** Default /proc. */
  procDir?: string
}

/** Least time between two walks. */
const walkIntervalMs = 1000
/** A cgroup that this many walks did not find is gone. */
const walksMax = 3
const waitingMax = 1024

/** A bounded table of cgroups by id. */
export class Cgroups {
  readonly #options: CgroupsOptions
  readonly #byId = new Map<bigint, Cgroup>()
  /** Ids that events had and nobody knew, with the walks that did not find them. */
  readonly #waiting = new Map<bigint, number>()
  #timer: NodeJS.Timeout | undefined
  #last: Cgroup | undefined
  #walkedMs = 0
  /** Events and processes whose cgroup could not be told in time. */
  misses = 0

  constructor(options: CgroupsOptions) {
    this.#options = options
  }

  get size(): number { return this.#byId.size }

  /** Whether a path for this id may still be found. */
  mayFind(id: bigint): boolean {
    return this.#options.mount !== '' && (this.#waiting.get(id) ?? 0) < walksMax
  }

  /**
   * The cgroup with this id; `pid` is a process that was in it, `ppid` its parent, which may live
   * longer. Undefined when it is not known (yet): then it is looked for, and `foundLate` tells when
   * it was found.
   */
  lookup(id: bigint, pid: number, ppid: number): Cgroup | undefined {
    if (this.#last?.id === id) return this.#last
    const known = this.#byId.get(id) ?? this.#find(id, pid, ppid)
    if (known) this.#last = known
    else if (id !== 0n) this.#await(id)
    return known
  }

  /** Reads the whole tree: about 15 µs per cgroup. */
  walk(): void {
    const { mount, entriesMax } = this.#options
    if (mount === '') return
    const folders = ['/']
    for (let index = 0; index < folders.length && index < entriesMax; index++) {
      const path = folders[index]
      const id = inodeOf(join(mount, path))
      if (id === undefined) continue
      if (this.#byId.get(id)?.path !== path) this.#remember(id, path)
      for (const name of foldersIn(join(mount, path))) folders.push(join(path, name))
    }
  }

  /** No further walks. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#waiting.clear()
  }

  #find(id: bigint, pid: number, ppid: number): Cgroup | undefined {
    if (id === 0n || !this.mayFind(id)) return undefined
    const told = this.#ask(id, pid) ?? this.#ask(id, ppid)
    if (told || Date.now() - this.#walkedMs < walkIntervalMs) return told
    this.#walkedMs = Date.now()
    this.walk()
    return this.#byId.get(id)
  }

  /** A process that may be in the cgroup can say its path, if it still lives. */
  #ask(id: bigint, pid: number): Cgroup | undefined {
    const { mount, budget, procDir } = this.#options
    if (!budget.take()) return undefined
    const path = readCgroupPath(pid, procDir)
    if (path === '' || inodeOf(join(mount, path)) !== id) return undefined
    return this.#remember(id, path)
  }

  #await(id: bigint): void {
    this.misses++
    if (!this.mayFind(id)) return
    if (!this.#waiting.has(id)) {
      if (this.#waiting.size >= waitingMax) return
      this.#waiting.set(id, 0)
    }
    this.#timer ??= setTimeout(() => this.#walkAgain(), walkIntervalMs)
  }

  #walkAgain(): void {
    this.#timer = undefined
    this.#walkedMs = Date.now()
    this.walk()
    let wanted = false
    for (const [id, walks] of this.#waiting) {
      if (walks >= walksMax) continue
      this.#waiting.set(id, walks + 1)
      wanted ||= walks + 1 < walksMax
    }
    if (wanted) this.#timer = setTimeout(() => this.#walkAgain(), walkIntervalMs)
    // Those given up are kept so that nobody looks again, until they are too many.
    if (this.#waiting.size >= waitingMax) this.#waiting.clear()
  }

  #remember(id: bigint, path: string): Cgroup {
    const cgroup = { id, path, workload: workloadOf(path) }
    if (this.#byId.size >= this.#options.entriesMax) {
      for (const oldest of this.#byId.keys()) {
        this.#byId.delete(oldest)
        break
      }
    }
    this.#byId.set(id, cgroup)
    this.#options.found?.(cgroup)
    if (this.#waiting.delete(id)) this.#options.foundLate(cgroup)
    return cgroup
  }
}

/** Id and depth of the cgroup v2 at `path` below `mount`; undefined when there is none. */
export function scopeOf(
  mount: string, path: string,
): { id: bigint, level: number, dir: string } | undefined {
  const below = path.startsWith(`${mount}/`) ? path.slice(mount.length) : path
  const folders = below.split('/').filter((name) => name !== '')
  if (mount === '' || folders.includes('..')) return undefined
  const dir = join(mount, ...folders)
  const id = inodeOf(dir)
  return id === undefined ? undefined : { id, level: folders.length, dir }
}

function inodeOf(path: string): bigint | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino
  } catch {
    // Not permitted, or not a path at all: not ours to know.
    return undefined
  }
}

function foldersIn(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  } catch {
    // Removed since it was listed.
    return []
  }
}
