// Looks for the stores again and again, since mounts come and go; tells what changed, and brings
// the labels of the probes up to date. One look at a time: a file server that is away may hold one
// for ever, and must not hold more than that.

import { isDeepStrictEqual } from 'node:util'
import { AgentError } from '../errors.ts'
import type { NativeFailure } from '../../native/index.ts'
import type { StoreSeen } from '../../proto/gen/events.ts'
import type { StoreRule } from '../../stores/rule.ts'
import { keyOf } from './roots/claims.ts'
import type { StoreRoot } from './roots/claims.ts'
import type { StoreIds } from './ids.ts'
import type { Label, StoreLabels } from './labels.ts'
import { findDisks } from './roots/disks.ts'
import { readLoops } from './roots/loops.ts'
import { findMoved } from './roots/moved.ts'
import { MountNamespaces } from './roots/namespaces.ts'
import type { MountNamespace } from './roots/namespaces.ts'
import { findRoots } from './roots/roots.ts'
import type { Resolution } from './roots/roots.ts'
import { StoresSeen } from './seen.ts'
import type { StoreState } from './seen.ts'

export interface StoreWatchOptions {
  ids: StoreIds
  /** Absent: no probe is loaded, and there is nobody to tell. */
  labels?: StoreLabels
  /** Nanoseconds since boot. */
  now(): bigint
  add(seen: Partial<StoreSeen>, time: bigint): void
  /** After every look, when the labels are set; `found`: there is something to watch. */
  looked(found: boolean): void
  complain(error: AgentError): void
  intervalMs?: number
  timeoutMs?: number
  /** Other folders for tests. */
  procDir?: string
  sysDir?: string
}

/** What is known now, and what did not fit. */
export interface StoreWatchCounts {
  states: Record<StoreState, number>
  roots: number
  labels: number
  /** By what: roots, labels, namespaces, and processes whose namespace may not be seen. */
  left: Record<'roots' | 'labels' | 'namespaces' | 'processes', number>
}

/** Another name of a file of a store. */
export interface StoreLink { store: string, device: number, inode: bigint }

/** Between two looks. */
const renamesMax = 64
const intervalDefaultMs = 5000
const timeoutDefaultMs = 10_000

/** The probes cannot be told of the stores. */
export function labelsRefused({ operation, code, detail }: NativeFailure): AgentError {
  return new AgentError('STORE_LABELS', `${operation} failed (${code}): ${detail}`)
}

/** The watch over all stores of the policy. Costs nothing while there are none in it. */
export class StoreWatch {
  readonly #options: StoreWatchOptions
  readonly #namespaces: MountNamespaces
  readonly #seen: StoresSeen
  #rules: readonly StoreRule[] = []
  #roots: readonly StoreRoot[] = []
  #places: readonly MountNamespace[] = []
  #links: readonly StoreLink[] = []
  /** What the kernel was told last; undefined when it refused some of it. */
  #labelled: readonly Label[] | undefined = []
  #interval: NodeJS.Timeout | undefined
  #busy: { sinceMs: number, asked?: { store: string, path: string }, told: boolean } | undefined
  #again = false
  #looking: Promise<void> | undefined
  /** Rules of the last look, by name. */
  #looked = new Map<string, string>()
  /** Where a root was moved to, by device and inode. */
  #told = new Map<string, string>()
  #stopped = false
  #left = { roots: 0, labels: 0, namespaces: 0, processes: 0 }

  constructor(options: StoreWatchOptions) {
    this.#options = options
    this.#namespaces = new MountNamespaces({ procDir: options.procDir })
    this.#seen = new StoresSeen((store) => options.ids.idOf(store))
  }

