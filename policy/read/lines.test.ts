import { describe, expect, it } from 'vitest'
import { Lines } from './lines.ts'

describe('lines', () => {
  it('count from one, with the line break on the line that it ends', () => {
    const lines = new Lines('ab\r\nc\n')
    expect(lines.count).toBe(3)
    expect(lines.positionAt(0)).toEqual({ line: 1, column: 1 })
    expect(lines.positionAt(3)).toEqual({ line: 1, column: 4 })
    expect(lines.positionAt(4)).toEqual({ line: 2, column: 1 })
    expect(lines.positionAt(6)).toEqual({ line: 3, column: 1 })
    expect([1, 2, 3].map((line) => lines.lineText(line))).toEqual(['ab', 'c', ''])
  })

  it('give the nearest place for an offset outside of the text, and no text for no line', () => {
    const lines = new Lines('ab')
    expect(lines.positionAt(-1)).toEqual({ line: 1, column: 1 })
    expect(lines.positionAt(99)).toEqual({ line: 1, column: 3 })
    expect(lines.positionAt(Number.NaN)).toEqual({ line: 1, column: 1 })
    expect(lines.lineText(0)).toBe('')
    expect(lines.lineText(2)).toBe('')
    expect(new Lines('').positionAt(0)).toEqual({ line: 1, column: 1 })
  })
})
