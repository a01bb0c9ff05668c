/**
 * The two ends of a connection meet here by their addresses and ports, in either order of arrival.
 * Bounded: a hash table in typed arrays, in which old ends give way to new ones.
 */

/** What one end told. */
export interface End {
  /** Number of the process in the lineage; 0 when none is known. */
  process: number
  /** Number of the node and boot, and of the event there. */
  source: number
  seq: number
}

/** 64 bits that stand for a connection. Two connections with the same ones: not in our lifetime. */
export interface ConnectionKey {
  low: number
  high: number
}

export type PairingSnapshot = { slots: number[][]; evictions: number }

/** An end waits so long for the other, by the watermark. Nodes may lag behind each other. */
const WAIT_MS = 120_000
/** Places that are tried for a key. */
const PROBES = 8

export class Pairing {
  /** Ends that gave way before their time was over. */
  evictions = 0
  private readonly mask: number
  private readonly low: Uint32Array
  private readonly high: Uint32Array
  /** 0 free, 1 outgoing, 2 accepted. */
  private readonly direction: Uint8Array
  private readonly process: Float64Array
  private readonly source: Uint32Array
  private readonly seq: Float64Array
  private readonly sinceMs: Float64Array

  /** @param slots a power of two */
  constructor(slots = 131_072) {
    this.mask = slots - 1
    this.low = new Uint32Array(slots)
    this.high = new Uint32Array(slots)
    this.direction = new Uint8Array(slots)
    this.process = new Float64Array(slots)
    this.source = new Uint32Array(slots)
    this.seq = new Float64Array(slots)
    this.sinceMs = new Float64Array(slots)
  }

  /**
   * True when the other end was waiting: it is written to `other` and waits no more. Otherwise this
   * end waits. `nowMs` is the watermark.
   */
  meet(key: ConnectionKey, direction: number, end: End, nowMs: number, other: End): boolean {
    let place = -1
    let oldest = -1
    for (let i = 0; i < PROBES; i++) {
      const slot = (key.low + i) & this.mask
      if (this.direction[slot] === 0 || nowMs - this.sinceMs[slot] > WAIT_MS) {
        if (place < 0) place = slot
        continue
      }
      if (this.low[slot] === key.low && this.high[slot] === key.high) {
        if (this.direction[slot] === direction) {
          place = slot
          break
        }
        other.process = this.process[slot]
        other.source = this.source[slot]
        other.seq = this.seq[slot]
        this.direction[slot] = 0
        return true
      }
      if (oldest < 0 || this.sinceMs[slot] < this.sinceMs[oldest]) oldest = slot
    }
    if (place < 0) {
      place = oldest
      this.evictions++
    }
    this.low[place] = key.low
    this.high[place] = key.high
    this.direction[place] = direction
    this.process[place] = end.process
    this.source[place] = end.source
    this.seq[place] = end.seq
    this.sinceMs[place] = nowMs
    return false
  }

  snapshot(): PairingSnapshot {
    const slots: number[][] = []
    for (let slot = 0; slot <= this.mask; slot++) {
      if (this.direction[slot] === 0) continue
      slots.push([slot, this.low[slot], this.high[slot], this.direction[slot],
        this.process[slot], this.source[slot], this.seq[slot], this.sinceMs[slot]])
    }
    return { slots, evictions: this.evictions }
  }

  /** Takes over what `snapshot` gave; this one must be empty and as large. */
  restore(from: PairingSnapshot): void {
    for (const [slot, low, high, direction, process, source, seq, sinceMs] of from.slots) {
      this.low[slot] = low
      this.high[slot] = high
      this.direction[slot] = direction
      this.process[slot] = process
      this.source[slot] = source
      this.seq[slot] = seq
      this.sinceMs[slot] = sinceMs
    }
    this.evictions = from.evictions
  }
}

/**
 * The key of a connection, the same from both ends: client first.
 *
 * @param place number of the network namespace when both ends are in it (loopback): such addresses
 *   are the same on every node. 0 otherwise.
 */
export function connectionKey(
  client: Uint8Array, clientAt: number, clientPort: number,
  server: Uint8Array, serverAt: number, serverPort: number,
  protocol: number, place: number, key: ConnectionKey,
): void {
  let a = Math.imul(clientPort ^ (serverPort << 16), 0x9e3779b1) ^ place
  let b = Math.imul(serverPort ^ (clientPort << 16) ^ (protocol << 8), 0x85ebca6b) + place
  for (let i = 0; i < 16; i += 4) {
    const from = word(client, clientAt + i)
    const to = word(server, serverAt + i)
    a = Math.imul(a ^ from, 0xcc9e2d51)
    a = Math.imul((a ^ (a >>> 15)) + to, 0x1b873593)
    b = Math.imul(b + to, 0xc2b2ae35)
    b = Math.imul((b ^ (b >>> 13)) ^ from, 0x27d4eb2f)
  }
  key.low = mixed(a)
  key.high = mixed(b ^ a)
}

/** A number of 53 bits for an address, to count distinct ones. Exact for IPv4. */
export function addressKey(bytes: Uint8Array, at: number): number {
  const last = word(bytes, at + 12) >>> 0
  if (word(bytes, at) === 0 && word(bytes, at + 4) === 0) return last
  const a = Math.imul(Math.imul(word(bytes, at), 0x9e3779b1) ^ word(bytes, at + 4), 0x85ebca6b)
  const b = Math.imul(word(bytes, at + 8) ^ a, 0xc2b2ae35) ^ last
  return (mixed(b) % 0x1fffff + 1) * 4294967296 + mixed(a ^ last)
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]
}

function mixed(value: number): number {
  let x = value ^ (value >>> 16)
  x = Math.imul(x, 0x7feb352d)
  return (x ^ (x >>> 15)) >>> 0
}
