// What is told of the stores of this node: at the start, and when it changes. Pure.

import type { StoreRule } from '../../stores/rule.ts'
import type { StoreSeen } from '../../proto/gen/events.ts'
import type { StoreRoot } from './roots/claims.ts'
import type { Resolution, StoreProblem } from './roots/roots.ts'

/** Of a store: found on this node, not there, or there is something that cannot be watched. */
export type StoreState = 'watched' | 'absent' | 'unresolved'

/** Remembers what was told. */
export class StoresSeen {
  readonly #idOf: (store: string) => number
  #roots = new Map<string, StoreRoot>()
  #problems = new Map<string, StoreProblem>()
  #states = new Map<string, StoreState>()

  constructor(idOf: (store: string) => number) {
    this.#idOf = idOf
  }

  /** By store, what is told of it now. */
  get states(): ReadonlyMap<string, StoreState> { return this.#states }

  /** What is different since the last time, as facts of store_seen events. */
  update(rules: readonly StoreRule[], { roots, problems }: Resolution): Partial<StoreSeen>[] {
    const before = { roots: this.#roots, problems: this.#problems, states: this.#states }
    this.#roots = new Map(roots.map((root) => [keyOfRoot(root), root]))
    this.#problems = new Map(problems.map((one) => [JSON.stringify(one), one]))
    this.#states = new Map(rules.map(({ name }) => [name, stateOf(name, roots, problems)]))
    const gone = [...before.roots].filter(([key]) => !this.#roots.has(key))
    const fresh = [...this.#roots].filter(([key]) => !before.roots.has(key))
    const unresolved = [...this.#problems].filter(([key]) => !before.problems.has(key))
    const absent = rules.filter(({ name }) => this.#states.get(name) === 'absent' &&
      before.states.get(name) !== 'absent')
    return [
      ...gone.map(([, root]) => this.#ofRoot('gone', root)),
      ...fresh.map(([, root]) => this.#ofRoot('watched', root)),
      ...unresolved.map(([, { store, path, reason }]) =>
        ({ store, state: 'unresolved', path, reason, store_id: this.#idOf(store) })),
      ...absent.map((rule) => ({
        store: rule.name, state: 'absent', path: whereOf(rule), store_id: this.#idOf(rule.name),
      })),
    ]
  }

  #ofRoot(state: string, root: StoreRoot): Partial<StoreSeen> {
    const { store, path, fs_type, mount_source, device, inode, mount_namespace } = root
    return {
      store, state, path, fs_type, mount_source, device, inode, mount_namespace,
      store_id: this.#idOf(store),
    }
  }
}

function keyOfRoot({ store, device, inode, path }: StoreRoot): string {
  return `${store} ${device} ${inode} ${path}`
}

function stateOf(
  store: string, roots: readonly StoreRoot[], problems: readonly StoreProblem[],
): StoreState {
  if (problems.some((one) => one.store === store)) return 'unresolved'
  return roots.some((one) => one.store === store) ? 'watched' : 'absent'
}

function whereOf({ paths, mountSources, fileSystems }: StoreRule): string {
  return [...paths, ...mountSources, ...fileSystems].join(' ').slice(0, 256)
}
