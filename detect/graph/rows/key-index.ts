/**
 * Finds connections by their keys: open addressing over one array, so that a look-up is one place
 * in memory far away, and those with the same low word lie beside each other in the order in which
 * they came. At most half full; whoever fills it sees to that.
 */

/** Words of a place: one more than the slot (0: free), the key, whether any high word will do. */
const WIDTH = 4
const LOW = 1
const HIGH = 2
const ANY = 3
/** Connections with the same low word: those from one port of one client. */
const ALIKE_MAX = 256
const NONE = -1

export class KeyIndex {
  private words: Uint32Array
  private mask: number

  /** @param places a power of two */
  constructor(places: number) {
    this.words = new Uint32Array(WIDTH * places)
    this.mask = places - 1
  }

  get places(): number { return this.mask + 1 }

  get bytes(): number { return this.words.byteLength }

  /** The place at which the search for a low word begins. */
  home(low: number): number {
    return low & this.mask
  }

  /**
   * The first place from `place` on with this key; -1 when there is none.
   *
   * @param any whatever the high word is
   */
  seek(place: number, low: number, high: number, any: boolean): number {
    const { words, mask } = this
    for (let at = place & mask; ; at = (at + 1) & mask) {
      const first = WIDTH * at
      if (words[first] === 0) return NONE
      if (words[first + LOW] !== low) continue
      if (any || words[first + HIGH] === high || words[first + ANY] !== 0) return at
    }
  }

  /** A word of where the search for a low word begins. */
  glance(low: number): number {
    return this.words[WIDTH * (low & this.mask)]
  }

  /** The first slot with a key; -1 when there is none. */
  first(low: number, high: number): number {
    const place = this.seek(low & this.mask, low, high, false)
    return place === NONE ? NONE : this.slotAt(place)
  }

  slotAt(place: number): number {
    return this.words[WIDTH * place] - 1
  }

  /** The slot that came first of too many with the same low word, which must leave; else -1. */
  insert(slot: number, low: number, high: number, any: boolean): number {
    const { words, mask } = this
    let alike = 0
    let oldest = NONE
    let at = low & mask
    for (; words[WIDTH * at] !== 0; at = (at + 1) & mask) {
      if (words[WIDTH * at + LOW] !== low) continue
      if (alike++ === 0) oldest = words[WIDTH * at] - 1
    }
    const first = WIDTH * at
    words[first] = slot + 1
    words[first + LOW] = low
    words[first + HIGH] = high
    words[first + ANY] = any ? 1 : 0
    return alike < ALIKE_MAX ? NONE : oldest
  }

  /** Whatever the high word is, it is meant from here on. */
  matchAny(slot: number, low: number): void {
    this.words[WIDTH * this.placeOf(slot, low) + ANY] = 1
  }

  remove(slot: number, low: number): void {
    const { words, mask } = this
    let free = this.placeOf(slot, low)
    // Those behind it move up, but none before the place where its search begins.
    for (let at = (free + 1) & mask; words[WIDTH * at] !== 0; at = (at + 1) & mask) {
      const home = words[WIDTH * at + LOW] & mask
      if (((at - home) & mask) < ((at - free) & mask)) continue
      for (let i = 0; i < WIDTH; i++) words[WIDTH * free + i] = words[WIDTH * at + i]
      free = at
    }
    words[WIDTH * free] = 0
  }

  /** The same with room for more, in the same order. */
  grow(places: number): void {
    const { words, mask } = this
    this.words = new Uint32Array(WIDTH * places)
    this.mask = places - 1
    let begin = 0
    while (words[WIDTH * begin] !== 0) begin++
    for (let i = 0; i <= mask; i++) {
      const first = WIDTH * ((begin + i) & mask)
      if (words[first] === 0) continue
      this.insert(words[first] - 1, words[first + LOW], words[first + HIGH],
        words[first + ANY] !== 0)
    }
  }

  private placeOf(slot: number, low: number): number {
    const { words, mask } = this
    let at = low & mask
    while (words[WIDTH * at] !== slot + 1) at = (at + 1) & mask
    return at
  }
}
