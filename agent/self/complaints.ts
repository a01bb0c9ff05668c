// What goes wrong, on stderr: each kind of trouble at once, then at most once a minute.

/** An error with a code: AgentError, LogError. */
export interface Trouble extends Error { readonly code: string }

const intervalMs = 60_000

/** Rate-limited lines on stderr. */
export class Complaints {
  readonly #write: (line: string) => void
  readonly #nowMs: () => number
  readonly #seen = new Map<string, { saidMs: number, held: number }>()

  constructor(
    write: (line: string) => void = (line) => process.stderr.write(`agent: ${line}\n`),
    nowMs: () => number = performance.now.bind(performance),
  ) {
    this.#write = write
    this.#nowMs = nowMs
  }

  /** Says it, or counts it when the same code was said within a minute. Codes are few. */
  say(trouble: Trouble): void {
    const nowMs = this.#nowMs()
    const seen = this.#seen.get(trouble.code)
    if (seen && nowMs - seen.saidMs < intervalMs) {
      seen.held++
      return
    }
    const again = seen && seen.held > 0 ? ` (and ${seen.held} times since the last such line)` : ''
    this.#seen.set(trouble.code, { saidMs: nowMs, held: 0 })
    this.#write(`${trouble.code}: ${oneLine(trouble.message)}${again}`)
  }

  /** It is over: says so if it was said that it was not, and says the next one at once. */
  over(codes: readonly string[], what: string): void {
    const said = codes.filter((code) => this.#seen.delete(code))
    if (said.length > 0) this.#write(what)
  }
}

/** Messages may hold what others sent: no control characters on a terminal. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]+/gu, ' ').slice(0, 1000)
}
