import { describe, expect, it } from 'vitest'
import { compilePolicy, EXTERNAL, NO_ZONE, UNZONED } from '../compile.ts'
import type { CompiledPolicy } from '../compile.ts'
import { learningPolicy } from '../learning.ts'
import { parsePolicy } from '../parse.ts'
import { parseCidr } from './cidr.ts'
import type { Cidr } from './cidr.ts'
import { DRILL_SOURCE_CIDR, DRILL_TARGET_CIDR, drillEnd } from './drill-ranges.ts'

const address = (text: string): Uint8Array => (parseCidr(text) as Cidr).bytes
const source = address('192.0.2.1')
const target = address('198.51.100.1')
const learning = compilePolicy(learningPolicy())

function policyWith(text: string): CompiledPolicy {
  return compilePolicy(parsePolicy(`version: 1\n${text}`).policy!)
}

/** Zone names of both ends and the verdict, as the end at `near` sees an outgoing connection. */
function judge(
  policy: CompiledPolicy, near: Uint8Array, far: Uint8Array, processZone = NO_ZONE,
): [from: string, to: string, allowed: boolean] {
  const from = policy.nearZone(processZone, near, 0, far, 0)
  const to = policy.farZone(processZone, near, 0, far, 0)
  return [policy.zones[from], policy.zones[to],
    policy.flowAllowed(from, to, 7, 'tcp', '/bin/nc').allowed]
}

describe('the drill ranges', () => {
  it('are a violation even under the learning policy, seen from both ends', () => {
    expect(judge(learning, source, target)).toEqual(['drill-source', 'drill-target', false])
    expect(judge(learning, target, source)).toEqual(['drill-target', 'drill-source', false])
  })

  it('mean nothing when only one end has such an address', () => {
    for (const other of ['8.8.8.8', '10.0.0.1', '192.0.3.9', '198.51.101.1', '2001:db8::1']) {
      expect(judge(learning, source, address(other))).toEqual(['unzoned', 'external', true])
      expect(judge(learning, address(other), target)[2]).toBe(true)
    }
    expect(learning.nearZone(NO_ZONE, source, 0)).toBe(UNZONED)
    expect(learning.zoneOfAddress(target, 0)).toBe(EXTERNAL)
  })

  it('are all that a policy that only learns has to look at', () => {
    const other = address('10.0.0.1')
    expect(learning.mayCross(source, 0, target, 0)).toBe(true)
    expect(learning.mayCross(source, 0, other, 0)).toBe(false)
    const lab = policyWith(
      'zones:\n  - { name: lab, exposure: internal, match: { cidrs: [10.0.0.0/8] } }\n')
    expect(lab.mayCross(other, 0, other, 0)).toBe(true)
  })

  it('cannot be opened by a flow, and no process rule hides them', () => {
    const open = policyWith('zones:\n' +
      '  - { name: all, exposure: internal, match: { executables: ["/**"] } }\n' +
      'flows:\n  - { from: "any", to: "any", reason: everything is allowed }\n')
    const all = open.zones.indexOf('all')
    expect(judge(open, source, target, all)).toEqual(['drill-source', 'drill-target', false])
    expect(judge(open, address('10.0.0.1'), target, all)).toEqual(['all', 'external', true])
  })

  it('belong to a site that names them', () => {
    for (const cidr of [DRILL_SOURCE_CIDR, DRILL_TARGET_CIDR]) {
      const lab = policyWith(
        `zones:\n  - { name: lab, exposure: internal, match: { cidrs: [${cidr}] } }\n`)
      expect(judge(lab, source, target)).toContain('lab')
      expect(judge(lab, source, target)).not.toContain('drill-source')
    }
  })

  it('keep their names to themselves', () => {
    for (const name of ['drill-source', 'drill-target']) {
      const { problems } = parsePolicy('version: 1\nzones:\n' +
        `  - { name: ${name}, exposure: internal, match: { cidrs: [10.0.0.0/8] } }\n`)
      expect(problems[0].message).toContain('built-in')
      const flow = parsePolicy(
        `version: 1\nflows:\n  - { from: ${name}, to: "any", reason: a drill }\n`)
      expect(flow.problems[0]).toMatchObject({ severity: 'error' })
      expect(flow.problems[0].message).toContain('drill')
    }
  })

  it('are IPv4 only: the same bytes in an IPv6 address are none', () => {
    const six = Uint8Array.from(source)
    six[0] = 0x20
    expect(drillEnd(six, 0, target, 0)).toBeNull()
    const unmapped = Uint8Array.from(target)
    unmapped[10] = 0
    expect(drillEnd(source, 0, unmapped, 0)).toBeNull()
  })

  it('are read at an offset', () => {
    const both = new Uint8Array(40)
    both.set(source, 3)
    both.set(target, 19)
    expect(drillEnd(both, 3, both, 19)).toBe('source')
    expect(drillEnd(both, 19, both, 3)).toBe('target')
    expect(drillEnd(both, 3, both, 3)).toBeNull()
  })
})
