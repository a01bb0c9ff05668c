// NVML through the addon, with a stand-in for the library. In child processes, as index.test.ts: a
// crash is a failed test, and `npm run test:native-sanitize` can put a sanitizer under it.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasCompiler, NvmlStandIn } from '../test/gpu/nvml.ts'
import type { NvmlAnswer, NvmlFact } from './gpu.ts'

const prelude = `
  import { Nvml } from '${import.meta.dirname}/gpu.ts'
  const nvml = new Nvml()
  import { renameSync, writeFileSync } from 'node:fs'
  const library = process.argv[2]
  const control = (values) => {
    const lines = Object.entries(values).map(([key, value]) => key + ' ' + value + '\\n')
    writeFileSync(library + '.new', lines.join(''))
    renameSync(library + '.new', library + '.control')
  }
  // With these settings of the stand-in.
  const readWith = (values, more) => { control(values); return read(more) }
  const taken = async () => {
    for (;;) {
      const answer = nvml.take()
      if (answer) return answer
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  const read = (more) => nvml.begin({ library, ...more }) ? taken() : 'busy'
  const caught = (run) => { try { return run() } catch (error) { return error.code } }
  const say = (value) => process.stdout.write(JSON.stringify(value));
`

let standIn: NvmlStandIn
beforeAll(() => { if (hasCompiler) standIn = new NvmlStandIn() })
afterAll(() => standIn?.close())

