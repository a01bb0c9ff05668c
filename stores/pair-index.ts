/** Finds rows by a key of 32 bits: open addressing, at most half full. */

const NONE = -1

export class PairIndex {
  /** One more than the row; 0 where nothing is. */
  #places = new Uint32Array(0)

  get bytes(): number { return this.#places.byteLength }

  /** The row with this key; -1 when there is none. */
  find(key: number, keys: Uint32Array): number {
    const places = this.#places
    const mask = places.length - 1
    if (mask < 0) return NONE
    for (let at = spread(key) & mask; places[at] !== 0; at = (at + 1) & mask) {
      if (keys[places[at] - 1] === key) return places[at] - 1
    }
    return NONE
  }

  /** Takes in a row whose key is in `keys`; there is room for it. */
  insert(row: number, keys: Uint32Array): void {
    const places = this.#places
    const mask = places.length - 1
    let at = spread(keys[row]) & mask
    while (places[at] !== 0) at = (at + 1) & mask
    places[at] = row + 1
  }

  /** Anew, for the first `rows` of a table with room for `capacity`. */
  rebuild(rows: number, capacity: number, keys: Uint32Array): void {
    const length = 2 ** Math.ceil(Math.log2(Math.max(2, 2 * capacity)))
    if (this.#places.length === length) this.#places.fill(0)
    else this.#places = new Uint32Array(length)
    for (let row = 0; row < rows; row++) this.insert(row, keys)
  }
}

/** Keys that lie beside each other come apart. */
function spread(key: number): number {
  const mixed = Math.imul(key ^ (key >>> 16), 0x45d9f3b)
  return Math.imul(mixed ^ (mixed >>> 16), 0x45d9f3b) >>> 15 ^ mixed
}
