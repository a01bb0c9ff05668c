import { describe, expect, it } from 'vitest'
import { alignRows, wrap } from './table.ts'

const red = (text: string): string => `\x1b[31m${text}\x1b[39m`

describe('a table', () => {
  it('aligns columns and leaves no blanks at the end', () => {
    expect(alignRows([['a', 'bb', 'c'], ['aaa', 'b', '']], 100)).toEqual(['a    bb  c', 'aaa  b'])
  })

  it('cuts only the last column', () => {
    expect(alignRows([['name', 'a long text that goes on']], 16)).toEqual(['name  a long te…'])
  })

  it('is as wide with colours as without', () => {
    expect(alignRows([[{ text: 'bad', paint: red }, 'x'], ['longer', 'y']], 100)).toEqual(
      [`${red('bad')}     x`, 'longer  y'])
  })

  it('may be empty', () => {
    expect(alignRows([], 80)).toEqual([])
  })
})

describe('wrapped text', () => {
  it('breaks at blanks, and gives a long word a line of its own', () => {
    expect(wrap('one two three', 7)).toEqual(['one two', 'three'])
    expect(wrap('a veryverylongword b', 6)).toEqual(['a', 'veryverylongword', 'b'])
    expect(wrap('', 10)).toEqual([])
  })
})
