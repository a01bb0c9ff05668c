import { describe, expect, it } from 'vitest'
import { cidrOf } from './cidr.ts'
import { FlowRules, NO_IDENTITY } from './flow-rules.ts'
import type { FlowIdentity, Verdict } from './flow-rules.ts'
import type { Flow } from '../policy.ts'
import { parsePorts } from './ports.ts'
import type { PortRange } from './ports.ts'

const ZONES = ['external', 'unzoned', 'a', 'b', 'c']

/** A flow from `from > to port,port [executable]`. */
function flow(text: string, line: number): Flow {
  const [from, , to, ports = '', exe] = text.split(' ')
  return {
    from, to, line, column: 1, reason: 'r',
    ports: ports === '' ? [] : ports.split(',').map((one) => parsePorts(one) as PortRange),
    executables: exe === undefined ? [] : [{ text: exe, line, column: 1 }],
    serviceAccounts: [], fromCidrs: [], toDns: [],
  }
}

function judge(
  flows: string[], from: string, to: string,
  port = 443, protocol = 'tcp', exe: string | null = '/x',
): Verdict {
  const rules = new FlowRules(flows.map((text, index) => flow(text, index + 1)), ZONES, 2)
  return rules.judge(ZONES.indexOf(from), ZONES.indexOf(to), port, protocol, exe)
}

