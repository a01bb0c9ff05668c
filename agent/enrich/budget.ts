/** Limits how often the agent looks into /proc, so that a storm of processes cannot occupy it. */
export class Budget {
  readonly #perSecond: number
  readonly #nowMs: () => number
  #left: number
  #filledMs: number

  /** @param perSecond looks per second; as many may come at once. */
  constructor(perSecond: number, nowMs: () => number = Date.now) {
    this.#perSecond = perSecond
    this.#nowMs = nowMs
    this.#left = perSecond
    this.#filledMs = nowMs()
  }

  /** True when one more look is allowed, which is then spent. */
  take(): boolean {
    if (this.#left < 1) this.#refill()
    if (this.#left < 1) return false
    this.#left--
    return true
  }

  #refill(): void {
    const nowMs = this.#nowMs()
    // A wall clock that was set back must not close the budget for that long.
    const passedMs = Math.max(0, nowMs - this.#filledMs)
    this.#left = Math.min(this.#perSecond, this.#left + passedMs * this.#perSecond / 1000)
    this.#filledMs = nowMs
  }
}
