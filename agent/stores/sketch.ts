// How many distinct files a process read, out of what the kernel's sketch of them says. Pure.

/** Registers of the kernel's HyperLogLog (bpf/lib/store). */
const registers = 4096
const zerosShift = 48n
const sumMask = (1n << zerosShift) - 1n
const sumUnit = 2 ** 32
/** 1 / (2 ln 2). */
const alpha = 1 / (2 * Math.LN2)
const filesMax = 2 ** 40

/**
 * The estimate for the state `registers at zero << 48 | sum of 2^(32 - register)`, by the estimator
 * of Ertl (2017, "New cardinality estimation algorithms for HyperLogLog sketches"), which needs no
 * other formula for few files. Standard error 1.6%.
 */
export function filesOfSketch(state: bigint): number {
  const zeros = Number(state >> zerosShift)
  const sum = Number(state & sumMask) / sumUnit
  if (zeros >= registers) return 0
  const weight = registers * sigma(zeros / registers) + Math.max(0, sum - zeros)
  return Math.min(filesMax, Math.round(alpha * registers * registers / weight))
}

/** x + Σ x^(2^k) 2^(k-1), for x from 0 to below 1. */
function sigma(x: number): number {
  let [sum, power, factor] = [x, x, 1]
  for (let before = -1; sum !== before; factor *= 2) {
    power *= power
    before = sum
    sum += power * factor
  }
  return sum
}
