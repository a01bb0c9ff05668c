import { describe, expect, it } from 'vitest'
import { Lines } from './lines.ts'
import type { Problem } from '../policy.ts'
import schema from '../schema.json' with { type: 'json' }
import { schemaProblems } from './schema-problems.ts'
import { readTree } from './tree.ts'

const problems = (text: string): Problem[] => schemaProblems(readTree(text, new Lines(text)))
const brief = (text: string): string[] => {
  return problems(text).map(({ line, column, path, fix }) => `${line}:${column} ${path} => ${fix}`)
}

const ZONE = 'version: 1\nzones:\n  - name: a\n    exposure: public\n    match:\n'

describe('the schema', () => {
  it('accepts the least there is, and every kind of matcher', () => {
    expect(problems('version: 1\n')).toEqual([])
    expect(problems(`${ZONE}      cidrs: [10.0.0.0/8]
      cgroup_paths: [/a/**]
      systemd_units: [a.service, "b*"]
      executables: ["**/c", /d/*]
      workloads: ["pod:team-a/llm-*", "job:4711", "slurmd.service"]
      service_accounts: [team-a/runner, "team-*/default"]
      labels: [app=llm, "app.kubernetes.io/name=vllm, tier=*"]
      namespaces: [serving, "team-*"]
      slurm_users: [alice]
      slurm_partitions: [gpu-large, "gpu*"]
      node_labels: [node-role.kubernetes.io/control-plane=]
      node_groups: [gpu]
      dns_names: ["*.hub.example", Hub.Example]
resolvers: [10.96.0.10, "fd00::/64"]
flows:
  - { from: a, to: external, reason: r, service_accounts: [a/b], from_cidrs: [10.9.0.0/16], to_dns: ["*.hub.example"] }
  - { from: a, to: external, reason: r, ports: [1, 2-3, any/rdma, 53/udp, "65535"] }
detectors:
  NET-003: { thresholds: { a: 1, b: x, c: true }, mute: { reason: r, until: 2030-01-01T00:00:00Z } }
`)).toEqual([])
  })

  it('points at an unknown key itself and names the one that was meant', () => {
    expect(brief('version: 1\nzone: []\n')).toEqual(['2:1 zone => did you mean zones?'])
    expect(brief(`${ZONE}      cidr: [10.0.0.0/8]\n`))
      .toEqual(['6:7 zones[0].match.cidr => did you mean cidrs?'])
    expect(brief('version: 1\nsecrets: []\n'))
      .toEqual(['2:1 secrets => known here: version, resolvers, zones, flows, gpus, stores, detectors'])
  })

  it('points at the parent of what is missing and says what to write', () => {
    expect(brief('flows: []\n')).toEqual(['1:1  => write version: 1 at the top'])
    expect(brief('version: 1\nflows:\n  - to: a\n    from: b\n'))
      .toEqual(['3:5 flows[0] => write reason: and one sentence that says why'])
  })

  it('points at a wrong value, in a list too', () => {
    expect(brief('version: 1\nflows:\n  - { from: a, to: b, reason: r, ports: [1, 0, x, 1.5] }\n')
      .map((line) => line.split(' =>')[0])).toEqual(
      ['3:45 flows[0].ports[1]', '3:48 flows[0].ports[2]', '3:51 flows[0].ports[3]'])
    expect(brief('version: 2\n')).toEqual(['1:10 version => write 1'])
  })

  it('shows how to write a list, a text and a near word', () => {
    const flow = (rest: string): string[] => {
      return brief(`version: 1\nflows:\n  - { from: a, to: b, ${rest} }\n`)
        .map((line) => line.split('=> ')[1])
    }
    expect(flow('reason: r, ports: 443')).toEqual(['write [443]'])
    expect(flow('reason: 7')).toEqual(['write it in quotes: "7"'])
    expect(flow('reason: ""')).toEqual(['write one sentence that says why'])
    const zone = '{ name: a, exposure: Protcted, match: { cidrs: [::/0] } }'
    expect(brief(`version: 1\nzones:\n  - ${zone}\n`))
      .toEqual(['3:26 zones[0].exposure => did you mean protected?'])
  })

  it('refuses wildcards that globs do not know, and units and paths that can never match', () => {
    for (const line of ['executables: [curl]', 'executables: ["/bin/[ab]"]', 'executables: ["/a?"]',
      'systemd_units: [nginx]', 'systemd_units: ["a{b}.service"]', 'cgroup_paths: [a/b]']) {
      const found = problems(`${ZONE}      ${line}\n`)
      expect(found, line).toHaveLength(1)
      expect(found[0].fix).toContain('write')
    }
  })

  it('refuses names of detectors and zones that could not be one', () => {
    expect(brief('version: 1\ndetectors:\n  net_3: {}\n'))
      .toEqual(['3:3 detectors.net_3 => write the id of a detector, such as NET-003'])
    expect(problems(ZONE.replace('name: a', 'name: A B') + '      cidrs: [::/0]\n')).toHaveLength(1)
  })

  it('says what is wrong with a document that is no map', () => {
    expect(problems('')[0].message).toBe('the policy is empty')
    expect(problems('# nothing\n')[0].message).toBe('the policy is empty')
    expect(problems('- a\n')).toMatchObject([{ line: 1, column: 1 }])
  })

  it('describes every key, so that editors can help', () => {
    const bare: string[] = []
    const walk = (node: unknown, path: string): void => {
      if (typeof node !== 'object' || node === null) return
      for (const [key, child] of Object.entries(node)) {
        if (key === 'properties') {
          for (const [name, property] of Object.entries(child as Record<string, object>)) {
            if (!('description' in property)) bare.push(`${path}.${name}`)
          }
        }
        walk(child, `${path}.${key}`)
      }
    }
    walk(schema, '')
    expect(bare).toEqual([])
  })

  it('says how labels, accounts and names are written', () => {
    const wrong = (match: string): string => brief(`${ZONE}      ${match}\n`).join()
    expect(wrong('labels: [llm]')).toContain('write key=value, such as app=llm')
    expect(wrong('labels: ["app!=llm"]')).toContain('write key=value')
    expect(wrong('service_accounts: [runner]')).toContain('write namespace/name')
    expect(wrong('dns_names: [hub.example.]')).toContain('no last dot')
    expect(wrong('namespaces: [Team_A]')).toContain('write a namespace such as serving')
    expect(wrong('node_groups: ["gpu?"]')).toContain('only * is a wildcard')
    expect(wrong('workloads: [/bin/x]')).toContain('pod:team-a/llm-*')
    expect(wrong('namespace: [a]')).toContain('did you mean namespaces?')
  })
})