describe('flows', () => {
  it('are not asked within a zone, nor where no end is in the policy', () => {
    expect(judge([], 'a', 'a').because).toBe('same_zone')
    expect(judge([], 'external', 'unzoned'))
      .toMatchObject({ because: 'outside_policy', allowed: true })
    expect(judge([], 'unzoned', 'external').allowed).toBe(true)
  })

  it('deny what none of them allows, also to and from the outside', () => {
    const pairs = [['a', 'b'], ['a', 'external'], ['external', 'a'], ['unzoned', 'a'],
      ['a', 'unzoned']]
    for (const [from, to] of pairs) {
      expect(judge([], from, to)).toMatchObject({ allowed: false, because: 'no_flow', flow: null })
    }
  })

  it('have a direction, ports and protocols', () => {
    expect(judge(['a > b 443'], 'a', 'b').flow?.line).toBe(1)
    expect(judge(['a > b 443'], 'b', 'a').allowed).toBe(false)
    expect(judge(['a > b 443'], 'a', 'b', 444).allowed).toBe(false)
    expect(judge(['a > b 80-90,443/udp'], 'a', 'b', 90).allowed).toBe(true)
    expect(judge(['a > b 80-90,443/udp'], 'a', 'b').allowed).toBe(false)
    expect(judge(['a > b any/rdma'], 'a', 'b', 0, 'rdma').allowed).toBe(true)
    expect(judge(['a > b'], 'a', 'b', 0, 'vsock').allowed).toBe(true)
  })

  it('with any stand for every zone, the outside too, and yield to closer ones', () => {
    expect(judge(['any > b'], 'external', 'b').allowed).toBe(true)
    expect(judge(['a > any'], 'a', 'external').allowed).toBe(true)
    expect(judge(['any > any 53'], 'unzoned', 'c', 53).allowed).toBe(true)
    expect(judge(['any > any 53'], 'unzoned', 'c', 54).allowed).toBe(false)
    expect(judge(['any > any', 'any > b', 'a > any', 'a > b'], 'a', 'b').flow?.line).toBe(4)
    expect(judge(['a > any'], 'b', 'c').allowed).toBe(false)
  })

  it('with executables allow only these', () => {
    expect(judge(['a > b 443 /opt/*'], 'a', 'b', 443, 'tcp', '/opt/x').allowed).toBe(true)
    expect(judge(['a > b 443 /opt/*'], 'a', 'b', 443, 'tcp', '/bin/nc').allowed).toBe(false)
  })

  it('with executables let an unknown one pass and say so, unless another flow is sure', () => {
    expect(judge(['a > b 443 /opt/*'], 'a', 'b', 443, 'tcp', null))
      .toMatchObject({ allowed: true, identityUnknown: true, because: 'flow' })
    expect(judge(['a > b 443 /opt/*', 'a > b 443'], 'a', 'b', 443, 'tcp', null))
      .toMatchObject({ identityUnknown: false, flow: { line: 2 } })
    expect(judge(['a > b 443 /opt/*'], 'a', 'b', 80, 'tcp', null).allowed).toBe(false)
  })

  const bytes = (text: string): Uint8Array => cidrOf(text).bytes
  const ask = (conditions: Partial<Flow>, exe: string | null, identity?: FlowIdentity): Verdict => {
    const rules = new FlowRules([{ ...flow('a > b 443', 1), ...conditions }], ZONES, 2)
    return rules.judge(2, 3, 443, 'tcp', exe, identity)
  }
  const patterns = (...texts: string[]) => texts.map((text) => ({ text, line: 1, column: 1 }))

  it('with service accounts allow only these pods; no pod is none of them, an unknown one passes', () => {
    const only = { serviceAccounts: patterns('etl/loader', 'etl-*/runner') }
    const as = (serviceAccount: string | null): Verdict => ask(only, '/x', { ...NO_IDENTITY, serviceAccount })
    expect(as('etl/loader')).toMatchObject({ allowed: true, identityUnknown: false })
    expect(as('etl-2/runner').allowed).toBe(true)
    expect(as('etl/other').allowed).toBe(false)
    expect(as('').allowed).toBe(false)
    expect(as(null)).toMatchObject({ allowed: true, identityUnknown: true })
  })

  it('with a source range allow only addresses in it', () => {
    const only = { fromCidrs: patterns('10.99.0.0/16', 'fd99::/16') }
    const from = (text: string): Verdict => ask(only, '/x', { ...NO_IDENTITY, from: bytes(text) })
    expect(from('10.99.3.4').allowed).toBe(true)
    expect(from('fd99::1').allowed).toBe(true)
    expect(from('10.98.255.255').allowed).toBe(false)
    expect(from('10.100.0.0').allowed).toBe(false)
    expect(ask(only, '/x')).toMatchObject({ allowed: true, identityUnknown: true })
    expect(ask({ fromCidrs: patterns('::/0') }, '/x', { ...NO_IDENTITY, from: bytes('10.0.0.1') }).allowed)
      .toBe(false)
  })

  it('with names allow only addresses that have one: who has none is not let pass', () => {
    const only = { toDns: patterns('*.hub.example') }
    const to = (...toNames: string[]): boolean => ask(only, '/x', { ...NO_IDENTITY, toNames }).allowed
    expect(to('cdn.eu.hub.example')).toBe(true)
    expect(to('evil.example', 'cdn.hub.example')).toBe(true)
    expect(to('hub.example')).toBe(false)
    expect(to('cdn.hub.example.evil.example')).toBe(false)
    expect(to()).toBe(false)
  })

  it('with several conditions need all of them', () => {
    const both = { serviceAccounts: patterns('etl/loader'), executables: patterns('/opt/*') }
    const loader = { ...NO_IDENTITY, serviceAccount: 'etl/loader' }
    expect(ask(both, '/opt/load', loader).allowed).toBe(true)
    expect(ask(both, '/bin/sh', loader).allowed).toBe(false)
    expect(ask(both, '/bin/sh', NO_IDENTITY).allowed).toBe(false)
    expect(ask(both, null, loader).identityUnknown).toBe(true)
  })

  it('for any zone that are sure are preferred to closer ones that are not', () => {
    expect(judge(['a > b 443 /opt/*', 'a > any 443'], 'a', 'b', 443, 'tcp', null))
      .toMatchObject({ identityUnknown: false, flow: { line: 2 } })
  })

  it('know ICMP of both families by one word', () => {
    expect(judge(['a > b any/icmp'], 'a', 'b', 0, 'icmp').allowed).toBe(true)
    expect(judge(['a > b any/icmp'], 'a', 'b', 0, 'icmpv6').allowed).toBe(true)
    expect(judge(['a > b any/tcp'], 'a', 'b', 0, 'icmp').allowed).toBe(false)
  })
})
