// How much of the disks the agent may read: so much in a second, and so much in a day.

import { setTimeout as sleep } from 'node:timers/promises'
import type { ArtifactBudget } from './jobs.ts'

const dayMs = 86_400_000

export interface ThrottleOptions extends ArtifactBudget {
  /** Milliseconds that only go forward. */
  nowMs?(): number
  sleep?(milliseconds: number): Promise<unknown>
}

/** What is not used adds up to one second's and one day's worth. */
export class Throttle {
  readonly #options: Required<ThrottleOptions>
  #second: number
  #day: number
  #filledMs: number

  constructor(options: ThrottleOptions) {
    this.#options = { nowMs: () => performance.now(), sleep, ...options }
    this.#second = options.bytesPerSecond
    this.#day = options.bytesPerDay
    this.#filledMs = this.#options.nowMs()
  }

  /** Whether a file of so many bytes may be begun today; takes them from the day then. */
  begin(bytes: number): boolean {
    this.#refill()
    if (bytes > this.#day) return false
    this.#day -= bytes
    return true
  }

  /** Gives back what was not read after all. */
  giveBack(bytes: number): void {
    this.#day = Math.min(this.#options.bytesPerDay, this.#day + bytes)
  }

  /** Waits until so many bytes may be read, at most as many as in a second. */
  async wait(bytes: number): Promise<void> {
    const { bytesPerSecond } = this.#options
    const wanted = Math.min(bytes, bytesPerSecond)
    for (this.#refill(); this.#second < wanted; this.#refill()) {
      await this.#options.sleep(Math.ceil((wanted - this.#second) * 1000 / bytesPerSecond))
    }
    this.#second -= wanted
  }

  #refill(): void {
    const { bytesPerSecond, bytesPerDay, nowMs } = this.#options
    const now = nowMs()
    const passedMs = now - this.#filledMs
    this.#filledMs = now
    this.#second = Math.min(bytesPerSecond, this.#second + bytesPerSecond * passedMs / 1000)
    this.#day = Math.min(bytesPerDay, this.#day + bytesPerDay * passedMs / dayMs)
  }
}
