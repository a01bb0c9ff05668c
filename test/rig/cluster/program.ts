// A program of the rig while it runs: what it says, and how it ends.

import type { ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

/** Only a run that fails waits for so long. Six agents that load at once on two cores are slow. */
const WAIT_MS_MAX = 120_000
/** Of one stream; the beginning goes first. */
const TEXT_MAX = 1024 * 1024

/** How a program ended. */
export interface Ended { code: number | null, signal: NodeJS.Signals | null }

/** A running program; `pid` is its own, nothing stands between it and the rig. */
export class Program {
  readonly what: string
  readonly pid: number
  stdout = ''
  stderr = ''
  readonly ended: Promise<Ended>
  readonly #child: ChildProcess
  #over = false

  constructor(what: string, child: ChildProcess) {
    this.what = what
    this.#child = child
    this.pid = child.pid ?? 0
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout = (this.stdout + text).slice(-TEXT_MAX)
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-TEXT_MAX)
    })
    // It may end before it has read what it was told.
    child.stdin?.on('error', () => {})
    this.ended = new Promise((resolve) => {
      const end = (code: number | null, signal: NodeJS.Signals | null): void => {
        this.#over = true
        resolve({ code, signal })
      }
      child.on('close', end)
      child.on('error', (error) => {
        this.stderr += `${error.message}\n`
        end(null, null)
      })
    })
  }

  /** A line for its standard input. */
  tell(line: string): void {
    this.#child.stdin?.write(`${line}\n`)
  }

  /** Waits until it has said this, and gives what matched. */
  async says(pattern: RegExp, from: 'stdout' | 'stderr' = 'stdout'): Promise<RegExpExecArray> {
    return until(`${this.what} to say ${pattern}`, () => {
      const found = pattern.exec(this[from])
      if (found === null && this.#over) throw new Error(`${this.what} ended:\n${this.stderr}`)
      return found ?? undefined
    }, () => `${this.stdout}\n${this.stderr}`)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Asks it to end, and waits. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
    this.#child.kill(signal)
    return this.ended
  }

  /** Waits for its end, and for success. */
  async succeeds(): Promise<string> {
    const { code, signal } = await this.ended
    if (code === 0) return this.stdout
    throw new Error(`${this.what} ended with ${code ?? signal}:\n${this.stdout}\n${this.stderr}`)
  }
}

/** Waits until `find` gives something; throws with what `seen` says when it never does. */
export async function until<T>(
  what: string, find: () => T | undefined, seen: () => string = () => '',
): Promise<T> {
  const end = performance.now() + WAIT_MS_MAX
  for (;;) {
    const found = find()
    if (found !== undefined) return found
    if (performance.now() > end) throw new Error(`waited in vain for ${what}; seen:\n${seen()}`)
    await sleep(20)
  }
}
