/** Progress of work that takes longer than a second: on a terminal only, on stderr, one line. */
import { formatCount } from './text/time.ts'

const SHOW_AFTER_MS = 1000
const REDRAW_MS = 200

/** Counts work and draws `checked 1,200,000 events, 400,000/s` over itself. */
export class Progress {
  readonly #verb: string
  readonly #unit: string
  readonly #startedMs = performance.now()
  #drawnMs = this.#startedMs + SHOW_AFTER_MS - REDRAW_MS
  #drawn = false
  #done = 0

  constructor(verb: string, unit: string) {
    this.#verb = verb
    this.#unit = unit
  }

  /** So much more is done. */
  add(count: number): void {
    this.#done += count
    const nowMs = performance.now()
    if (!process.stderr.isTTY || nowMs - this.#drawnMs < REDRAW_MS) return
    this.#drawnMs = nowMs
    this.#drawn = true
    const rate = this.#done / ((nowMs - this.#startedMs) / 1000)
    process.stderr.write(
      `\r\x1b[K${this.#verb} ${formatCount(this.#done)} ${this.#unit}, ${formatCount(rate)}/s`)
  }

  /** Takes the line away. */
  clear(): void {
    if (this.#drawn) process.stderr.write('\r\x1b[K')
    this.#drawn = false
  }
}
