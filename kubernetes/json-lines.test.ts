import { describe, expect, it } from 'vitest'
import { JsonLines } from './json-lines.ts'

describe('lines of JSON', () => {
  it('are the same wherever the network cuts them', () => {
    const text = Buffer.from('{"a":1}\n\n{"b":"ä€"}\n[3]\n')
    for (let size = 1; size <= text.length; size++) {
      const lines = new JsonLines()
      const found: unknown[] = []
      for (let at = 0; at < text.length; at += size) found.push(...lines.take(text.subarray(at, at + size)))
      expect(found).toEqual([{ a: 1 }, { b: 'ä€' }, [3]])
    }
  })

  it('that are too long or no JSON are counted, and those behind them are read', () => {
    const lines = new JsonLines(16)
    const found = [`{"long":"${'x'.repeat(40)}`, 'y"}\nno\n{"c":1}\n'].flatMap((text) =>
      lines.take(Buffer.from(text)))
    expect(found).toEqual([{ c: 1 }])
    expect(lines.malformed).toBe(2)
  })
})
