import { generateKeyPairSync } from 'node:crypto'
import { expect, it } from 'vitest'
import { parsePolicy } from '../parse.ts'
import { policyChanges } from './changes.ts'

const policy = (text: string) => parsePolicy(`version: 1\n${text}`).policy!
const told = (before: string, after: string): string[] =>
  policyChanges(policy(before), policy(after))
    .map(({ part, change, name, what }) => `${change} ${part} ${name}: ${what}`)

const BASE = `zones:
  - name: a
    exposure: public
    match: { cidrs: [10.1.0.0/16, 10.3.0.0/16], namespaces: [team-a] }
  - { name: b, exposure: internal, match: { node_groups: [gpu] } }
flows:
  - { from: a, to: b, ports: [443/tcp, 80/tcp], executables: [/usr/bin/x], reason: r }
  - { from: external, to: a, reason: r }
`

it('order, reasons and comments are no differences', () => {
  const other = `flows:
  # Now first.
  - { from: external, to: a, reason: another }
  - { from: a, to: b, executables: [/usr/bin/x], ports: [80/tcp, 443/tcp], reason: other }
zones:
  - { name: b, exposure: internal, match: { node_groups: [gpu] } }
  - name: a
    exposure: public
    match: { namespaces: [team-a], cidrs: [10.3.0.0/16, 10.1.0.0/16] }
`
  expect(told(BASE, other)).toEqual([])
  expect(told(BASE, BASE)).toEqual([])
})

it('zones differ by exposure and patterns, flows by what they let pass', () => {
  const after = BASE.replace('exposure: public', 'exposure: protected')
    .replace('10.3.0.0/16', '10.4.0.0/16').replace('[443/tcp, 80/tcp]', '[443/tcp]')
  expect(told(BASE, after)).toEqual([
    'changed zone a: exposure public → protected; cidrs +10.4.0.0/16 -10.3.0.0/16',
    'added flow a > b: 443/tcp by /usr/bin/x',
    'removed flow a > b: 80/tcp, 443/tcp by /usr/bin/x',
  ])
})

it('what is there in one only was added or removed', () => {
  const more = `${BASE}  - { from: b, to: a, from_cidrs: [10.9.0.0/16], reason: r }
detectors:
  NET-003: { thresholds: { hosts: 40 }, mute: { reason: r, until: 2030-01-31T12:00:00Z } }
resolvers: [10.96.0.10]
`
  expect(told(BASE, more)).toEqual([
    'added flow b > a: every port from 10.9.0.0/16',
    'added detector NET-003: hosts 40, muted until 2030-01-31T12:00:00Z',
    'changed resolvers : +10.96.0.10',
  ])
  expect(told(more, BASE).map((line) => line.split(' ')[0]))
    .toEqual(['removed', 'removed', 'changed'])
  expect(told(BASE, '')).toHaveLength(4)
})

it('stores differ by where they are and by whom they are for', () => {
  const newKey = () => JSON.stringify(generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }))
  const key = newKey()
  const store = `stores:
  - name: llm
    kind: weights
    sensitivity: restricted
    paths: [/models/llm, /models/old]
    readers: { systemd_units: [vllm.service] }
    manifest: /models/llm/model.sig
    manifest_keys: [${key}]
`
  expect(told(store, store.replace('[/models/llm, /models/old]', '[/models/old, /models/llm]'))).toEqual([])
  const after = store.replace(', /models/old', '').replace('restricted', 'confidential')
    .replace('{ systemd_units: [vllm.service] }', '{ systemd_units: [vllm.service], executables: [/opt/vllm] }')
  expect(told(store, after)).toEqual(['changed store llm: sensitivity restricted → confidential; '
    + 'paths -/models/old; readers executables +/opt/vllm'])
  const keyed = told(store, store.replace(key, newKey()))
  expect(keyed).toHaveLength(1)
  expect(keyed[0]).toMatch(/^changed store llm: manifest_keys [0-9a-f]{12} → [0-9a-f]{12}$/)
  expect(told('', store)[0]).toMatch(/^added store llm: kind weights; sensitivity restricted; paths \/models\/llm, /)
  expect(told(store, '')[0]).toMatch(/^removed store llm: /)
})
