/**
 * How many searches for paths a second of the watermark may cost: a flood of connections, by a
 * mistake or to hide one of them, must not hold up everybody. What is beyond is counted.
 */

export type SearchBudgetSnapshot = {
  secondMs: number
  certain: number
  plain: number
  skipped: number
}

/** For who acts for others for certain, or where no flow allows. */
const CERTAIN_MAX = 1000
/** For servers that only were asked by such a one. */
const PLAIN_MAX = 250

export class SearchBudget {
  /** Searches that were left out. */
  skipped = 0
  private secondMs = 0
  private certain = 0
  private plain = 0

  /** True when there may be one more search. */
  take(isCertain: boolean, nowMs: number): boolean {
    if (nowMs - this.secondMs >= 1000) {
      this.secondMs = nowMs
      this.certain = this.plain = 0
    }
    if (isCertain ? this.certain++ < CERTAIN_MAX : this.plain++ < PLAIN_MAX) return true
    this.skipped++
    return false
  }

  /** True when there may be none in this second. */
  isSpent(nowMs: number): boolean {
    return nowMs - this.secondMs < 1000 && this.certain >= CERTAIN_MAX && this.plain >= PLAIN_MAX
  }

  snapshot(): SearchBudgetSnapshot {
    const { secondMs, certain, plain, skipped } = this
    return { secondMs, certain, plain, skipped }
  }

  /** Takes over what `snapshot` gave. */
  restore(from: SearchBudgetSnapshot): void {
    this.secondMs = from.secondMs
    this.certain = from.certain
    this.plain = from.plain
    this.skipped = from.skipped
  }
}
