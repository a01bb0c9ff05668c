import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { NO_ZONE, compilePolicy } from './compile.ts'
import type { AddressFacts } from './match/address-rules.ts'
import { cidrOf } from './match/cidr.ts'
import { NO_IDENTITY } from './match/flow-rules.ts'
import type { FlowIdentity, Verdict } from './match/flow-rules.ts'
import type { ProcessFacts } from './match/process-rules.ts'
import { parsePolicy } from './parse.ts'

const TEXT = readFileSync(new URL('../deploy/policy/three-rules.yaml', import.meta.url), 'utf8')
const read = parsePolicy(TEXT)
const policy = compilePolicy(read.policy!)

const process = (facts: ProcessFacts): string => policy.zones[policy.zoneOfProcess(facts)] ?? 'none'
const address = (text: string, facts: AddressFacts = {}): string => {
  return policy.zones[policy.zoneOfNamed(cidrOf(text).bytes, 0, facts)]
}

/** Verdict on `from > to port[/protocol]`. */
function judge(pair: string, exe: string | null = '/bin/sh', identity: Partial<FlowIdentity> = {}): Verdict {
  const [from, , to, port] = pair.split(' ')
  const [number, protocol = 'tcp'] = port.split('/')
  const [source, target] = [policy.zones.indexOf(from), policy.zones.indexOf(to)]
  expect(source >= 0 && target >= 0).toBe(true)
  return policy.flowAllowed(source, target, Number(number), protocol, exe, { ...NO_IDENTITY, ...identity })
}
const allowed = (pair: string, exe?: string | null, identity?: Partial<FlowIdentity>): boolean => {
  return judge(pair, exe, identity).allowed
}
const others = (...but: string[]): string[] => {
  return policy.zones.filter((name) => !but.includes(name) && !name.startsWith('drill-'))
}

