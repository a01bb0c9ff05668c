import { describe, expect, it } from 'vitest'
import { Lines } from './lines.ts'
import { childPath, readTree } from './tree.ts'
import type { Tree } from './tree.ts'

const tree = (text: string): Tree => readTree(text, new Lines(text))

describe('the YAML tree', () => {
  it('keeps the place of every key and value', () => {
    const { value, root, problems } = tree('a: 1\nb:\n  - x\n  - { c: true }\n')
    expect(problems).toEqual([])
    expect(JSON.parse(JSON.stringify(value))).toEqual({ a: 1, b: ['x', { c: true }] })
    const list = root.children.get('b')!
    expect(list.keyAt).toEqual({ line: 2, column: 1 })
    expect(list.children.get(1)!.children.get('c')).toMatchObject({
      keyAt: { line: 4, column: 7 }, at: { line: 4, column: 10 },
    })
  })

  it('puts an empty value where its key is', () => {
    const { root } = tree('a:\nb: ~\n')
    expect(root.children.get('a')!.at).toEqual({ line: 1, column: 1 })
    expect(root.children.get('b')!.at).toEqual({ line: 2, column: 4 })
  })

  it('follows an alias to the value that it repeats', () => {
    const { value, problems } = tree('a: &nets [10.0.0.0/8]\nb: *nets\n')
    expect(problems).toEqual([])
    expect(value).toMatchObject({ b: ['10.0.0.0/8'] })
  })

  it('reports a key that is there twice, at the second one, and keeps the first value', () => {
    const { value, problems } = tree('a: 1\na: 2\n')
    expect(problems).toMatchObject([{ line: 2, column: 1, path: 'a' }])
    expect(value).toMatchObject({ a: 1 })
  })

  it('says that a pattern with a star at its start wants quotes', () => {
    expect(tree('a: **/curl\n').problems)
      .toMatchObject([{ column: 4, fix: 'put a pattern in quotes: "**/curl"' }])
    expect(tree('a: [*, b]\n').problems[0].fix).toContain('quotes')
  })

  it('reports tabs, a second document, tags, and keys that are no words', () => {
    expect(tree('a:\n\tb: 1\n').problems).toMatchObject([{ line: 2, fix: 'write spaces' }])
    expect(tree('a: 1\n---\nb: 1\n').problems).toMatchObject([{ line: 2, column: 1 }])
    expect(tree('a: !thing 1\n').problems).toMatchObject([{ line: 1, column: 4 }])
    for (const text of ['? [a]\n: 1\n', '? {a: 1}\n: 1\n', '~: 1\n', `${'k'.repeat(200)}: 1\n`]) {
      expect(tree(text).problems, text).toMatchObject([{ message: 'this cannot be a key' }])
    }
  })

  it('reports the slip and not every token that follows it', () => {
    const rest = 'c: [1, 2, 3]\n'.repeat(20)
    expect(tree(`a: 1\n  b: 2\n${rest}`).problems).toHaveLength(1)
    expect(tree(`a: [1\nb: 2\n${rest}`).problems[0]).toMatchObject({ line: 2, column: 1 })
  })

  it('has no prototype to reach through a key', () => {
    const { value, root } = tree('__proto__: { polluted: 1 }\n')
    expect(Object.getPrototypeOf(value)).toBeNull()
    expect(root.children.has('__proto__')).toBe(true)
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  it('stops at depth, at size, at alias bombs and at aliases that hold themselves', () => {
    const nested = `${'['.repeat(18)}${']'.repeat(18)}`
    expect(tree(nested).problems[0].message).toContain('nested too deeply')
    expect(tree('['.repeat(20_000)).problems[0].line).toBe(1)
    expect(tree('a: &a [*a, *a]\n').problems[0].message).toContain('nested too deeply')
    const bomb = ['a0: &a0 x']
    for (let i = 1; i < 14; i++) bomb.push(`a${i}: &a${i} [${`*a${i - 1}, `.repeat(9)}]`)
    expect(tree(bomb.join('\n')).problems).toHaveLength(1)
    expect(tree(`[${'1, '.repeat(60_000)}]`).problems[0].message).toContain('50000 values')
  })

  it('accepts what is just within depth and size', () => {
    expect(tree(`${'['.repeat(17)}${']'.repeat(17)}`).problems).toEqual([])
    expect(tree(`[${'1, '.repeat(49_999)}]`).problems).toEqual([])
  })

  it('writes paths with brackets where a key is no plain word', () => {
    expect(childPath('', 'a')).toBe('a')
    expect(childPath('a', 'NET-003')).toBe('a.NET-003')
    expect(childPath('a', 'x y"')).toBe('a["x y\\""]')
    expect(childPath('a', 'k'.repeat(500)).length).toBeLessThan(80)
  })
})
