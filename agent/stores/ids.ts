// Numbers of stores on this node. A store keeps its number as long as the agent runs, since records
// with it may be on their way when the policy changes.

/** Names that are kept; then those that were given first are forgotten. */
const namesMax = 4096

/** Gives them out from 1 on. */
export class StoreIds {
  readonly #ids = new Map<string, number>()
  readonly #names = new Map<number, string>()
  #next = 1

  idOf(store: string): number {
    const known = this.#ids.get(store)
    if (known !== undefined) return known
    const id = this.#next++
    this.#ids.set(store, id)
    this.#names.set(id, store)
    if (this.#names.size > namesMax) {
      const [oldest, name] = this.#names.entries().next().value!
      this.#names.delete(oldest)
      this.#ids.delete(name)
    }
    return id
  }

  /** Undefined for a number that no store has. */
  nameOf(id: number): string | undefined {
    return this.#names.get(id)
  }
}
