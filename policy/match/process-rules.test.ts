import { describe, expect, it } from 'vitest'
import { parsePolicy } from '../parse.ts'
import { FactRules } from './fact-rules.ts'
import { ProcessRules } from './process-rules.ts'

function rules(...matches: string[]): ProcessRules {
  const zones = matches.map((match, index) => {
    return `  - { name: z${index}, exposure: internal, match: { ${match} } }\n`
  })
  const { policy, problems } = parsePolicy(`version: 1\nzones:\n${zones.join('')}`)
  expect(problems).toEqual([])
  return new ProcessRules(new FactRules(policy!.zones, 0))
}

describe('the zone of a process', () => {
  it('is decided by its executable, then its unit, then its cgroup', () => {
    const found = rules('cgroup_paths: [/a/**]', 'systemd_units: [b.service]', 'executables: [/c]')
    const facts = { exe: '/c', systemd_unit: 'b.service', cgroup_path: '/a/b.service' }
    expect(found.find(facts))
      .toMatchObject({ zone: 2, matcher: 'executables', text: '/c', line: 5 })
    expect(found.find({ ...facts, exe: '/d' })).toMatchObject({ zone: 1 })
    expect(found.find({ cgroup_path: facts.cgroup_path })).toMatchObject({ zone: 0 })
  })

  it('is that of the most specific pattern, whatever the order in the file', () => {
    const wideFirst = rules('executables: ["/opt/**"]', 'executables: [/opt/vllm/*]')
    const wideLast = rules('executables: [/opt/vllm/*]', 'executables: ["/opt/**"]')
    expect(wideFirst.find({ exe: '/opt/vllm/server' })?.zone).toBe(1)
    expect(wideLast.find({ exe: '/opt/vllm/server' })?.zone).toBe(0)
    expect(wideFirst.find({ exe: '/opt/vllm/bin/server' })?.zone).toBe(0)
  })

  it('is that of the first pattern in the file among equally specific ones', () => {
    const found = rules('executables: [/a/*b]', 'executables: [/a*/b]', 'executables: [/a/b*]')
    expect(found.find({ exe: '/a/b' })?.zone).toBe(0)
  })

  it('is none when nothing matches or nothing is known', () => {
    const found = rules('executables: ["/**"], systemd_units: ["*"], cgroup_paths: ["/**"]')
    expect(found.find({})).toBeNull()
    expect(found.find({ exe: null, systemd_unit: '', cgroup_path: undefined })).toBeNull()
    expect(found.find({ exe: 'relative' })).toBeNull()
  })
})
