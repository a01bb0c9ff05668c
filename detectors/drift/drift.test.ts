import { describe, expect, it } from 'vitest'
import type { ExampleEvent } from '../../detect/detector.ts'
import { Engine } from '../../detect/engine.ts'
import { batchesOf, eventsOf } from '../../detect/example.ts'
import type { Incident } from '../../detect/incident.ts'
import { parsePolicy } from '../../policy/parse.ts'
import { inPod, maintainer, ofUnit } from '../gpu/example-actors.ts'
import { detectors } from '../index.ts'
import { baseline, baselinePolicy, changed, gpu, lost, otherGpu, told } from './samples.ts'

const ours = detectors.filter(({ id }) => /^GPU-00[1-6]$/.test(id))
const kmod = ofUnit(500, '/usr/bin/kmod', 'ssh.service')

function incidentsOf(events: readonly ExampleEvent[], policy?: string): Incident[] {
  const engine = new Engine({ detectors: ours })
  batchesOf(eventsOf({ policy, events: [...events] })).forEach((batch, i) => engine.ingest(batch, i))
  return engine.incidents()
}

const start = [told(0, 'driver', 'version', '570.124.06'), told(0, 'driver', 'registry', '""'),
  told(0, gpu, 'gsp_firmware_version', '570.124.06'), told(0, gpu, 'ecc_mode', 'enabled'),
  told(0, 'firmware', 'file:/lib/firmware/nvidia/570.124.06/gsp_ga10x.bin', 'aa')]