describe('the ready policy', () => {
  it('has nothing that vedette policy check would complain of', () => {
    expect(read.problems).toEqual([])
  })

  it('marks what has to be changed, and every flow of a rule says which rule', () => {
    expect(TEXT.match(/# <-/g)!.length).toBeGreaterThan(20)
    const rules = read.policy!.flows.map(({ reason }) => /^Rule ([123]):/.exec(reason)?.[1])
    expect(new Set(rules)).toEqual(new Set(['1', '2', '3', undefined]))
  })

  it('knows the planes by what Kubernetes, Slurm, units, node groups and addresses say', () => {
    expect(process({ slurm_partition: 'train-h100', exe: '/usr/bin/python3.12' })).toBe('training')
    expect(process({ systemd_unit: 'ssh.service', node_group: 'training' })).toBe('training')
    expect(process({ systemd_unit: 'slurmd.service', node_group: 'training' })).toBe('orchestration')
    expect(process({ namespace: 'inference', node_group: 'training' })).toBe('inference')
    expect(process({ systemd_unit: 'vllm@1.service' })).toBe('inference')
    expect(process({ node_labels: ['node-role.kubernetes.io/control-plane='] })).toBe('orchestration')
    expect(address('10.20.3.4', { namespace: 'inference', inside: true })).toBe('inference')
    expect(address('10.20.3.4')).toBe('training')
    expect(address('203.0.113.4', { dns_names: ['cdn-lfs.hf.co'] })).toBe('model-source')
    expect(address('203.0.113.4', { dns_names: ['hf.co.evil.example'] })).toBe('external')
  })
})

describe('rule 1, training plane isolation', () => {
  it('lets orchestration hosts in, on the ports of their trade', () => {
    for (const port of [22, 6818, 10250]) expect(allowed(`orchestration > training ${port}`)).toBe(true)
    expect(allowed('orchestration > training 8080')).toBe(false)
  })

  it('lets nobody else in, on any port', () => {
    for (const from of others('training', 'orchestration')) {
      for (const port of ['22', '443', '2222', '6818', '10250', '4791/rdma', '53/udp']) {
        expect(judge(`${from} > training ${port}`).because, `${from} ${port}`).toBe('no_flow')
      }
    }
  })

  it('lets training reach storage and its controllers, and nothing outside', () => {
    for (const port of ['2049', '9000', '4791/rdma']) expect(allowed(`training > storage ${port}`)).toBe(true)
    expect(allowed('training > orchestration 6817')).toBe(true)
    for (const to of ['external', 'inference', 'pipelines', 'model-source']) {
      expect(allowed(`training > ${to} 443`), to).toBe(false)
    }
    expect(allowed('training > storage 22')).toBe(false)
  })
})

describe('rule 2, inference DMZ', () => {
  it('lets users in on one port', () => {
    expect(allowed('external > inference 443')).toBe(true)
    for (const port of ['22', '80', '8000', '10250', '443/udp']) {
      expect(allowed(`external > inference ${port}`), port).toBe(false)
    }
  })

  it('lets model servers call out for updates, and never be called into from there', () => {
    expect(allowed('inference > model-source 443')).toBe(true)
    expect(allowed('inference > external 443')).toBe(false)
    for (const to of others('model-source', 'external', 'unzoned')) {
      expect(allowed(`model-source > ${to} 443`), to).toBe(false)
    }
  })

  it('lets the model server read weights, and no other program or account of the DMZ', () => {
    const triton = '/opt/tritonserver/bin/tritonserver'
    const server = { serviceAccount: 'inference/model-server' }
    expect(judge('inference > storage 9000', triton, server)).toMatchObject({ allowed: true, identityUnknown: false })
    expect(allowed('inference > storage 9000', '/bin/sh', server)).toBe(false)
    expect(allowed('inference > storage 9000', triton, { serviceAccount: 'inference/default' })).toBe(false)
    expect(allowed('inference > storage 9000', triton, { serviceAccount: '' })).toBe(false)
    expect(allowed('inference > storage 2049', triton, server)).toBe(false)
  })
})

describe('rule 3, data pipeline segmentation', () => {
  it('lets named pipelines write, and no other pod of their namespace', () => {
    const as = (serviceAccount: string): boolean => allowed('pipelines > storage 9000', '/bin/x', { serviceAccount })
    expect(as('data-pipelines/loader-images')).toBe(true)
    expect(as('data-pipelines/default')).toBe(false)
    expect(as('other/loader-images')).toBe(false)
  })

  it('lets data in over the VPN, and from nowhere else', () => {
    const from = (text: string): boolean => {
      return allowed('external > pipelines 443', null, { from: cidrOf(text).bytes })
    }
    expect(from('10.99.7.7')).toBe(true)
    expect(from('203.0.113.7')).toBe(false)
    expect(from('10.98.7.7')).toBe(false)
  })

  it('lets only the named readers reach storage', () => {
    const readers = ['training', 'inference', 'pipelines', 'orchestration']
    for (const from of others('storage', ...readers)) {
      for (const port of ['9000', '2049', '443', '4791/rdma']) {
        expect(allowed(`${from} > storage ${port}`), `${from} ${port}`).toBe(false)
      }
    }
    expect(allowed('pipelines > training 22')).toBe(false)
    for (const to of others('storage', 'orchestration')) expect(allowed(`storage > ${to} 443`), to).toBe(false)
  })
})

it('name service does not open the control plane to the outside', () => {
  expect(allowed('training > orchestration 53/udp')).toBe(true)
  expect(allowed('external > orchestration 53/udp')).toBe(false)
  expect(allowed('unzoned > orchestration 53')).toBe(false)
})

it('only Prometheus itself reaches the exporters of every plane', () => {
  const prometheus = { serviceAccount: 'monitoring/prometheus' }
  expect(allowed('orchestration > training 9400', '/bin/prometheus', prometheus)).toBe(true)
  expect(allowed('orchestration > training 9400', '/bin/x', { serviceAccount: 'kube-system/x' })).toBe(false)
  expect(policy.nearZone(NO_ZONE, cidrOf('10.40.0.9').bytes, 0)).toBe(policy.zones.indexOf('orchestration'))
})
