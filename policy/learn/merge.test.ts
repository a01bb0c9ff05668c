import { expect, it } from 'vitest'
import { parsePolicy } from '../parse.ts'
import { withEntries } from './merge.ts'

const zone = ['  # Seen.', '  - name: b', '    exposure: internal', '    match:',
  '      cidrs: [10.2.0.0/16]']
const flow = ['  - from: a', '    to: b', '    reason: Seen.']
const base = `# Mine.
version: 1

zones:
  - name: a   # the first
    exposure: public
    match:
      cidrs: [10.1.0.0/16]

# What may pass.
flows:
  - { from: external, to: a, reason: r }
`

it('entries go to the ends of their lists, and nothing else changes', () => {
  const merged = withEntries(base, { zones: zone, flows: flow })!
  const { policy, problems } = parsePolicy(merged)
  expect(problems).toEqual([])
  expect(policy!.zones.map(({ name }) => name)).toEqual(['a', 'b'])
  expect(policy!.flows.map(({ to }) => to)).toEqual(['a', 'b'])
  for (const line of base.split('\n')) expect(merged.split('\n')).toContain(line)
  expect(merged.indexOf('# Seen.')).toBeLessThan(merged.indexOf('# What may pass.'))
})

it('a list that is not there is made, and one that is indented otherwise is followed', () => {
  const none = withEntries('version: 1', { zones: zone, flows: [] })!
  expect(parsePolicy(none).policy!.zones.map(({ name }) => name)).toEqual(['b'])
  const flush = 'version: 1\nzones:\n- name: a\n  exposure: public\n  match: { cidrs: [10.1.0.0/16] }'
  const merged = withEntries(flush, { zones: zone, flows: flow })!
  expect(parsePolicy(merged).policy!.zones.map(({ name }) => name)).toEqual(['a', 'b'])
  expect(merged).toContain('\n- name: b\n  exposure: internal\n')
})

it('a list with [ ] or a map with { } has no place for more', () => {
  expect(withEntries('version: 1\nzones: []\n', { zones: zone, flows: [] })).toBeNull()
  expect(withEntries('{ version: 1 }', { zones: zone, flows: [] })).toBeNull()
})

it('nothing to add leaves the text as it is', () => {
  expect(withEntries(base, { zones: [], flows: [] })).toBe(base)
})
