/** Which paths end at a connection whose other end has not come yet. Bounded: the oldest leave. */

export type WaitingSnapshot = {
  waiting: [slot: number, serial: number, heads: number[]][]
  size: number
  forgotten: number
}

const WAITING_MAX = 16_384
const HEADS_MAX = 64

export class Waiting {
  /** Paths that gave way: what comes late will not change them. */
  forgotten = 0
  /** By slot of the connection: its use, and slot and use of the last connection of each path. */
  private readonly bySlot = new Map<number, { serial: number; heads: number[] }>()
  private size = 0

  /** The path that ends with `head` goes on before `slot` when its other end comes. */
  add(slot: number, serial: number, head: number, headSerial: number): void {
    let entry = this.bySlot.get(slot)
    if (entry !== undefined && entry.serial !== serial) {
      this.delete(slot, entry.heads)
      entry = undefined
    }
    if (entry === undefined) this.bySlot.set(slot, entry = { serial, heads: [] })
    const { heads } = entry
    for (let i = 0; i < heads.length; i += 2) {
      if (heads[i] === head && heads[i + 1] === headSerial) return
    }
    if (heads.length >= 2 * HEADS_MAX) {
      heads.splice(0, 2)
      this.size--
      this.forgotten++
    }
    heads.push(head, headSerial)
    this.size++
    while (this.size > WAITING_MAX) this.forgetOldest()
  }

  /** True when a path waits for the other end. */
  has(slot: number, serial: number): boolean {
    return this.bySlot.get(slot)?.serial === serial
  }

  /** The other end came: slot and use of the last connection of each path, one after the other. */
  take(slot: number, serial: number): number[] {
    const entry = this.bySlot.get(slot)
    if (entry === undefined) return []
    this.delete(slot, entry.heads)
    return entry.serial === serial ? entry.heads : []
  }

  private forgetOldest(): void {
    for (const [slot, { heads }] of this.bySlot) {
      this.forgotten += heads.length / 2
      this.delete(slot, heads)
      return
    }
  }

  private delete(slot: number, heads: number[]): void {
    this.bySlot.delete(slot)
    this.size -= heads.length / 2
  }

  snapshot(): WaitingSnapshot {
    const waiting: WaitingSnapshot['waiting'] =
      [...this.bySlot].map(([slot, { serial, heads }]) => [slot, serial, [...heads]])
    return { waiting, size: this.size, forgotten: this.forgotten }
  }

  /** Takes over what `snapshot` gave; this one must be empty. */
  restore(from: WaitingSnapshot): void {
    for (const [slot, serial, heads] of from.waiting) this.bySlot.set(slot, { serial, heads })
    this.size = from.size
    this.forgotten = from.forgotten
  }
}
