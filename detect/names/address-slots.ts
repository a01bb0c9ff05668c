/** A hash table of addresses in typed arrays, for look-ups on the hot path. */

/** Places that are tried for an address. Whoever chooses addresses cannot make look-ups slow. */
const PROBES = 32
const SLOTS_MIN = 1024

export class AddressSlots {
  /** Zone of each slot, the policy that it is by, and the watermark until which it holds. */
  zone = new Int16Array(SLOTS_MIN)
  zonePolicy = new Int32Array(SLOTS_MIN).fill(-1)
  zoneUntilMs = new Float64Array(SLOTS_MIN)
  private words = new Uint32Array(4 * SLOTS_MIN)
  private used = new Uint8Array(SLOTS_MIN)
  private mask = SLOTS_MIN - 1

  /** Slot of the 16 bytes at `at`, -1 when they are not there. */
  find(bytes: Uint8Array, at: number): number {
    const { words, used, mask } = this
    const a = word(bytes, at)
    const b = word(bytes, at + 4)
    const c = word(bytes, at + 8)
    const d = word(bytes, at + 12)
    const first = hash(a, b, c, d)
    for (let i = 0; i < PROBES; i++) {
      const slot = (first + i) & mask
      if (used[slot] === 0) return -1
      const place = 4 * slot
      if (words[place + 3] === d && words[place + 2] === c && words[place + 1] === b &&
        words[place] === a) return slot
    }
    return -1
  }

  /**
   * A slot for the 16 bytes, which are not there yet: a free one, or that of another address.
   *
   * @param leaves of the addresses in these slots, which one is to make room
   */
  insert(bytes: Uint8Array, leaves: (slots: readonly number[]) => number): number {
    const first = hash(word(bytes, 0), word(bytes, 4), word(bytes, 8), word(bytes, 12))
    const tried: number[] = []
    while (tried.length < PROBES && this.used[(first + tried.length) & this.mask] === 1) {
      tried.push((first + tried.length) & this.mask)
    }
    const slot = tried.length < PROBES ? (first + tried.length) & this.mask : leaves(tried)
    this.place(slot, bytes)
    return slot
  }

  /** Puts the 16 bytes into a slot that `insert` gave in a table of the same size. */
  place(slot: number, bytes: Uint8Array): void {
    this.used[slot] = 1
    for (let i = 0; i < 4; i++) this.words[4 * slot + i] = word(bytes, 4 * i)
    this.zonePolicy[slot] = -1
  }

  /** Room for so many addresses, all slots free. */
  reset(addresses: number): void {
    let slots = SLOTS_MIN
    while (slots < 2 * addresses) slots *= 2
    this.zone = new Int16Array(slots)
    this.zonePolicy = new Int32Array(slots).fill(-1)
    this.zoneUntilMs = new Float64Array(slots)
    this.words = new Uint32Array(4 * slots)
    this.used = new Uint8Array(slots)
    this.mask = slots - 1
  }

  /** More addresses than this make look-ups slow; `reset` with this number makes the same table. */
  get comfortable(): number { return (this.mask + 1) >> 1 }
}

/** As a number without sign, to compare with what is in a Uint32Array. */
function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0
}

function hash(a: number, b: number, c: number, d: number): number {
  let x = Math.imul(d ^ Math.imul(c, 0x9e3779b1), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 15) ^ Math.imul(b, 0xc2b2ae35), 0x27d4eb2f)
  x = Math.imul(x ^ (x >>> 13) ^ Math.imul(a, 0x165667b1), 0x7feb352d)
  return (x ^ (x >>> 16)) >>> 0
}
