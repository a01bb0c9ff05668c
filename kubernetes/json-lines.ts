// A watch answers with one JSON document per line, cut anywhere by the network. Pure.

/** Puts lines together again; a line that is too long is skipped and counted. */
export class JsonLines {
  /** Lines that were too long or no JSON. */
  malformed = 0
  readonly #bytesMax: number
  #parts: Buffer[] = []
  #bytes = 0
  #skipping = false

  /** @param bytesMax of one line; an object in etcd has 1.5 MiB at most */
  constructor(bytesMax = 4 * 1024 * 1024) {
    this.#bytesMax = bytesMax
  }

  /** The documents that this chunk completes. */
  take(chunk: Buffer): unknown[] {
    const found: unknown[] = []
    let from = 0
    for (;;) {
      const end = chunk.indexOf(10, from)
      const part = chunk.subarray(from, end < 0 ? chunk.length : end)
      this.#add(part)
      if (end < 0) return found
      this.#finish(found)
      from = end + 1
    }
  }

  #add(part: Buffer): void {
    if (this.#skipping) return
    if (this.#bytes + part.length > this.#bytesMax) {
      this.#skipping = true
      this.#parts = []
      return
    }
    if (part.length === 0) return
    this.#parts.push(Buffer.from(part))
    this.#bytes += part.length
  }

  #finish(found: unknown[]): void {
    const line = Buffer.concat(this.#parts)
    const skipped = this.#skipping
    this.#parts = []
    this.#bytes = 0
    this.#skipping = false
    if (skipped) {
      this.malformed++
      return
    }
    if (line.length === 0) return
    try {
      found.push(JSON.parse(line.toString('utf8')))
    } catch {
      this.malformed++
    }
  }
}
