// Where the stores of the policy are on this node: folders and files by device and inode, and whole
// file systems. What is known by identity stays known however it is reached.

import { compileGlob } from '../../../policy/match/glob.ts'
import type { StoreRule } from '../../../stores/rule.ts'
import { Claims } from './claims.ts'
import type { StoreRoot } from './claims.ts'
import { isWithin, mountOf, pathInside } from './mounts.ts'
import type { Mount } from './mounts.ts'
import type { MountNamespace } from './namespaces.ts'
import { findPath, findPaths, reach } from './paths.ts'
import type { Found, Walk } from './paths.ts'
import type { LoopDevice } from './loops.ts'

/** A store, or part of it, that cannot be watched. */
export interface StoreProblem { store: string, path: string, reason: string }

export interface Resolution {
  roots: StoreRoot[]
  problems: StoreProblem[]
  /** Roots beyond the bound. */
  left: number
}

/** Of one look. */
export interface Surroundings {
  namespaces: readonly MountNamespace[]
  loops: readonly LoopDevice[]
  /** Told of every path before it is asked for: the look may not come back from it. */
  asking?(store: string, path: string): void
}

const rootsMax = 4096
/** Stores in loop devices in stores in loop devices. */
const loopRounds = 3
/** Mounts on mounts that are listed before these. */
const submountRounds = 2
/** Mounted everywhere, and no place for data. */
const withoutData = new Set(['autofs', 'binfmt_misc', 'bpf', 'cgroup', 'cgroup2', 'configfs',
  'debugfs', 'devpts', 'devtmpfs', 'efivarfs', 'fusectl', 'mqueue', 'nsfs', 'proc', 'pstore',
  'rpc_pipefs', 'securityfs', 'selinuxfs', 'sysfs', 'tracefs'])

/** Looks for all stores. Rejects never: what cannot be looked at is a problem of its store. */
export async function findRoots(
  rules: readonly StoreRule[], around: Surroundings,
): Promise<Resolution> {
  const search = new Search(around)
  for (const rule of rules) search.findMounts(rule)
  for (const rule of rules) await search.findPaths(rule)
  for (let round = 0; round < submountRounds; round++) {
    for (const rule of rules) await search.findSubmounts(rule)
  }
  for (let round = 0; round < loopRounds; round++) search.findLoops(rules)
  return search.result()
}

/** A mount in the first namespace that has it. */
interface Placed { place: MountNamespace, mount: Mount }

class Search {
  readonly #around: Surroundings
  readonly #claims = new Claims(rootsMax)
  readonly #problems: StoreProblem[] = []
  /** What is mounted, each once, however many namespaces have it. */
  readonly #sources: Placed[]
  readonly #homes: { place: MountNamespace, byId: Map<number, Mount> }[]

