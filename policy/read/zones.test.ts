import { describe, expect, it } from 'vitest'
import { parsePolicy } from '../parse.ts'

/** Problems of zones given one per line, as `severity line message => fix`. */
function problems(...zones: string[]): string[] {
  const text = `version: 1\nzones:\n${zones.map((zone) => `  - ${zone}\n`).join('')}`
  return parsePolicy(text).problems.map((one) => {
    return `${one.severity} ${one.line} ${one.message} => ${one.fix}`
  })
}

const zone = (name: string, match: string): string => {
  return `{ name: ${name}, exposure: internal, match: { ${match} } }`
}

describe('zones', () => {
  it('may nest, share nothing, and use all matchers', () => {
    expect(problems(
      zone('a', 'cidrs: [10.0.0.0/8], executables: [/a]'),
      zone('b', 'cidrs: [10.1.0.0/16, "fd00::/8"], executables: [/a*]'),
    )).toEqual([])
  })

  it('need a name of their own', () => {
    expect(problems(zone('a', 'cidrs: [10.0.0.0/8]'), zone('a', 'cidrs: [11.0.0.0/8]')))
      .toEqual([expect.stringContaining('error 4 there is a zone a already, on line 3')])
    for (const name of ['any', 'external', 'unzoned']) {
      expect(problems(zone(name, 'cidrs: [10.0.0.0/8]')))
        .toEqual([expect.stringContaining('is a built-in zone')])
    }
  })

  it('with a CIDR that is none, or has host bits, are refused with what to write', () => {
    expect(problems(zone('a', 'cidrs: [10.0.0.1/8, 300.0.0.0/8]'))).toEqual([
      expect.stringContaining('=> write 10.0.0.0/8'), expect.stringContaining('is not an IPv4'),
    ])
  })

  it('cannot hold the same range as another one, however it is written', () => {
    expect(problems(zone('a', 'cidrs: ["2001:DB8:0::/48"]'), zone('b', 'cidrs: ["2001:db8::/48"]')))
      .toEqual([expect.stringContaining('error 4 zone a has the same address range, on line 3')])
    expect(problems(zone('a', 'cidrs: [1.2.3.4]'), zone('b', 'cidrs: [1.2.3.4/32]')))
      .toHaveLength(1)
  })

  it('cannot hold the same pattern as another one, but a unit is no executable', () => {
    expect(problems(zone('a', 'executables: [/a*]'), zone('b', 'executables: [/a*]')))
      .toEqual([expect.stringContaining('error 4 zone a has the same pattern')])
    expect(problems(zone('a', 'executables: [/a*]'), zone('b', 'cgroup_paths: [/a*]'))).toEqual([])
  })

  it('are warned about what is there twice and about loopback, and stay good', () => {
    const text = `version: 1\nzones:\n  - ${
      zone('a', 'cidrs: [10.0.0.0/8, 10.0.0.0/8, 127.0.0.1, "::1", 0.0.0.0/0, "::/0"]')}\n`
    const { policy, problems: found } = parsePolicy(text)
    expect(policy).not.toBeNull()
    expect(found.map((one) => one.severity)).toEqual(['warning', 'warning', 'warning'])
  })

  it('hold no more address ranges than the table', () => {
    const cidrs = (from: number): string => {
      const ranges = Array.from({ length: 3400 }, (_, i) => `${from}.${i >> 8}.${i & 255}.0/24`)
      return `cidrs: [${ranges.join(', ')}]`
    }
    expect(problems(zone('a', cidrs(1)), zone('b', cidrs(2)))).toEqual([])
    expect(problems(zone('a', cidrs(1)), zone('b', cidrs(2)), zone('c', cidrs(3))))
      .toEqual([expect.stringContaining('more than 10000 address ranges')])
  })

  it('cannot hold the same labels or name, however they are written', () => {
    expect(problems(zone('a', '"labels": ["x=1,y=2"]'), zone('b', '"labels": ["y=2, x=1"]')))
      .toEqual([expect.stringContaining('zone a has the same pattern')])
    expect(problems(zone('a', 'namespaces: [x]'), zone('b', 'node_groups: [x]'))).toEqual([])
  })

  it('by DNS names are warned of strange name servers, unless the policy says which to believe', () => {
    const text = `version: 1\nzones:\n  - ${zone('hub', 'dns_names: [Hub.Example]')}\n`
    const { policy, problems: found } = parsePolicy(text)
    expect(found).toMatchObject([{ severity: 'warning', line: 3, column: 59 }])
    expect(found[0].fix).toContain('write resolvers:')
    expect(policy?.zones[0].match.dns_names[0].text).toBe('hub.example')
    expect(parsePolicy(`${text}resolvers: [10.96.0.10]\n`).problems).toEqual([])
    const fixes = parsePolicy(`${text}resolvers: [10.96.0.1/8]\n`).problems.map(({ fix }) => fix)
    expect(fixes).toContain('write 10.0.0.0/8')
  })
})
