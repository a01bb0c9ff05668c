import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parseCidr } from './match/cidr.ts'
import type { Cidr } from './match/cidr.ts'
import { EXTERNAL, NO_ZONE, UNZONED, compilePolicy } from './compile.ts'
import { parsePolicy } from './parse.ts'

const EXAMPLE = readFileSync(
  new URL('../deploy/policy/vedette.example.yaml', import.meta.url), 'utf8')

const policy = compilePolicy(parsePolicy(EXAMPLE).policy!)
const address = (text: string): Uint8Array => (parseCidr(text) as Cidr).bytes
const zone = (name: string): number => policy.zones.indexOf(name)

describe('a compiled policy', () => {
  it('numbers the built-in zones first, then those of the file, then those of drills', () => {
    expect(policy.zones).toEqual(['external', 'unzoned', 'ingestion', 'training', 'inference',
      'orchestration', 'storage', 'drill-source', 'drill-target'])
    expect(policy.exposures[zone('storage')]).toBe('protected')
    expect(policy.exposures[EXTERNAL]).toBe('public')
    expect(policy.exposures).toHaveLength(policy.zones.length)
  })

  it('knows the zone of an address, and the rule and line that decided', () => {
    const row = new Uint8Array(32)
    row.set(address('10.30.1.2'), 16)
    expect(policy.zoneOfAddress(row, 16)).toBe(zone('inference'))
    const rule = policy.explainAddress(row, 16)!
    expect(rule).toMatchObject({ matcher: 'cidrs', text: '10.30.0.0/16', zone: zone('inference') })
    expect(EXAMPLE.split('\n')[rule.line - 1].slice(rule.column - 1)).toMatch(/^10\.30\.0\.0\/16/)
    expect(policy.zoneOfAddress(address('fd00:50::9'), 0)).toBe(zone('storage'))
    expect(policy.zoneOfAddress(address('8.8.8.8'), 0)).toBe(EXTERNAL)
    expect(policy.explainAddress(address('8.8.8.8'), 0)).toBeNull()
  })

  it('knows the zone of a process, and the rule that decided', () => {
    const cgroup = '/system.slice/slurmstepd.scope/job_1'
    const slurmctld = { exe: '/usr/sbin/slurmctld', cgroup_path: cgroup }
    expect(policy.zoneOfProcess(slurmctld)).toBe(zone('orchestration'))
    expect(policy.explainProcess(slurmctld)).toMatchObject({ matcher: 'executables' })
    expect(policy.zoneOfProcess({ ...slurmctld, exe: '/usr/bin/python3' })).toBe(zone('training'))
    expect(policy.zoneOfProcess({ systemd_unit: 'vllm@7.service' })).toBe(zone('inference'))
    expect(policy.zoneOfProcess({ exe: '/bin/sh' })).toBe(NO_ZONE)
  })

  it('puts the near end into the zone of its process, else of its address, else unzoned', () => {
    expect(policy.nearZone(zone('storage'), address('10.20.0.1'), 0)).toBe(zone('storage'))
    expect(policy.nearZone(NO_ZONE, address('10.20.0.1'), 0)).toBe(zone('training'))
    expect(policy.nearZone(NO_ZONE, address('192.0.2.1'), 0)).toBe(UNZONED)
    expect(policy.nearZone(NO_ZONE, address('127.0.0.1'), 0)).toBe(UNZONED)
  })

  it('puts the far end into the zone of its address, or of the peer where that is known', () => {
    const near = address('10.30.0.1')
    const far = (text: string, peer?: number): number => {
      return policy.farZone(zone('inference'), near, 0, address(text), 0, peer)
    }
    expect(far('10.50.0.1')).toBe(zone('storage'))
    expect(far('192.0.2.1')).toBe(EXTERNAL)
    expect(far('10.50.0.1', zone('orchestration'))).toBe(zone('orchestration'))
  })

  it('keeps loopback and own address within one zone while one process is not known', () => {
    const training = zone('training')
    for (const text of ['127.0.0.1', '::1', '0.0.0.0', '::', '10.20.0.1']) {
      const far = address(text)
      const near = text === '10.20.0.1' ? address(text) : address('127.0.0.1')
      expect(policy.farZone(training, near, 0, far, 0), text).toBe(training)
      expect(policy.farZone(NO_ZONE, near, 0, far, 0, training), text)
        .toBe(policy.nearZone(NO_ZONE, near, 0))
    }
  })

  it('sees a crossing on loopback when both processes are known, the same from both ends', () => {
    const loopback = address('127.0.0.1')
    const [inference, storage] = [zone('inference'), zone('storage')]
    expect(policy.farZone(inference, loopback, 0, loopback, 0, storage)).toBe(storage)
    expect(policy.farZone(storage, loopback, 0, loopback, 0, inference)).toBe(inference)
  })

  it('says which flow allows, and which rule was missing where none does', () => {
    const triton = '/opt/tritonserver/bin/tritonserver'
    const [inference, storage] = [zone('inference'), zone('storage')]
    const allowed = policy.flowAllowed(inference, storage, 9000, 'tcp', triton)
    expect(EXAMPLE.split('\n')[allowed.flow!.line - 1]).toBe('  - from: inference')
    expect(policy.flowAllowed(inference, storage, 9000, 'tcp', '/bin/sh').allowed).toBe(false)
    const entry = policy.missingFlow(inference, storage, 9000, 'tcp', '/bin/sh')
    const amended = EXAMPLE.replace('\nflows:\n', `\nflows:\n${entry}`)
    const after = compilePolicy(parsePolicy(amended).policy!)
    expect(after.flowAllowed(inference, storage, 9000, 'tcp', '/bin/sh').allowed).toBe(true)
    expect(after.sha256).not.toBe(policy.sha256)
  })

  it('carries detector settings by id', () => {
    const text = 'version: 1\ndetectors:\n  NET-003: { thresholds: { hosts: 9 } }\n'
    const { detectors } = compilePolicy(parsePolicy(text).policy!)
    expect(detectors.get('NET-003')?.thresholds[0]).toMatchObject({ name: 'hosts', value: 9 })
    expect(detectors.get('NET-001')).toBeUndefined()
  })
})
