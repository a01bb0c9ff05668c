import { describe, expect, it } from 'vitest'
import { parsePolicy } from '../../parse.ts'
import { withStoreLines } from './merge.ts'

const LINES = ['    # Why.', '    readers:', '      systemd_units: [a.service]']
const readersOf = (text: string): (string[] | null)[] => {
  const { policy, problems } = parsePolicy(text)
  expect(problems).toEqual([])
  return policy!.stores.map(({ readers }) => readers?.match.systemd_units.map((one) => one.text) ?? null)
}
const store = (name: string, indent = '  '): string =>
  ['- name: ', '  kind: dataset', '  sensitivity: internal', `  paths: [/data/${name}]`]
    .map((line) => indent + line.replace('name: ', `name: ${name}`)).join('\n')

describe('what was learned of stores', () => {
  it('goes to the end of the entry of each, and nothing else changes', () => {
    const text = `version: 1\nstores:\n${store('one')}  # a comment\n\n  # The second.\n${store('two')}\n\nflows: []\n`
    const merged = withStoreLines(text, new Map([['one', LINES], ['two', LINES], ['none', LINES]]))
    expect(readersOf(merged)).toEqual([['a.service'], ['a.service']])
    expect(merged.split('\n').filter((line) => !LINES.includes(line))).toEqual(text.split('\n'))
    expect(withStoreLines(text, new Map())).toBe(text)
  })

  it('is as deep as the entry, also at the end of a text without a line break', () => {
    const merged = withStoreLines(`version: 1\nstores:\n${store('one', '      ')}`, new Map([['one', LINES]]))
    expect(readersOf(merged)).toEqual([['a.service']])
    expect(merged).toContain('\n        readers:\n          systemd_units: [a.service]\n')
    expect(readersOf(withStoreLines(`version: 1\nstores:\n${store('one', '')}\n`, new Map([['one', LINES]]))))
      .toEqual([['a.service']])
  })

  it('stands as comments above an entry that has no room', () => {
    const entry = '  - { name: one, kind: dataset, sensitivity: internal, paths: [/d] }\n'
    const merged = withStoreLines(`version: 1\nstores:\n${entry}`, new Map([['one', LINES]]))
    expect(merged).toBe(`version: 1\nstores:\n  # Why.\n  # readers:\n  #   systemd_units: [a.service]\n${entry}`)
    expect(readersOf(merged)).toEqual([null])
    expect(withStoreLines('version: 1\n', new Map([['one', LINES]]))).toBe('version: 1\n')
  })
})
