import type { Position } from '../policy.ts'

/** Finds line and column of an offset, and the text of a line. Lines end with `\n` or `\r\n`. */
export class Lines {
  readonly #text: string
  readonly #starts: number[] = [0]

  constructor(text: string) {
    this.#text = text
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) {
      this.#starts.push(at + 1)
    }
  }

  /** How many lines there are; a text that ends with a line break has an empty last one. */
  get count(): number {
    return this.#starts.length
  }

  /** The place of an offset in UTF-16 units. Outside of the text, the nearest place inside. */
  positionAt(offset: number): Position {
    const inside = Math.max(0, Math.min(this.#text.length, Number.isFinite(offset) ? offset : 0))
    let low = 0
    let high = this.#starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.#starts[middle] <= inside) low = middle
      else high = middle - 1
    }
    return { line: low + 1, column: inside - this.#starts[low] + 1 }
  }

  /** A line, counted from 1, without its line break; empty for a line that is not there. */
  lineText(line: number): string {
    if (line < 1 || line > this.#starts.length) return ''
    const end = line < this.#starts.length ? this.#starts[line] - 1 : this.#text.length
    return this.#text.slice(this.#starts[line - 1], end).replace(/\r$/, '')
  }
}
