// The mount namespaces of this node, each read through one of its processes, and only parsed when
// it changed.

import { readFile, readdir, stat, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { parseMounts } from './mounts.ts'
import type { Mount } from './mounts.ts'

/** One mount namespace as it is now. */
export interface MountNamespace {
  /** Inode number of the namespace. */
  id: number
  /** Folder by which the agent reaches its root. */
  root: string
  mounts: readonly Mount[]
  /** Paths of the policy mean this one: that of the agent, and that of process 1. */
  home: boolean
}

/** What a look found. */
export interface NamespacesSeen {
  namespaces: MountNamespace[]
  /** Some mount came or went since the look before. */
  changed: boolean
  /** Processes whose namespace the agent may not see. */
  refused: number
  /** Namespaces beyond the bound. */
  left: number
}

export interface NamespacesOptions {
  /** Default /proc. */
  procDir?: string
  /** Of namespaces, those of the longest running processes first. Default 1,024. */
  namespacesMax?: number
}

const mountsMax = 8192
/** Processes may change their namespace, and numbers of processes are used again. */
const looksUntilAfresh = 12

interface Known { text: string, namespace: MountNamespace }

/** Follows them from look to look. */
export class MountNamespaces {
  readonly #procDir: string
  readonly #max: number
  #byPid = new Map<string, number>()
  #known = new Map<number, Known>()
  #looks = 0

  constructor({ procDir = '/proc', namespacesMax = 1024 }: NamespacesOptions = {}) {
    this.#procDir = procDir
    this.#max = namespacesMax
  }

  /** Reads them. That of process 1 comes first, then that of the agent. */
  async look(): Promise<NamespacesSeen> {
    if (this.#looks++ % looksUntilAfresh === 0) this.#byPid.clear()
    const { processes, refused } = await this.#findProcesses()
    const next = new Map<number, Known>()
    let [changed, left] = [false, 0]
    for (const [id, pids] of processes) {
      if (next.size >= this.#max) {
        left++
        continue
      }
      const home = id === this.#byPid.get('self') || id === this.#byPid.get('1')
      const known = await this.#read(id, pids, home)
      if (!known) continue
      if (known !== this.#known.get(id)) changed = true
      next.set(id, known)
    }
    if ([...this.#known.keys()].some((id) => !next.has(id))) changed = true
    this.#known = next
    const namespaces = [...next.values()].map(({ namespace }) => namespace)
    return { namespaces, changed, refused, left }
  }

  /** By namespace, its first processes. */
  async #findProcesses(): Promise<{ processes: Map<number, string[]>, refused: number }> {
    const pids = (await readdir(this.#procDir)).filter((name) => /^\d+$/.test(name))
      .sort((one, other) => Number(one) - Number(other))
    const processes = new Map<number, string[]>()
    const byPid = new Map<string, number>()
    let refused = 0
    for (const pid of ['self', ...pids]) {
      const id = this.#byPid.get(pid) ?? await this.#namespaceOf(pid)
      if (id === undefined) {
        refused++
        continue
      }
      byPid.set(pid, id)
      const found = processes.get(id) ?? []
      if (found.length < processesMax) processes.set(id, [...found, pid])
    }
    this.#byPid = byPid
    // What the policy says is said of the node.
    const first = byPid.get('1')
    const ordered = [...processes].sort(([one], [other]) =>
      Number(other === first) - Number(one === first))
    return { processes: new Map(ordered), refused }
  }

  async #namespaceOf(pid: string): Promise<number | undefined> {
    try {
      const link = await readlink(join(this.#procDir, pid, 'ns/mnt'))
      const id = Number(/^mnt:\[(\d+)\]$/.exec(link)?.[1])
      return Number.isSafeInteger(id) ? id : undefined
    } catch {
      return undefined
    }
  }

  /** Through the first process that lets us; the same as before when nothing changed. */
  async #read(
    id: number, pids: readonly string[], home: boolean,
  ): Promise<Known | undefined> {
    for (const pid of pids) {
      const root = pid === 'self' ? '/' : join(this.#procDir, pid, 'root')
      try {
        const text = await readFile(join(this.#procDir, pid, 'mountinfo'), 'utf8')
        const before = this.#known.get(id)
        if (before?.text === text && before.namespace.root === root &&
          before.namespace.home === home) return before
        // It may be read without the right to go there.
        await stat(root)
        const mounts = parseMounts(text).slice(0, mountsMax)
        return { text, namespace: { id, root, mounts, home } }
      } catch {
        this.#byPid.delete(pid)
      }
    }
    return undefined
  }
}

/** More of one namespace are not tried. */
const processesMax = 3
