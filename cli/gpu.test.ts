import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startSample } from '../correlator/sample/sample-correlator.ts'
import type { ExampleEvent } from '../detect/detector.ts'
import { encodeEvents, eventsOf } from '../detect/example.ts'
import { baseline, baselinePolicy, changed, gpu, lost, otherGpu, told } from '../detectors/drift/samples.ts'
import { ofUnit } from '../detectors/gpu/example-actors.ts'
import { readBaseline } from '../gpu/baseline/baseline.ts'
import { checkSignature } from '../gpu/baseline/signature.ts'
import { SAMPLE_OPTIONS } from '../log/sample-log.ts'
import { openLog } from '../log/writer.ts'
import { jsonLines, run } from '../test/command-line.ts'
import { FakeNode } from '../test/gpu/node.ts'
import { hasCompiler, NvmlStandIn } from '../test/gpu/nvml.ts'

let data = ''
const file = (name: string): string => join(data, name)
const node = (node_id: string, version: string): ExampleEvent[] => [
  told(0, 'driver', 'version', version, node_id), told(0, 'driver', 'flavour', 'open', node_id),
  told(0, gpu, 'name', 'NVIDIA H100 80GB HBM3', node_id), told(0, otherGpu, 'name', 'NVIDIA H100 80GB HBM3', node_id),
  told(0, gpu, 'ecc_mode', 'enabled', node_id), told(0, gpu, 'serial', '123', node_id)]
const EVENTS = [
  baseline(0, '  - {subject: driver, item: version, value: 570.124.06}\n'
    + '  - {subject: gpu, item: ecc_mode, value: enabled}\n'),
  ...node('node-1', '570.124.06'), ...node('node-2', '570.124.06'),
  lost(500, gpu, 'remapped_rows_correctable', ''),
  changed(60_000, 'driver', 'version', ['570.124.06', '535.104.05'], ofUnit(9, '/usr/bin/kmod', 'ssh.service')),
]

beforeAll(async () => {
  data = mkdtempSync(join(tmpdir(), 'vedette-gpu-'))
  const log = openLog(file('log'), SAMPLE_OPTIONS)
  for (const bytes of encodeEvents(eventsOf({ policy: baselinePolicy, events: EVENTS }))) log.append(bytes)
  await log.close()
})
afterAll(() => rmSync(data, { recursive: true, force: true }))

describe('gpu', () => {
  it('shows a line per node with its verdict, and fails when one differs', async () => {
    const { code, stdout } = await run(['gpu', '--data', data])
    expect(code).toBe(1)
    const [head, ...lines] = stdout.trimEnd().split('\n')
    expect(head).toMatch(/^VERDICT +NODE +DRIVER +GPUS +BASELINE/)
    expect(lines[0]).toMatch(/^differs +node-1 +535\.104\.05 +2 × NVIDIA H100 80GB HBM3 +h100; 1 differ: version/)
    expect(lines[1]).toMatch(/^matches +node-2 +570\.124\.06/)
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(100)
    const one = await run(['gpu', '--data', data, '--node', 'node-2', '-o', 'json'])
    expect(one.code).toBe(0)
    expect(jsonLines(one.stdout)).toMatchObject([{ node_id: 'node-2', verdict: 'matches', driver_version: '570.124.06',
      flavour: 'open', gpus: [{ name: 'NVIDIA H100 80GB HBM3' }, {}], baseline: { node_class: 'h100' },
      differing: [] }])
  })

  it('shows what changed, when, and who acted just before', async () => {
    const { code, stdout } = await run(['gpu', '--data', data, '--changes'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^2030-01-01T00:01:00Z node-1 driver version: 570\.124\.06 → 535\.104\.05, after kernel_m/)
    const json = await run(['gpu', '--data', data, '--changes', '-o', 'json'])
    expect(jsonLines(json.stdout)).toMatchObject([{ item: 'version', old_value: '570.124.06', value: '535.104.05',
      class: 'driver', verdict: 'differs', expected: '570.124.06', exe: '/usr/bin/kmod' }])
    expect((await run(['gpu', '--data', data, '--changes', '--node', 'node-2'])).stdout).toBe('')
  })

  it('asks a correlator as well', async () => {
    const correlator = await startSample({ data })
    const server = `127.0.0.1:${correlator.grpc_port}`
    // Without a policy file of its own the correlator now only learns: no baseline is in force.
    const { code, stdout } = await run(['gpu', '--server', server])
    await correlator.stop()
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^- +node-1 +535\.104\.05.*no baseline/m)])
  })
})

describe('a policy file with baselines', () => {
  it('is checked with them, and asks a replay what they would have raised', async () => {
    const policy = file('vedette.yaml')
    writeFileSync(policy, baselinePolicy)
    const absent = await run(['policy', 'check', policy])
    expect([absent.code, absent.stdout]).toEqual([1, expect.stringMatching(/vedette\.yaml:3:\d+: error: .*ENOENT/)])
    expect((await run(['replay', '--data', data, '--policy', policy])).code).toBe(2)
    writeFileSync(file('h100.yaml'),
      'version: 1\nnode_class: new\nitems:\n  - {subject: gpu, item: ecc_mode, value: disabled}\n')
    expect((await run(['policy', 'check', policy])).code).toBe(0)
    const { code, stdout } = await run(['replay', '--data', data, '--policy', policy, '-o', 'json'])
    const raised = jsonLines(stdout).map((incident) => JSON.stringify(incident))
    expect([code, raised.filter((one) => one.includes('the baseline new wants disabled')).length]).toEqual([0, 2])
  }, 60_000)
})

