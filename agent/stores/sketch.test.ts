import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { filesOfSketch } from './sketch.ts'

/** The sketch as the probe keeps it: 4,096 registers, the position of the first set bit. */
function stateOf(files: number, seed: string): bigint {
  const registers = new Uint8Array(4096)
  for (let file = 0; file < files; file++) {
    const hash = createHash('md5').update(`${seed} ${file}`).digest()
    const index = hash.readUInt16LE(0) & 4095
    registers[index] = Math.max(registers[index], Math.clz32(hash.readUInt32LE(4)) + 1)
  }
  let [zeros, sum] = [0n, 0n]
  for (const register of registers) {
    if (register === 0) zeros++
    if (register <= 32) sum += 1n << BigInt(32 - register)
  }
  return zeros << 48n | sum
}

describe('the sketch of distinct files', () => {
  it('is nothing without files, and exact for some', () => {
    expect(filesOfSketch(stateOf(0, 'a'))).toBe(0)
    expect(filesOfSketch(stateOf(1, 'a'))).toBe(1)
    expect(filesOfSketch(stateOf(20, 'a'))).toBe(20)
  })

  it.each([100, 1000, 8000, 10_000, 12_000, 20_000, 100_000])('is within 5% for %i files', (files) => {
    for (const seed of files > 20_000 ? ['a'] : ['a', 'b', 'c']) {
      expect(Math.abs(filesOfSketch(stateOf(files, seed)) / files - 1)).toBeLessThan(0.05)
    }
  })

  it('gives a number for every state, also one that no sketch can have', () => {
    for (const state of [0n, 1n, 4095n << 48n, 4096n << 48n, 2n ** 64n - 1n, (1n << 48n) - 1n]) {
      const files = filesOfSketch(state)
      expect(Number.isSafeInteger(files) && files >= 0).toBe(true)
    }
  })
})
