import { describe, expect, it } from 'vitest'
import { FlowRules } from './flow-rules.ts'
import type { Verdict } from './flow-rules.ts'
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
})
