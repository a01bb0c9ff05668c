import { describe, expect, it } from 'vitest'
import { compilePolicy } from './compile.ts'
import { explainConnection } from './explain.ts'
import type { EndFacts, Explanation } from './explain.ts'
import { cidrOf } from './match/cidr.ts'
import { parsePolicy } from './parse.ts'

const TEXT = `version: 1
resolvers: [10.96.0.10]
zones:
  - { name: a, exposure: public, match: { namespaces: [a], cidrs: [10.1.0.0/16] } }
  - { name: b, exposure: protected, match: { cidrs: [10.2.0.0/16] } }
  - { name: hub, exposure: public, match: { dns_names: ["*.hub.example"] } }
flows:
  - { from: a, to: b, ports: [443], executables: [/opt/x], service_accounts: [a/good], reason: r }
  - { from: "any", to: b, ports: [9100], from_cidrs: [10.99.0.0/16], reason: scrape }
`
const policy = compilePolicy(parsePolicy(TEXT).policy!)

const end = (address: string | null, over: Partial<EndFacts> = {}): EndFacts => {
  return { process: null, address: address === null ? null : cidrOf(address).bytes, named: {}, ...over }
}
const explain = (from: EndFacts, to: EndFacts, port = 443): Explanation => {
  return explainConnection(policy, from, to, port, 'tcp')
}
const B = end('10.2.0.1')

describe('an explanation', () => {
  it('names the line that decided each zone, and says so where none did', () => {
    const { from, to } = explain(end('10.9.9.9'), B)
    expect(from).toMatchObject({ zone: 'external', rule: null, why: 'no zone of the policy holds the address' })
    expect(to).toMatchObject({ zone: 'b', exposure: 'protected', rule: { matcher: 'cidrs', line: 5 } })
    const pod = explain(end('10.2.0.7', { process: { namespace: 'a', exe: '/bin/sh' } }), B)
    expect(pod.from).toMatchObject({ zone: 'a', rule: { matcher: 'namespaces', text: 'a', line: 4 } })
  })

  it('tells an end with a process from one that is only an address', () => {
    expect(explain(end('10.9.9.9', { process: { exe: '/bin/x' } }), B).from.zone).toBe('unzoned')
    expect(explain(end(null, { process: { exe: '/bin/x' } }), B).from.zone).toBe('unzoned')
    expect(explain(end('10.9.9.9', { named: { inside: true } }), B).from)
      .toMatchObject({ zone: 'unzoned', why: expect.stringContaining('of the cluster') })
  })

  it('says of each flow for the two zones what does not fit', () => {
    const fails = (from: Partial<EndFacts>, port = 443): string[][] => {
      return explain(end('10.1.0.1', from), B, port).flows.map((one) => one.fails)
    }
    const process = { namespace: 'a', exe: '/bin/sh', service_account: 'a/bad' }
    expect(fails({ process })).toEqual([['executables', 'service_accounts'], ['ports', 'from_cidrs']])
    expect(fails({ process: { ...process, exe: '/opt/x' } }, 9100))
      .toEqual([['ports', 'service_accounts'], ['from_cidrs']])
  })

  it('says by which flow it is allowed, and whether that is certain', () => {
    const process = { namespace: 'a', exe: '/opt/x', service_account: 'a/good' }
    expect(explain(end('10.1.0.1', { process }), B))
      .toMatchObject({ allowed: true, flow: { line: 8 }, identityUnknown: false, missing: '' })
    expect(explain(end('10.1.0.1'), B)).toMatchObject({ allowed: true, identityUnknown: true })
  })

  it('writes the flow that is missing', () => {
    const process = { namespace: 'a', exe: '/bin/sh', service_account: 'a/x' }
    const { missing } = explain(end('10.1.0.1', { process }), B)
    const after = compilePolicy(parsePolicy(TEXT.replace('flows:\n', `flows:\n${missing}`)).policy!)
    const [a, b] = ['a', 'b'].map((name) => after.zones.indexOf(name))
    expect(after.flowAllowed(a, b, 443, 'tcp', '/bin/sh').allowed).toBe(true)
  })

  it('knows names without an address, and that nothing allows a drill', () => {
    expect(explain(B, end(null, { named: { dns_names: ['x.hub.example'] } })).to)
      .toMatchObject({ zone: 'hub', rule: { matcher: 'dns_names' } })
    expect(explain(end('192.0.2.1'), end('198.51.100.1')))
      .toMatchObject({ allowed: false, missing: '', flows: [], from: { zone: 'drill-source' } })
  })

  it('takes zones that were found already as they are, on one node too', () => {
    const b = policy.zones.indexOf('b')
    const { from, to, because } = explain(end('127.0.0.1', { zone: b }), end('127.0.0.1', { zone: b }))
    expect([from.zone, to.zone, because]).toEqual(['b', 'b', 'same_zone'])
    expect(to.why).toContain('on one node')
  })
})
