import { describe, expect, it } from 'vitest'
import { compilePolicy } from '../compile.ts'
import { parsePolicy } from '../parse.ts'

function rulesOf(yaml: string) {
  const { policy, problems } = parsePolicy(`version: 1\n${yaml}`)
  expect(problems).toEqual([])
  return compilePolicy(policy!).gpus
}

function problemsOf(yaml: string): string[] {
  return parsePolicy(`version: 1\n${yaml}`).problems
    .map((one) => `${one.severity} ${one.line}:${one.column} ${one.path}: ${one.message}; ${one.fix}`)
}

describe('what a policy says of GPUs', () => {
  it('judges nobody where it says nothing', () => {
    const rules = rulesOf('')
    expect(rules.mayUse({ exe: '/usr/bin/python3' })).toBeNull()
    expect(rules.mayAdminister({ exe: '/usr/bin/nvidia-smi' })).toBeNull()
    expect(rules.inMaintenance(0, 'training')).toBeNull()
    expect(rules.baselineOf('training')).toBeNull()
    expect(rules.confidentialComputing).toBe(false)
  })

  it('names who may use and who may administer them; administrators may use them, too', () => {
    const rules = rulesOf(`gpus:
  users: { namespaces: [team-*], slurm_partitions: [gpu] }
  administrators: { systemd_units: [nvidia-persistenced.service], service_accounts: [gpu-operator/nvidia-driver] }`)
    expect(rules.mayUse({ workload: 'pod:team-a/llm-0', namespace: 'team-a' })).toBe(true)
    expect(rules.mayUse({ workload: 'job:4711', slurm_partition: 'gpu' })).toBe(true)
    expect(rules.mayUse({ workload: 'pod:web/front-0', namespace: 'web' })).toBe(false)
    expect(rules.mayAdminister({ workload: 'pod:team-a/llm-0', namespace: 'team-a' })).toBe(false)
    const operator = { workload: 'pod:gpu-operator/d', service_account: 'gpu-operator/nvidia-driver' }
    expect([rules.mayAdminister(operator), rules.mayUse(operator)]).toEqual([true, true])
    expect(rules.mayAdminister({ systemd_unit: 'nvidia-persistenced.service' })).toBe(true)
  })

  it('has windows for changes, of all nodes or of some', () => {
    const rules = rulesOf(`gpus:
  maintenance:
    - { from: 2030-01-31T22:00:00Z, until: 2030-02-01T02:00:00Z, reason: new driver, node_groups: [gpu-*] }
    - { from: 2030-03-01T00:00:00+01:00, until: 2030-03-01T01:00:00+01:00, reason: firmware }`)
    const at = (time: string, group: string) => rules.inMaintenance(Date.parse(time), group)
    expect(at('2030-01-31T22:00:00Z', 'gpu-a')).toBe(true)
    expect(at('2030-02-01T02:00:00Z', 'gpu-a')).toBe(false)
    expect(at('2030-02-01T01:00:00Z', 'storage')).toBe(false)
    expect(at('2030-02-28T23:30:00Z', 'storage')).toBe(true)
  })

  it('gives a node the first baseline that is for its group', () => {
    const rules = rulesOf(`gpus:
  baselines:
    - { file: h100.yaml, node_groups: [training] }
    - { file: rest.yaml }
  confidential_computing: required`)
    expect([rules.baselineOf('training'), rules.baselineOf('inference')]).toEqual(['h100.yaml', 'rest.yaml'])
    expect(rules.confidentialComputing).toBe(true)
  })

  it('that is wrong is pointed at, with what to write', () => {
    const window = (from: string, until: string) =>
      problemsOf(`gpus:\n  maintenance:\n    - { from: ${from}, until: ${until}, reason: x }`)
    expect(window('2030-01-02T00:00:00Z', '2030-01-01T00:00:00Z'))
      .toEqual(['error 4:7 gpus.maintenance[0]: this window ends before it begins; write a time after from: as until:'])
    expect(window('2030-02-30T00:00:00Z', '2030-03-01T00:00:00Z')[0])
      .toMatch(/^error 4:15 gpus\.maintenance\[0\]\.from: "2030-02-30T00:00:00Z" is not in the calendar/)
    expect(problemsOf('gpus:\n  users: { cidrs: [10.0.0.0/8] }')[0]).toMatch(/^error 3:12 gpus\.users/)
    expect(problemsOf('gpus:\n  baseline_keys: [abc]')[0]).toMatch(/write the public key in PEM/)
    expect(problemsOf('gpus:\n  baselines: [{ node_groups: [a] }]')[0]).toMatch(/file/)
    expect(problemsOf('gpus:\n  confidential_computing: yes')[0]).toMatch(/confidential_computing/)
  })
})