  get rules(): readonly StoreRule[] { return this.#rules }
  /** Where they are, as of the last look. */
  get roots(): readonly StoreRoot[] { return this.#roots }
  /** The mount namespaces of the last look. */
  get namespaces(): readonly MountNamespace[] { return this.#places }

  get counts(): StoreWatchCounts {
    const states = { watched: 0, absent: 0, unresolved: 0 }
    for (const state of this.#seen.states.values()) states[state]++
    return {
      states, roots: this.#roots.length, labels: this.#options.labels?.size ?? 0, left: this.#left,
    }
  }

  /** These are the stores from now on. */
  setRules(rules: readonly StoreRule[]): void {
    this.#rules = rules
    clearInterval(this.#interval)
    this.#interval = undefined
    if (this.#stopped) return
    if (rules.length > 0) {
      const { intervalMs = intervalDefaultMs } = this.#options
      this.#interval = setInterval(() => this.#tick(), intervalMs)
      this.#interval.unref()
    }
    void this.look()
  }

  /** Files of the stores that have other names, too, maybe elsewhere. */
  setLinks(links: readonly StoreLink[]): void {
    this.#links = links
    this.#setLabels()
  }

  /** Something was renamed: when it is a root, it is looked for there. */
  noteRename(device: number, inode: bigint, path: string): void {
    const isRoot = this.#roots.some((root) => root.inode === inode && root.device === device)
    if (!isRoot || this.#told.size >= renamesMax) return
    this.#told.set(keyOf(device, inode), path)
    void this.look()
  }

  /** What is under way is not waited for, and tells nothing any more. */
  stop(): void {
    this.#stopped = true
    clearInterval(this.#interval)
  }

  /** Looks now, or again when a look is under way; resolves when it is done. Never rejects. */
  look(): Promise<void> {
    this.#again = true
    return this.#looking ??= this.#lookWhileAsked()
  }

  async #lookWhileAsked(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false
      this.#busy = { sinceMs: this.#nowMs(), told: false }
      try {
        await this.#lookOnce(this.#rules)
      } catch (error) {
        this.#options.complain(new AgentError('STORES_UNREADABLE',
          `the stores could not be looked for: ${String(error)}`, error))
      }
      this.#busy = undefined
    }
    this.#looking = undefined
  }

  async #lookOnce(rules: readonly StoreRule[]): Promise<void> {
    const none = { namespaces: [], changed: false, refused: 0, left: 0 }
    const seen = rules.length > 0 ? await this.#namespaces.look() : none
    const loops = rules.length > 0 ? await readLoops(this.#options.sysDir) : []
    const resolution = await findRoots(rules, {
      namespaces: seen.namespaces, loops,
      asking: (store, path) => { this.#busy!.asked = { store, path } },
    })
    resolution.roots.push(...await findDisks(resolution.roots, this.#options.sysDir))
    // What the policy no longer names is not followed.
    const same = rules.filter((rule) => this.#looked.get(rule.name) === JSON.stringify(rule))
    const moved = await findMoved(this.#roots, resolution.roots,
      new Set(same.map(({ name }) => name)), seen.namespaces, this.#told)
    if (this.#stopped) return
    this.#looked = new Map(rules.map((rule) => [rule.name, JSON.stringify(rule)]))
    this.#told.clear()
    resolution.roots.push(...moved)
    this.#places = seen.namespaces
    this.#left = {
      ...this.#left, roots: resolution.left, namespaces: seen.left, processes: seen.refused,
    }
    this.#apply(rules, resolution)
  }

  #apply(rules: readonly StoreRule[], resolution: Resolution): void {
    const { add, now, looked } = this.#options
    this.#roots = resolution.roots
    this.#setLabels()
    looked(this.#roots.length > 0)
    const time = now()
    for (const seen of this.#seen.update(rules, resolution)) add(seen, time)
  }

  #setLabels(): void {
    const { labels, ids, complain } = this.#options
    if (!labels || this.#stopped) return
    const files = this.#links.map((link) => ({ ...link, folder: false }))
    const all = [...this.#roots, ...files].map(({ store, device, inode, folder }) =>
      ({ device, inode, folder, id: ids.idOf(store) }))
    const before = this.#labelled
    if (isDeepStrictEqual(all, before)) return
    const failure = labels.set(all)
    this.#labelled = failure ? undefined : all
    this.#left = { ...this.#left, labels: labels.left }
    if (failure) complain(labelsRefused(failure))
  }

  /** A look that does not come back is told of once, with the path that it waits for. */
  #tick(): void {
    const busy = this.#busy
    if (!busy) return void this.look()
    const lateMs = this.#nowMs() - busy.sinceMs
    if (busy.told || lateMs < (this.#options.timeoutMs ?? timeoutDefaultMs)) return
    busy.told = true
    const { add, now, ids, complain } = this.#options
    const takes = `takes more than ${Math.floor(lateMs / 1000)} s`
    complain(new AgentError('STORES_UNREADABLE',
      `looking at ${busy.asked?.path ?? 'what is mounted'} ${takes}`))
    if (!busy.asked) return
    const { store, path } = busy.asked
    add({
      store, state: 'unresolved', path, store_id: ids.idOf(store),
      reason: `looking at it ${takes}: is its file server away? All stores are watched as they ` +
        'were found before',
    }, now())
  }

  #nowMs(): number { return Number(this.#options.now() / 1_000_000n) }
}