/** Runs code in a child after the prelude; what it said. Fails when it ended in any other way. */
function child(code: string) {
  const folder = mkdtempSync(join(tmpdir(), 'vedette-gpu-'))
  try {
    const file = join(folder, 'child.mjs')
    writeFileSync(file, prelude + code)
    const preload = process.env.VEDETTE_NATIVE_PRELOAD
    const result = spawnSync(process.execPath, ['--expose-gc', file, standIn.path], {
      encoding: 'utf8', timeout: 60_000, maxBuffer: 64 * 1024 * 1024,
      env: { ...process.env, ...(preload ? { LD_PRELOAD: preload } : {}) },
    })
    const log = process.env.VEDETTE_NATIVE_LOG
    if (log) writeFileSync(log, result.stderr, { flag: 'a' })
    const ended = result.signal ?? result.status
    if (ended !== 0) throw new Error(`child ended with ${ended}: ${result.stderr}`)
    return JSON.parse(result.stdout)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const factOf = (answer: NvmlAnswer, item: string, device = 0): NvmlFact | undefined =>
  answer.facts.find((fact) => fact.item === item && fact.device === device)

describe.skipIf(!hasCompiler)('NVML', () => {
  it('is read on a thread of its own, one reading at a time, and closed again', () => {
    standIn.install()
    standIn.control({ profile: 'h100' })
    const said = child(`
      import { readFileSync } from 'node:fs'
      const maps = () => (readFileSync('/proc/self/maps', 'utf8').includes(library) ? 1 : 0)
      const begun = [nvml.begin({ library }), nvml.begin({ library })]
      const first = await taken()
      const again = await read()
      say({ begun, calls: [first.facts.length, again.facts.length], mapped: maps(), left: nvml.take() ?? null,
        library: first.library === library, calling: nvml.calling })
    `)
    expect(said.begun).toEqual([true, false])
    expect(said.calls[0]).toBeGreaterThan(80)
    expect(said.calls[1]).toBe(said.calls[0])
    expect(said).toMatchObject({ mapped: 0, left: null, library: true, calling: '' })
  })

  it('gives what the library says, text by text and number by number', () => {
    standIn.install()
    standIn.control({ profile: 'b200', '1.ecc_mode_pending': 0, '1.nvlink_3': 0 })
    const answer: NvmlAnswer = child('say(await read({ slow: true }))')
    const value = (item: string, device = 0) => factOf(answer, item, device)?.value
    expect(value('device_count', -1)).toBe('2')
    expect(value('driver_branch', -1)).toBe('r580_00')
    expect(value('name')).toBe('NVIDIA B200')
    expect(value('pci_bus_id', 1)).toBe('00000000:2B:00.0')
    expect([value('ecc_mode', 1), value('ecc_mode_pending', 1)]).toEqual(['1', '0'])
    expect(value('nvlink_states', 1)).toBe('111011111111111111')
    expect(value('fabric_cluster_uuid')).toBe('00112233445566778899aabbccddeeff')
    expect([value('fabric_state'), value('fabric_health_mask')]).toEqual(['3', '1365'])
    expect(value('total_ecc_errors_uncorrected')).toBe('0')
    expect(factOf(answer, 'inforom_valid')).toMatchObject({ status: 0 })
    expect(factOf(answer, 'inforom_power_version')).toMatchObject({ status: 3, value: '' })
  })

  it('reads the flash only when it is told to', () => {
    standIn.install()
    standIn.control({ 'status.nvmlDeviceValidateInforom': 14 })
    const [quick, slow]: NvmlAnswer[] = child('say([await read(), await read({ slow: true })])')
    expect(factOf(quick, 'inforom_valid')).toBeUndefined()
    expect(factOf(slow, 'inforom_valid')).toMatchObject({ status: 14 })
  })

  it('takes the newest version of a structure that the library knows', () => {
    standIn.install()
    standIn.control({ fabric_v2_only: 1 })
    const old = standIn.copy('old.so', ['nvmlDeviceGetGpuFabricInfoV', 'nvmlSystemGetConfComputeSettings'])
    const [second, oldest]: NvmlAnswer[] = child(`say([await read(), await read({ library: '${old}' })])`)
    expect(factOf(second, 'fabric_state')).toMatchObject({ symbol: 'nvmlDeviceGetGpuFabricInfoV', value: '3' })
    expect(factOf(second, 'fabric_health_summary')).toMatchObject({ status: 25, value: '' })
    expect(factOf(oldest, 'fabric_state')).toMatchObject({ symbol: 'nvmlDeviceGetGpuFabricInfo', value: '3' })
    expect(factOf(oldest, 'conf_compute_feature', -1))
      .toMatchObject({ symbol: 'nvmlSystemGetConfComputeState', value: '0' })
    expect(factOf(oldest, 'conf_compute_multi_gpu_mode', -1)).toMatchObject({ status: -1 })
  })

  it('says why there is nothing to read: no library, no entry, no driver', () => {
    standIn.install()
    const without = standIn.copy('without.so', ['nvmlInit_v2'])
    const answers = child(`say([await read({ library: library + '.none' }), await read({ library: '${without}' }),
      await readWith({ 'status.nvmlInit_v2': 9 })])`)
    expect(answers).toMatchObject([
      { failed: 'dlopen', facts: [], library: '' },
      { failed: 'nvmlInit_v2', failed_status: -1, facts: [] },
      { failed: 'nvmlInit_v2', failed_status: 9, facts: [] },
    ])
  })

  it('bounds what a library says that is broken', () => {
    standIn.install()
    const [many, broken, evidence]: NvmlAnswer[] = child(`say([
      await readWith({ garbage: 1 }), await readWith({ garbage: 2 }, { slow: true }),
      await readWith({ garbage: 2, profile: 'h100_cc' }, { nonce: new Uint8Array(32) }),
    ])`)
    expect(factOf(many, 'device_count', -1)).toMatchObject({ value: '1000000' })
    expect(many.facts.filter(({ device }) => device >= 0)).toEqual([])
    expect(factOf(many, 'nvml_driver_version', -1)?.value).toBe('\u00fe'.repeat(80))
    expect(factOf(broken, 'vbios_version')?.value).toBe('\u00fe'.repeat(32))
    expect(factOf(broken, 'compute_mode', 1)?.value).toBe('4294967295')
    expect(factOf(broken, 'nvlink_states')?.value).toHaveLength(36)
    expect(factOf(broken, 'mig_devices')?.value.length).toBeLessThanOrEqual(16 * 97)
    expect(factOf(evidence, 'attestation_report')?.value).toHaveLength(2 * 8192)
    expect(factOf(evidence, 'attestation_certificate_chain')?.value.length).toBeLessThanOrEqual(5120)
  })

  it('brings evidence for a nonce, and nothing else but who it is of', () => {
    standIn.install()
    const [answer, without]: NvmlAnswer[] = child(`say([
      await readWith({ profile: 'h100_cc' }, { nonce: Uint8Array.from({ length: 32 }, (_, i) => i) }),
      await readWith({ profile: 'h100' }, { nonce: new Uint8Array(32) }),
    ])`)
    expect(factOf(answer, 'attestation_report')?.value)
      .toBe(Buffer.from(Uint8Array.from({ length: 32 }, (_, i) => 31 - i)).toString('hex'))
    expect(factOf(answer, 'attestation_certificate_chain')?.value).toContain('BEGIN CERTIFICATE')
    expect(factOf(answer, 'vbios_version')).toBeUndefined()
    expect(factOf(without, 'attestation_report')).toMatchObject({ status: 3 })
  })

  it('refuses a wrong question', () => {
    expect(child('say([caught(() => nvml.begin({ library, nonce: new Uint8Array(31) })), caught(() => ' +
      'nvml.begin({ library: 5 }))])')).toEqual(['EINVAL', 'EINVAL'])
  })

  it('lets the event loop run and the process end while the driver hangs', () => {
    standIn.install()
    standIn.control({ 'hang.nvmlDeviceGetVbiosVersion': 30_000 })
    const said = child(`
      nvml.begin({ library })
      let turns = 0
      while (nvml.calling !== 'nvmlDeviceGetVbiosVersion') {
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      for (; turns < 20; turns++) await new Promise((resolve) => setTimeout(resolve, 1))
      say({ turns, taken: nvml.take() ?? null, again: nvml.begin({ library }) })
    `)
    expect(said).toEqual({ turns: 20, taken: null, again: false })
  })

  it('may be forgotten by its worker thread in the middle of a reading', () => {
    standIn.install()
    standIn.control({ 'hang.nvmlShutdown': 300 })
    const said = child(`
      import { Worker } from 'node:worker_threads'
      const code = "import('${import.meta.dirname}/gpu.ts').then(({ Nvml }) => {" +
        "const nvml = new Nvml(); nvml.begin({ library: " + JSON.stringify(library) + " }); globalThis.nvml = nvml;" +
        "setTimeout(() => process.exit(0), 50) })"
      const worker = new Worker(code, { eval: true })
      await new Promise((resolve) => worker.once('exit', resolve))
      gc()
      await new Promise((resolve) => setTimeout(resolve, 600))
      say(await read().then(({ facts }) => facts.length > 0))
    `)
    expect(said).toBe(true)
  })
})
