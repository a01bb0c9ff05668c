import { describe, expect, it } from 'vitest'
import { EXTERNAL, NO_ZONE, UNZONED, compilePolicy } from '../compile.ts'
import type { CompiledPolicy } from '../compile.ts'
import { parsePolicy } from '../parse.ts'
import type { AddressFacts } from './address-rules.ts'
import { cidrOf } from './cidr.ts'

const bytes = (text: string): Uint8Array => cidrOf(text).bytes

function policyOf(zones: Record<string, string>, rest = ''): CompiledPolicy {
  const lines = Object.entries(zones).map(([name, match]) => {
    return `  - { name: ${name}, exposure: internal, match: { ${match} } }\n`
  })
  const { policy, problems } = parsePolicy(`version: 1\n${rest}zones:\n${lines.join('')}`)
  expect(problems.filter(({ severity }) => severity === 'error')).toEqual([])
  return compilePolicy(policy!)
}

const policy = policyOf({
  net: 'cidrs: [10.0.0.0/8]', serving: 'namespaces: [serving]', front: '"labels": ["tier=front"]',
  training: 'node_groups: [gpu]', hub: '"dns_names": ["*.hub.example"]',
})
const zone = (text: string, facts: AddressFacts): string => {
  return policy.zones[policy.zoneOfNamed(bytes(text), 0, facts)]
}

describe('the zone of a named address', () => {
  it('is that of its pod, whatever range the address is in', () => {
    expect(zone('10.1.1.1', { namespace: 'serving', inside: true })).toBe('serving')
    expect(zone('10.1.1.1', { namespace: 'serving', labels: ['tier=front'], inside: true })).toBe('front')
    expect(policy.explainAddress(bytes('10.1.1.1'), 0, { namespace: 'serving' })?.matcher).toBe('namespaces')
  })

  it('is that of its node before the range, as for a process there', () => {
    expect(zone('10.1.1.1', { node_group: 'gpu', inside: true })).toBe('training')
    expect(policy.zoneOfProcess({ node_group: 'gpu' })).toBe(policy.zones.indexOf('training'))
  })

  it('is that of the range before any DNS name: a name server moves no address of ours', () => {
    expect(zone('10.1.1.1', { dns_names: ['cdn.hub.example'] })).toBe('net')
    expect(zone('203.0.113.9', { dns_names: ['cdn.hub.example'] })).toBe('hub')
    expect(zone('203.0.113.9', { dns_names: ['hub.example'] })).toBe('external')
  })

  it('is unzoned, not external, for a pod or node of the cluster in no zone', () => {
    expect(policy.zoneOfNamed(bytes('172.16.0.1'), 0, { namespace: 'x', inside: true })).toBe(UNZONED)
    expect(policy.zoneOfNamed(bytes('172.16.0.1'), 0, {})).toBe(EXTERNAL)
  })

  it('is taken by both ends where the process says nothing', () => {
    const [near, far] = [bytes('10.1.1.1'), bytes('10.2.2.2')]
    const serving = policy.zones.indexOf('serving')
    expect(policy.nearZone(NO_ZONE, near, 0, far, 0, serving)).toBe(serving)
    expect(policy.nearZone(policy.zones.indexOf('hub'), near, 0, far, 0, serving))
      .toBe(policy.zones.indexOf('hub'))
    expect(policy.farZone(NO_ZONE, near, 0, far, 0, NO_ZONE, NO_ZONE, serving)).toBe(serving)
    expect(policy.farZone(NO_ZONE, near, 0, near, 0, NO_ZONE, serving)).toBe(serving)
    expect(policy.nearZone(NO_ZONE, near, 0, far, 0, EXTERNAL)).toBe(UNZONED)
  })
})

describe('name servers', () => {
  it('are all believed while the policy names none', () => {
    expect(policy.believes(bytes('6.6.6.6'), 0)).toBe(true)
  })

  it('are believed only when the policy names them, once it names any', () => {
    const strict = policyOf({ net: 'cidrs: [10.0.0.0/8]' }, 'resolvers: [10.96.0.10, fd00::/16]\n')
    expect(strict.believes(bytes('10.96.0.10'), 0)).toBe(true)
    expect(strict.believes(bytes('fd00::53'), 0)).toBe(true)
    expect(strict.believes(bytes('10.96.0.11'), 0)).toBe(false)
  })
})
