/** Compares the content of a file, as it comes, with what a manifest says. */
import { createHash } from 'node:crypto'
import type { Hash } from 'node:crypto'
import type { Expected } from './statement.ts'

/** What came out. */
export interface ContentVerdict {
  bytes: number
  /** Of the whole content, hex. */
  sha256: string
  /** What differs, in plain words; '' when nothing does. */
  differs: string
}

/** Takes the content of one file from its beginning to its end. */
export class Content {
  readonly #whole = createHash('sha256')
  readonly #expected: Expected | null
  #bytes = 0
  /** The part that is under way. */
  #part = 0
  #hash: Hash | null = null
  #differs = ''

  /** @param expected null: nothing is known, only the digest is wanted. */
  constructor(expected: Expected | null) {
    this.#expected = expected
  }

  /** Bytes so far. */
  get bytes(): number { return this.#bytes }

  /** The next bytes. */
  update(bytes: Uint8Array): void {
    this.#whole.update(bytes)
    let rest = bytes
    while (rest.length > 0) {
      const part = this.#expected?.parts[this.#part]
      const taken = part === undefined ? rest : rest.subarray(0, part.end - this.#bytes)
      if (part !== undefined) this.#hashOfPart().update(taken)
      this.#bytes += taken.length
      rest = rest.subarray(taken.length)
      if (this.#bytes === part?.end) this.#endPart()
    }
  }

  /** The end of the file. */
  finish(): ContentVerdict {
    const bytes = this.#bytes
    const { parts = [] } = this.#expected ?? {}
    if (this.#part < parts.length) {
      const { start, end } = parts[this.#part]
      if (end === Infinity) this.#endPart()
      else this.#note(`it ends at byte ${bytes}, in or before the part from ${start} to ${end}`)
    } else if (parts.length > 0 && bytes > parts.at(-1)!.end) {
      this.#note(`it goes on after byte ${parts.at(-1)!.end}, where it should end`)
    }
    return { bytes, sha256: this.#whole.digest('hex'), differs: this.#differs }
  }

  #hashOfPart(): Hash {
    return this.#hash ??= createHash(this.#expected!.algorithm)
  }

  #endPart(): void {
    const { start, end, digest } = this.#expected!.parts[this.#part++]
    const found = this.#hashOfPart().digest('hex')
    this.#hash = null
    if (found === digest) return
    this.#note(end === Infinity
      ? `the manifest says ${this.#expected!.algorithm} ${digest}, it is ${found}`
      : `the part from byte ${start} to ${end} is not what the manifest says`)
  }

  /** The first that differs says it. */
  #note(what: string): void {
    this.#differs ||= what
  }
}
