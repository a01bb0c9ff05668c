import { describe, expect, it } from 'vitest'
import { entriesOf, entryOf, listOf, patternsOf, problemAt, textOf } from './cursor.ts'
import type { Cursor } from './cursor.ts'
import { Lines } from './lines.ts'
import { readTree } from './tree.ts'

function cursor(text: string): Cursor {
  const { value, root } = readTree(text, new Lines(text))
  return { value, located: root, path: '' }
}

describe('a cursor', () => {
  it('walks lists and maps with places and paths', () => {
    const root = cursor('a:\n  - b: x\n  - b: y\n')
    const second = listOf(entryOf(root, 'a'))[1]
    expect(second.path).toBe('a[1]')
    expect(textOf(second, 'b')).toBe('y')
    const problem = problemAt(entryOf(second, 'b')!, 'warning', 'm', 'f')
    expect(problem).toEqual(
      { severity: 'warning', line: 3, column: 8, path: 'a[1].b', message: 'm', fix: 'f' })
    expect(entriesOf(root).map(([key]) => key)).toEqual(['a'])
  })

  it('passes over what has another type, and over nothing at all', () => {
    const root = cursor('a: 1\nb: [x, 2, [y]]\n')
    expect(listOf(entryOf(root, 'a'))).toEqual([])
    expect(entriesOf(entryOf(root, 'b'))).toEqual([])
    expect(patternsOf(entryOf(root, 'b'))).toEqual([{ text: 'x', line: 2, column: 5 }])
    expect(textOf(root, 'a')).toBeNull()
    expect(entryOf(null, 'a')).toBeNull()
    expect(listOf(null)).toEqual([])
  })
})
