import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { formatProblems } from './check.ts'
import { compilePolicy } from './compile.ts'
import { PROBLEMS_MAX, parsePolicy } from './parse.ts'

const EXAMPLE = readFileSync(
  new URL('../deploy/policy/vedette.example.yaml', import.meta.url), 'utf8')
const ROUNDS = 500

const SPLICES = ['\t', ': ', '- ', '[', ']', '{', '}', '*', '&a ', '*a', '|', '>', '"', "'", '#',
  '!!x ', '---\n', '\n', '\r', '\0', '\ufeff', '\ud800', '💥', '<<: ', '? ', '0', '-1', '1e999',
  '.nan', 'null',
  '99999999999999999999', '::', '/33', '__proto__: ', '  ', '%YAML 9\n', 'any', '**']

/** Seeded random numbers below `below` (xorshift32), so that a failure repeats. */
function random(seed: number): (below: number) => number {
  let state = seed | 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

/** Cuts, doubles, moves and splices pieces of the example. */
function mutate(next: (below: number) => number): string {
  let text = EXAMPLE.slice(0, 200 + next(EXAMPLE.length))
  for (let i = next(6) + 1; i > 0; i--) {
    const at = next(text.length + 1)
    const piece = text.slice(at, at + next(40))
    const to = next(text.length + 1)
    const choice = next(4)
    if (choice === 0) text = text.slice(0, at) + text.slice(at + piece.length)
    else if (choice === 1) text = text.slice(0, to) + piece + text.slice(to)
    else if (choice === 2) text = text.slice(0, at) + SPLICES[next(SPLICES.length)] + text.slice(at)
    else text = text.slice(0, at) + SPLICES[next(SPLICES.length)] + text.slice(at + 1)
  }
  return text
}

describe('a mutated policy', () => {
  it('never throws, and every problem is at a place inside of the text', () => {
    let good = 0
    for (let round = 0; round < ROUNDS; round++) {
      const text = mutate(random(round * 2654435761))
      const where = `round ${round}`
      const result = parsePolicy(text, { nowMs: 0 })
      const lines = text.replace(/^\ufeff/, '').split('\n')
      for (const { line, column, message, fix } of result.problems) {
        if (!(line >= 1 && line <= lines.length)) expect.fail(`${where}: line ${line}`)
        if (!(column >= 1 && column <= lines[line - 1].length + 1)) {
          expect.fail(`${where}: column ${line}:${column}`)
        }
        if (message === '' || fix === '') expect.fail(`${where}: nothing to say at ${line}`)
      }
      expect(result.problems.length, where).toBeLessThanOrEqual(PROBLEMS_MAX)
      const failed = result.problems.some((problem) => problem.severity === 'error')
      expect(failed, where).toBe(result.policy === null)
      formatProblems('vedette.yaml', text, result)
      if (result.policy !== null) {
        good++
        compilePolicy(result.policy)
      }
    }
    // The mutations must reach both sides.
    expect(good).toBeGreaterThan(ROUNDS / 50)
    expect(good).toBeLessThan(ROUNDS / 2)
  })
})
