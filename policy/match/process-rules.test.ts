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

  it('is what the orchestrator says before anything that the container chooses', () => {
    const found = rules(
      'executables: [/usr/sbin/slurmctld]', 'namespaces: [team-*]', 'labels: [app=llm]',
      'service_accounts: [team-a/runner]', 'workloads: ["pod:team-a/llm-*"]', 'cgroup_paths: ["/**"]')
    const facts = {
      exe: '/usr/sbin/slurmctld', cgroup_path: '/kubepods/x', namespace: 'team-a', labels: ['app=llm'],
      service_account: 'team-a/runner', workload: 'pod:team-a/llm-0',
    }
    const decidedBy = (over: object): string | undefined => found.find({ ...facts, ...over })?.matcher
    expect(decidedBy({})).toBe('workloads')
    expect(decidedBy({ workload: 'pod:team-a/other' })).toBe('service_accounts')
    expect(decidedBy({ workload: '', service_account: 'team-a/default' })).toBe('labels')
    expect(decidedBy({ workload: '', service_account: '', labels: ['app=x'] })).toBe('namespaces')
    // Another team may call its pods and labels as it likes.
    expect(decidedBy({ workload: 'pod:evil/llm-0', service_account: '', labels: [], namespace: 'evil' }))
      .toBe('executables')
  })

  it('is that of a job before its executable, and of the node last of all', () => {
    const found = rules('slurm_partitions: [train*]', 'slurm_users: [alice]', 'executables: [/bin/x]',
      'systemd_units: [sshd.service]', 'node_groups: [gpu]', 'node_labels: [rack=7]')
    expect(found.find({ slurm_partition: 'train-big', exe: '/bin/x' })?.zone).toBe(0)
    expect(found.find({ slurm_partition: 'train-big', slurm_user: 'alice' })?.zone).toBe(1)
    expect(found.find({ exe: '/bin/x', node_group: 'gpu' })?.zone).toBe(2)
    expect(found.find({ systemd_unit: 'sshd.service', node_group: 'gpu' })?.zone).toBe(3)
    expect(found.find({ exe: '/bin/y', node_group: 'gpu' })?.zone).toBe(4)
    expect(found.find({ exe: '/bin/y', node_group: 'gpu', node_labels: ['rack=7'] })?.zone).toBe(5)
    expect(found.find({ exe: '/bin/y', node_partitions: ['debug', 'train'] })?.zone).toBe(0)
  })

  it('is what a job says of itself only where nobody else says anything', () => {
    const found = rules('slurm_partitions: [admin]', 'node_groups: [gpu]')
    const claim = { slurm_partition: 'admin', slurm_self_told: true }
    expect(found.find({ ...claim, node_group: 'gpu' })?.zone).toBe(1)
    expect(found.find(claim)?.zone).toBe(0)
    expect(found.find({ ...claim, slurm_self_told: false, node_group: 'gpu' })?.zone).toBe(0)
  })

  it('is that of the selector with more parts', () => {
    const found = rules('labels: ["app=a-very-long-application-name"]',
      'labels: ["app=a-very-long-application-name,x=1"]')
    expect(found.find({ labels: ['app=a-very-long-application-name', 'x=1'] })?.zone).toBe(1)
    expect(found.find({ labels: ['app=a-very-long-application-name'] })?.zone).toBe(0)
  })
})