  constructor(around: Surroundings) {
    this.#around = around
    const { namespaces } = around
    this.#sources = [...new Map(namespaces.flatMap((place) => place.mounts.map((mount) =>
      [`${mount.device} ${mount.type} ${mount.source}`, { place, mount }] as const)).toReversed())
      .values()].toReversed()
    this.#homes = namespaces.filter(({ home }) => home).map((place) =>
      ({ place, byId: new Map(place.mounts.map((mount) => [mount.id, mount])) }))
  }

  result(): Resolution {
    const { roots, left } = this.#claims
    for (const [store, count] of left) {
      this.#problems.push({
        store, path: '', reason: `${count} of its files, folders and mounts are more than the ` +
          `${rootsMax} that one node can watch: name a folder above them`,
      })
    }
    const sum = [...left.values()].reduce((all, one) => all + one, 0)
    return { roots: [...roots.values()], problems: this.#problems, left: sum }
  }

  /** Whole file systems, by their type and by what is mounted; in every namespace. */
  findMounts(rule: StoreRule): void {
    const sources = rule.mountSources.map((glob) => compileGlob(glob).matches)
    for (const { place, mount } of this.#sources) {
      const named = rule.fileSystems.includes(mount.type) ||
        sources.some((matches) => matches(mount.source))
      if (named) this.#claimDevice(rule, place, mount)
    }
  }

  async findPaths(rule: StoreRule): Promise<void> {
    for (const path of rule.paths) {
      const walks: Walk[] = []
      for (const { place } of this.#homes) {
        this.#around.asking?.(rule.name, path)
        const walk = await findPaths(place, path, rootsMax)
        this.#claims.noteLeft(rule.name, walk.left)
        for (const one of walk.found) await this.#claim(rule, place, one)
        walks.push(walk)
      }
      // A service may not see all that process 1 sees: who found it counts.
      const finders = walks.filter(({ found }) => found.length > 0)
      for (const { failures } of finders.length > 0 ? finders : walks) {
        for (const { path: at, code } of failures) this.#problem(rule, at, explain(code))
      }
    }
  }

  /** What is mounted inside of the store is part of it. */
  async findSubmounts(rule: StoreRule): Promise<void> {
    for (const { place, byId } of this.#homes) {
      for (const mount of place.mounts) {
        const below = byId.get(mount.parent)
        if (!below || withoutData.has(mount.type)) continue
        if (!this.#isIn(rule.name, below, mount.point)) continue
        if (this.#isHidden(place, mount)) continue
        if (mount.root !== '/') await this.#claimFolder(rule, place, mount.point)
        else if (!this.#isElsewhere(rule, place, mount, byId)) {
          this.#claimDevice(rule, place, mount)
        }
      }
    }
  }

  /** A loop device whose backing file lies in a store is part of it, mounted or not. */
  findLoops(rules: readonly StoreRule[]): void {
    for (const loop of this.#around.loops) {
      for (const { place } of this.#homes) {
        const mount = mountOf(place.mounts, loop.file)
        const rule = mount && rules.find(({ name }) => this.#isIn(name, mount, loop.file))
        if (!rule) continue
        for (const device of loop.devices) {
          const used = this.#mountOfDevice(device)
          this.#claims.add({
            store: rule.name, device, inode: 0n, born: 0n, path: loop.path, folder: false,
            inside: '/', fs_type: used?.type ?? '', mount_source: loop.file,
            mount_namespace: place.id, reach: reach(place, loop.path), links: 1,
          })
        }
      }
    }
  }

  #mountOfDevice(device: number): Mount | undefined {
    return this.#sources.find(({ mount }) => mount.device === device)?.mount
  }

  /** Is what `mount` shows at `path` part of the store? */
  #isIn(store: string, mount: Mount, path: string): boolean {
    const inside = pathInside(mount, path)
    return this.#claims.of(store).some((root) => root.device === mount.device &&
      (root.inode === 0n || isWithin(inside, root.inside)))
  }

  /** Something else is mounted above it. */
  #isHidden({ mounts }: MountNamespace, mount: Mount): boolean {
    return mountOf(mounts, mount.point)?.id !== mount.id
  }

  /** All of a file system of others is not taken because somebody bound it into the store. */
  #isElsewhere(
    rule: StoreRule, place: MountNamespace, mount: Mount, byId: ReadonlyMap<number, Mount>,
  ): boolean {
    const other = place.mounts.find((one) => one.device === mount.device && one.id !== mount.id &&
      !this.#isIn(rule.name, byId.get(one.parent) ?? one, one.point))
    if (!other) return false
    this.#problem(rule, mount.point, `all of ${other.point} (${other.source}) is mounted there: ` +
      'if it is part of the store, name it in the policy')
    return true
  }

  #claimDevice(rule: StoreRule, place: MountNamespace, mount: Mount): void {
    this.#take(rule, {
      store: rule.name, device: mount.device, inode: 0n, born: 0n, path: mount.point, inside: '/',
      folder: true, links: 1, fs_type: mount.type, mount_source: mount.source,
      mount_namespace: place.id, reach: reach(place, mount.point),
    })
  }

  async #claimFolder(rule: StoreRule, place: MountNamespace, path: string): Promise<void> {
    this.#around.asking?.(rule.name, path)
    const found = await findPath(place, path)
    if (found) await this.#claim(rule, place, found)
  }

  async #claim(rule: StoreRule, place: MountNamespace, found: Found): Promise<void> {
    const { path, inode, born, mount, folder, links } = found
    const taken = this.#take(rule, {
      store: rule.name, device: mount.device, inode, born, path, folder, links,
      inside: pathInside(mount, path), fs_type: mount.type, mount_source: mount.source,
      mount_namespace: place.id, reach: reach(place, path),
    })
    if (taken && mount.layers.length > 0) await this.#claimLayers(rule, place, mount, path)
  }

  /** Files of an overlay are those of its layers, and are read there. */
  async #claimLayers(
    rule: StoreRule, place: MountNamespace, mount: Mount, path: string,
  ): Promise<void> {
    const inside = pathInside(mount, path)
    for (const layer of mount.layers) {
      this.#around.asking?.(rule.name, path)
      const found = await findPath(place, layer + inside)
      if (found && found.mount.device !== mount.device) await this.#claim(rule, place, found)
    }
  }

  /** False when it was taken before. */
  #take(rule: StoreRule, root: StoreRoot): boolean {
    const holder = this.#claims.add(root)
    if (holder !== undefined && holder !== rule.name) {
      this.#problem(rule, root.path, `it is part of the store ${holder} already`)
    }
    return holder === undefined
  }

  #problem({ name: store }: StoreRule, path: string, reason: string): void {
    const told = this.#problems.some((one) => one.store === store && one.path === path)
    if (!told && this.#problems.length < rootsMax) this.#problems.push({ store, path, reason })
  }
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'the agent may not look there: give it CAP_DAC_READ_SEARCH',
  EPERM: 'the agent may not look there: give it CAP_DAC_READ_SEARCH',
  ELOOP: 'its links go round',
  ESTALE: 'the file server no longer knows it: mount it again',
  ENOTCONN: 'the process behind the mount is gone: mount it again',
  EIO: 'reading it fails: look at the disk or the file server',
}

function explain(code: string): string {
  return `${reasons[code] ?? 'it cannot be looked at'} (${code})`
}
