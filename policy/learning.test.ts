import { describe, expect, it } from 'vitest'
import { compilePolicy } from './compile.ts'
import { isLearning, learningPolicy } from './learning.ts'
import { parsePolicy } from './parse.ts'

describe('the learning policy', () => {
  it('makes nothing a violation', () => {
    const compiled = compilePolicy(learningPolicy())
    expect(compiled.learning).toBe(true)
    expect(compiled.zones).toEqual(['external', 'unzoned', 'drill-source', 'drill-target'])
    for (const from of [0, 1]) {
      for (const to of [0, 1]) {
        expect(compiled.flowAllowed(from, to, 22, 'tcp', '/bin/nc').allowed).toBe(true)
      }
    }
  })

  it('is a text that reads back as itself, as replay does', () => {
    const policy = learningPolicy()
    expect(parsePolicy(policy.text)).toEqual({ policy, problems: [], unlisted: 0 })
  })

  it('is told from a policy that has a zone', () => {
    expect(isLearning(learningPolicy())).toBe(true)
    const { policy } = parsePolicy(
      'version: 1\nzones: [{ name: a, exposure: public, match: { cidrs: [1.2.3.4] } }]\n')
    expect(isLearning(policy!)).toBe(false)
  })
})