describe('drift of the state of GPUs', () => {
  it('of one reload of the driver is one incident, which names who did it', () => {
    const incidents = incidentsOf([...start,
      // A file is changed, and nobody sees who writes files.
      changed(60_000, 'firmware', 'file:/lib/firmware/nvidia/570.124.06/gsp_ga10x.bin', ['aa', 'bb']),
      changed(62_000, 'driver', 'version', ['570.124.06', '535.104.05'], kmod),
      changed(62_000, 'driver', 'registry', ['""', 'RmDebug=1'], kmod),
      changed(63_000, gpu, 'gsp_firmware_version', ['570.124.06', '535.104.05'], kmod),
      changed(64_000, gpu, 'ecc_mode', ['enabled', 'disabled'])])
    expect(incidents.filter(({ state }) => state === 'open')).toHaveLength(1)
    const [{ findings, severity, nodes }] = incidents.filter(({ state }) => state === 'open')
    expect([severity, nodes]).toEqual(['high', ['node-1']])
    expect(findings.map(({ detector }) => detector).sort())
      .toEqual(['GPU-001', 'GPU-002', 'GPU-002', 'GPU-003'])
    const driver = findings.find(({ detector }) => detector === 'GPU-001')!
    expect(driver.summary).toContain('/usr/bin/kmod (pid 500, uid 0, workload ssh.service)')
    expect(driver.details).toMatchObject({
      actor_kind: 'kernel_module', actor_action: 'load nvidia', standing: 'unsaid',
      items: [{ item: 'version', old: '570.124.06', value: '535.104.05' }, { item: 'registry' }],
    })
  })

  it('of two nodes, or at two times, is not one incident', () => {
    const later = changed(2_000_000, 'driver', 'version', ['570.211.01', '570.124.06'])
    const elsewhere = [told(0, 'driver', 'version', '1', 'node-2'), told(1000, 'driver', 'version', '2', 'node-2')]
    const incidents = incidentsOf([...start,
      changed(1000, 'driver', 'version', ['570.124.06', '570.211.01'], kmod), ...elsewhere, later])
    expect(incidents.map(({ nodes, findings }) => [nodes, findings.length])).toEqual(
      [[['node-1'], 1], [['node-2'], 1], [['node-1'], 1]])
  })

  it('is told again with what a node of many GPUs adds, within bounds', () => {
    const many = Array.from({ length: 200 }, (_, i) => `gpu:GPU-${i}`)
    const events = [...many.map((one) => told(0, one, 'vbios_version', '1')),
      ...many.map((one) => changed(1000, one, 'vbios_version', ['1', '2'], kmod))]
    const [{ findings: [finding] }] = incidentsOf(events)
    expect(finding.summary).toContain('and 199 further items')
    expect((finding.details['items'] as unknown[]).length).toBe(64)
    expect(finding.details['items_unlisted']).toBe(136)
  })

  it('is worse by who did it and by what the baseline says', () => {
    const wanted = baseline(0, '  - {subject: driver, item: version, value: 570.124.06}\n')
    const severity = (events: ExampleEvent[], policy?: string) =>
      incidentsOf([...start, ...events], policy)[0]?.severity
    const version = (process?: typeof kmod) =>
      changed(9000, 'driver', 'version', ['570.124.06', '570.211.01'], process)
    expect(severity([version()])).toBe('medium')
    expect(severity([version(kmod)], baselinePolicy)).toBe('high')
    expect(severity([version(inPod(501, '/usr/bin/kmod'))])).toBe('high')
    expect(severity([version(maintainer)], baselinePolicy)).toBeUndefined()
    expect(severity([wanted, version(maintainer)], baselinePolicy)).toBe('medium')
    expect(severity([wanted, version(kmod)], baselinePolicy)).toBe('high')
    const back = (process: typeof kmod) => [
      told(500, 'driver', 'flavour', 'open'),
      baseline(600, '  - {subject: driver, item: flavour, value: proprietary}\n'),
      changed(2_000_000, 'driver', 'flavour', ['open', 'proprietary'], process)]
    const last = (process: typeof kmod) => incidentsOf(back(process), baselinePolicy).at(-1)!
    // The first one is the baseline's; what an administrator repairs is no second one.
    expect(last(maintainer).findings[0].summary).toContain('is not what it must be')
    expect([last(kmod).severity, last(kmod).findings[0].summary]).toEqual(
      ['low', expect.stringContaining('(as in the baseline h100)')])
  })

  it('without any reference never cries wolf', () => {
    const readings = ['unknown', 'not_supported'] as const
    const items = ['version', 'registry', 'flavour', 'param_x', 'module_nvidia_signed']
    const events = [...items.flatMap((item, i) => readings.map((reading, j) =>
      lost(i * 10 + j, 'driver', item, 'x', reading))),
    lost(90, gpu, 'vbios_version', 'x'), lost(91, otherGpu, 'ecc_mode', 'enabled', 'not_supported'),
    told(92, gpu, 'remapped_rows_correctable', '1'), told(93, gpu, 'remapped_rows_correctable', '2'),
    told(94, gpu, 'power_management_limit_mw', '1'), told(95, gpu, 'power_management_limit_mw', '2')]
    expect(incidentsOf(events)).toEqual([])
  })

  it('judges what has no class when a baseline names it', () => {
    const limit = '  - {subject: gpu, item: power_management_limit_mw, value: "700000"}\n'
    const [{ findings }] = incidentsOf([baseline(0, limit),
      told(1, gpu, 'power_management_limit_mw', '350000')], baselinePolicy)
    expect(findings.map(({ detector }) => detector)).toEqual(['GPU-002'])
  })

  it('waits for the group of a node before it takes a baseline for it', () => {
    const policy = baselinePolicy.replace('file: h100.yaml', 'file: h100.yaml, node_groups: [h100]')
    const events = [baseline(0, '  - {subject: driver, item: version, value: "9"}\n'), ...start]
    expect(incidentsOf(events, policy)).toEqual([])
    const seen = (node_group: string): ExampleEvent =>
      ({ kind: 'node_seen', at_ms: 10, values: { node_group } })
    expect(incidentsOf([...events, seen('a100'), seen('a100')], policy)).toEqual([])
    const [{ findings }] = incidentsOf([...events, seen('h100'), seen('h100')], policy)
    expect(findings.map(({ count }) => count)).toEqual([1])
  })

  it('is told of nodes that are known when the policy begins to require something', () => {
    const text = 'version: 1\ngpus:\n  confidential_computing: required\n'
    const [{ findings }] = incidentsOf([told(0, 'driver', 'conf_compute_feature', 'disabled'),
      { kind: 'policy_applied', at_ms: 10, node_id: 'correlator', values: { text, sha256: '01' } }])
    expect(findings[0].summary).toContain('conf_compute_feature: disabled')
  })

  it('is judged by another policy and its baselines in the place of those of the log', () => {
    const events = eventsOf({ policy: baselinePolicy, events: [
      baseline(0, '  - {subject: driver, item: version, value: "1"}\n'), told(1, 'driver', 'version', '1')] })
    const other = 'version: 1\nnode_class: x\nitems:\n  - {subject: driver, item: version, value: "2"}\n'
    const asked = { policyOverride: parsePolicy(baselinePolicy).policy!,
      baselines: [{ path: 'h100.yaml', sha256: '2', text: other, key_id: '' }] }
    const engine = new Engine({ detectors: ours, ...asked })
    batchesOf(events).forEach((batch, i) => engine.ingest(batch, i))
    expect(engine.incidents()[0].findings[0].summary).toContain('the baseline x wants 2')
    const live = new Engine({ detectors: ours })
    batchesOf(events).slice(0, 2).forEach((batch, i) => live.ingest(batch, i))
    const again = Engine.restore(live.snapshot(), { detectors: ours, ...asked })
    expect([...again.baselines.values()]).toEqual(['2 '])
  })

  it('makes text of a driver harmless', () => {
    const [{ findings: [{ summary }] }] = incidentsOf([told(0, 'driver', 'registry', 'a'),
      changed(1, 'driver', 'registry', ['a', `\u001b[2Jb\n${'x'.repeat(5000)}`])])
    expect(summary).not.toMatch(/[\u001b\n]/)
    expect(summary.length).toBeLessThan(500)
  })
})
