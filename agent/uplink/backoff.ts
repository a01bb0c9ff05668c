/** How long to wait before the next attempt, ms: doubles up to a bound, with jitter. Pure. */
export function backoffMs(attempt: number, random: number): number {
  const wholeMs = Math.min(backoffMsMax, backoffMsMin * 2 ** Math.min(attempt, 20))
  // At least half: thousands of agents must not come back to a correlator in step.
  return wholeMs / 2 + random * wholeMs / 2
}

const backoffMsMin = 200
const backoffMsMax = 10_000
