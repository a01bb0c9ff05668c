// How the run before this one ended: a small file beside the spool says "running" until a clean
// stop.

import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** As in agent_start: `none` is the first run of this boot. */
export type PreviousRun = 'clean' | 'unclean' | 'none'

/** The marker file of one data folder. */
export class RunMarker {
  readonly #path: string
  readonly #bootId: string
  #begun = false

  constructor(dataDir: string, bootId: string) {
    this.#path = join(dataDir, 'run')
    this.#bootId = bootId
  }

  /** How the run before ended; from now on this one runs. */
  begin(): PreviousRun {
    const before = this.#read()
    this.#begun = true
    this.#write('running')
    return before
  }

  /** This run, if it began, ended and everything was stored. */
  end(): void {
    if (this.#begun) this.#write('ended')
  }

  #read(): PreviousRun {
    try {
      const [state, bootId] = readFileSync(this.#path, 'utf8').trim().split(' ')
      if (bootId !== this.#bootId) return 'none'
      return state === 'ended' ? 'clean' : 'unclean'
    } catch {
      return 'none'
    }
  }

  /** Not synced: what a power cut takes is of a boot that is over. */
  #write(state: 'running' | 'ended'): void {
    try {
      writeFileSync(`${this.#path}.new`, `${state} ${this.#bootId}\n`, { mode: 0o640 })
      renameSync(`${this.#path}.new`, this.#path)
    } catch {
      // The spool says what is wrong with the disk; the next run will say "unclean" or "none".
    }
  }
}
