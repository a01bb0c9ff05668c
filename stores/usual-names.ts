/** Numbers for the names of classes of workloads and of stores, two of which make a key. */

export type UsualNamesSnapshot = {
  classes: string[]
  stores: [name: string, firstMs: number, classes: number][]
  refused: number
}

const STORES_MAX = 1024
const NAME_CHARS_MAX = 200

interface Store { name: string; firstMs: number; classes: number }

export class UsualNames {
  /** Times that a store found no room. */
  refused = 0
  #classes: string[] = []
  #numbers = new Map<string, number>()
  #stores: Store[] = []
  #storeNumbers = new Map<string, number>()

  /** Key of a pair; -1 when one of the two is not known. */
  keyOf(workloadClass: string, store: string): number {
    const one = this.#numbers.get(cut(workloadClass))
    const other = this.#storeNumbers.get(cut(store))
    return one === undefined || other === undefined ? -1 : one * STORES_MAX + other
  }

  /** Key of a pair that is new; -1 when there is no room for the store. */
  take(workloadClass: string, store: string, timeMs: number): number {
    let other = this.#storeNumbers.get(cut(store))
    if (other === undefined) {
      other = this.#stores.length
      if (other >= STORES_MAX) {
        this.refused++
        return -1
      }
      this.#stores.push({ name: cut(store), firstMs: timeMs, classes: 0 })
      this.#storeNumbers.set(cut(store), other)
    }
    this.#stores[other].classes++
    const name = cut(workloadClass)
    let one = this.#numbers.get(name)
    if (one === undefined) {
      one = this.#classes.push(name) - 1
      this.#numbers.set(name, one)
    }
    return one * STORES_MAX + other
  }

  /** A store was read that early, too. */
  sawStore(name: string, timeMs: number): void {
    const store = this.store(name)
    if (store !== null) store.firstMs = Math.min(store.firstMs, timeMs)
  }

  of(key: number): { workloadClass: string; store: string } {
    const { name } = this.#stores[key % STORES_MAX]
    return { workloadClass: this.#classes[Math.floor(key / STORES_MAX)], store: name }
  }

  store(name: string): Store | null {
    const number = this.#storeNumbers.get(cut(name))
    return number === undefined ? null : this.#stores[number]
  }

  stores(): string[] {
    return this.#stores.map(({ name }) => name)
  }

  /** Forgets names that no key uses any more, and numbers the others anew in `keys`. */
  renumber(keys: Uint32Array, rows: number): void {
    const before = { classes: this.#classes, stores: this.#stores }
    this.#classes = []
    this.#stores = []
    this.#numbers.clear()
    this.#storeNumbers.clear()
    for (let row = 0; row < rows; row++) {
      const { firstMs, name } = before.stores[keys[row] % STORES_MAX]
      keys[row] = this.take(before.classes[Math.floor(keys[row] / STORES_MAX)], name, firstMs)
    }
  }

  snapshot(): UsualNamesSnapshot {
    return {
      classes: this.#classes, refused: this.refused,
      stores: this.#stores.map(({ name, firstMs, classes }) => [name, firstMs, classes]),
    }
  }

  /** Takes over what `snapshot` gave; this one must be empty. */
  restore({ classes, stores, refused }: UsualNamesSnapshot): void {
    this.#classes = [...classes]
    this.#numbers = new Map(classes.map((name, number) => [name, number]))
    this.#stores = stores.map(([name, firstMs, count]) => ({ name, firstMs, classes: count }))
    this.#storeNumbers = new Map(stores.map(([name], number) => [name, number]))
    this.refused = refused
  }
}

/** Longer names are one when they begin alike. */
function cut(name: string): string {
  return name.length > NAME_CHARS_MAX ? name.slice(0, NAME_CHARS_MAX) : name
}
