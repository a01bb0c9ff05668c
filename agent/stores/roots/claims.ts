// Which part of which file system belongs to which store: each to one.

/** A folder or file of a store with all below it, or a whole file system. */
export interface StoreRoot {
  store: string
  /** Kernel encoding, major << 20 | minor. */
  device: number
  /** 0: all of the device. */
  inode: bigint
  /** Nanoseconds; with the inode it names a file also after its number was used again. */
  born: bigint
  /** In its mount namespace, and in its file system. */
  path: string
  inside: string
  folder: boolean
  /** Names of a file. */
  links: number
  fs_type: string
  mount_source: string
  mount_namespace: number
  /** By which the agent itself opens it. */
  reach: string
}

/** The roots that were found so far, by device and inode. */
export class Claims {
  readonly #max: number
  readonly roots = new Map<string, StoreRoot>()
  readonly #byStore = new Map<string, StoreRoot[]>()
  readonly #left = new Map<string, number>()

  constructor(max: number) {
    this.#max = max
  }

  /** What belongs to a store. */
  of(store: string): readonly StoreRoot[] {
    return this.#byStore.get(store) ?? []
  }

  /** By store, the roots that are beyond the bound. */
  get left(): ReadonlyMap<string, number> {
    return this.#left
  }

  /** Takes it for its store; undefined. Otherwise the store that has it, or its own when full. */
  add(root: StoreRoot): string | undefined {
    const { store, device, inode } = root
    const holder = this.roots.get(keyOf(device, inode))?.store ??
      (this.roots.get(keyOf(device, 0n))?.store === store ? store : undefined)
    if (holder !== undefined) return holder
    if (this.roots.size >= this.#max) {
      this.noteLeft(store, 1)
      return store
    }
    this.roots.set(keyOf(device, inode), root)
    const roots = this.#byStore.get(store) ?? []
    roots.push(root)
    this.#byStore.set(store, roots)
    return undefined
  }

  noteLeft(store: string, count: number): void {
    if (count > 0) this.#left.set(store, (this.#left.get(store) ?? 0) + count)
  }
}

export function keyOf(device: number, inode: bigint): string {
  return `${device}:${inode}`
}