describe('baseline', () => {
  it('captures a node of the log, is signed, and is checked', async () => {
    const copy = file('copy')
    rmSync(copy, { recursive: true, force: true })
    const captured = await run(['baseline', 'capture', '--data', data, '--node', 'node-2', '--node-class', 'h100-cc'])
    expect(captured.code, captured.stderr).toBe(0)
    const read = readBaseline(captured.stdout)
    expect([read.node_class, read.captured_on, read.items.length]).toEqual(['h100-cc', 'node-2', 3])
    writeFileSync(file('b.yaml'), captured.stdout)
    spawnSync('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', file('key')])
    const signed = await run(['baseline', 'sign', file('b.yaml'), '--key', file('key')])
    expect(signed.code, signed.stderr).toBe(0)
    const { stdout: publicKey } = spawnSync('openssl', ['pkey', '-in', file('key'), '-pubout'], { encoding: 'utf8' })
    expect(checkSignature(readBaseline(readFileSync(file('b.yaml'), 'utf8')), [publicKey]).state).toBe('trusted')
    const check = (...words: string[]) => run(['baseline', 'check', file('b.yaml'), '--data', data, ...words])
    expect((await check('--node', 'node-2')).code).toBe(0)
    const differs = await check('--node', 'node-1')
    expect([differs.code, differs.stdout]).toEqual([1, expect.stringMatching(
      /^differs +driver +version +535\.104\.05, not 570\.124\.06$/m)])
  }, 60_000)

  it('tells what cannot be known, which only --strict takes for a difference', async () => {
    writeFileSync(file('u.yaml'), 'version: 1\nnode_class: x\nitems:\n'
      + '  - {subject: gpu, item: vbios_version, value: "1"}\n')
    const words = ['baseline', 'check', file('u.yaml'), '--data', data, '--node', 'node-2']
    const { code, stdout, stderr } = await run(words)
    expect([code, stdout, stderr]).toEqual([0, expect.stringMatching(/^unknown +gpu +vbios_version/m),
      expect.stringContaining('0 items match, 0 differ, 1 cannot be known')])
    expect((await run([...words, '--strict'])).code).toBe(1)
  })

  it('is wrong usage with files that are none, and says why', async () => {
    writeFileSync(file('none.yaml'), 'version: 1\n')
    const outcome = async (...words: string[]) => {
      const { code, stderr } = await run(['baseline', ...words])
      return `${code} ${stderr}`
    }
    expect(await outcome('check', file('none.yaml'))).toMatch(/^2 vedette: .*none\.yaml is no baseline: line 1/)
    expect(await outcome('check', file('absent.yaml'))).toMatch(/^1 .*ENOENT/)
    expect(await outcome('sign', file('u.yaml'))).toMatch(/^2 .*--key/)
    copyFileSync(file('none.yaml'), file('nokey'))
    expect(await outcome('sign', file('u.yaml'), '--key', file('nokey'))).toMatch(/^2 .*not a private key in PEM/)
    expect(await outcome('check', file('u.yaml'), '--evidence', file('none.yaml'))).toMatch(/^2 .*is no evidence/)
    expect(await outcome('check', file('u.yaml'), '--data', data, '--node', 'x')).toMatch(/^1 .*x told nothing of GPUs/)
    expect(await outcome()).toMatch(/^2 /)
  }, 60_000)

  it.skipIf(!hasCompiler)('captures and checks the machine itself, through NVML', async () => {
    const machine = new FakeNode().host().driver()
      .gpu('0000:1b:00.0', 'GPU-b1000000-0c4b-45a1-9a54-6a5f1f8c0001')
      .gpu('0000:2b:00.0', 'GPU-b1000000-0c4b-45a1-9a54-6a5f1f8c0002')
    const nvml = new NvmlStandIn()
    try {
      const own = ['--gpu-root', machine.root, '--gpu-library', nvml.path]
      const captured = await run(['baseline', 'capture', ...own])
      expect(captured.code, captured.stderr).toBe(0)
      const items = readBaseline(captured.stdout).items.map(({ subject, item }) => `${subject} ${item}`)
      expect(items).toEqual(expect.arrayContaining(
        ['driver version', 'gpu vbios_version', 'gpu ecc_mode', 'host secure_boot']))
      expect(items.filter((one) => /serial|uuid|pci_bus|minor|command_line|remapped|errors/.test(one))).toEqual([])
      writeFileSync(file('own.yaml'), captured.stdout)
      const good = await run(['baseline', 'check', file('own.yaml'), ...own])
      expect(good.code, good.stdout).toBe(0)
      nvml.control({ '1.ecc_mode': 0 })
      const bad = await run(['baseline', 'check', file('own.yaml'), ...own, '-o', 'json'])
      expect(bad.code).toBe(1)
      expect(jsonLines(bad.stdout).filter(({ verdict }) => verdict === 'differs')).toMatchObject(
        [{ subject: 'gpu:GPU-b1000000-0c4b-45a1-9a54-6a5f1f8c0002', item: 'ecc_mode', found: 'disabled',
          expected: 'enabled' }])
    } finally {
      nvml.close()
      machine.close()
    }
  }, 60_000)
})
