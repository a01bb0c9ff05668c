import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sampleRecord } from '../sample/records.ts'
import { recordOffsets } from '../../proto/gen/events.ts'
import { hasCompiler } from '../../test/gpu/nvml.ts'
import { uuids, Watched } from '../../test/gpu/watched.ts'

const [first, second] = uuids.map((uuid) => `gpu:${uuid}`)
const now = () => process.hrtime.bigint()

function moduleLoaded(module: string, time: bigint): Buffer {
  const bytes = sampleRecord('kernel_module', { time, pid: 77, comm: 'modprobe', uid: 0 })
  bytes.write(module, recordOffsets.kernel_module.module)
  bytes[recordOffsets.kernel_module.action] = 1
  return bytes
}

function eccSet(time: bigint): Buffer {
  const bytes = sampleRecord('gpu_call', { time, pid: 78, comm: 'nvidia-smi', uid: 0 })
  bytes.writeUInt32LE(0x2080_0134, recordOffsets.gpu_call.command)
  bytes[recordOffsets.gpu_call.has_value] = 1
  return bytes
}

let watched: Watched
beforeEach(() => { if (hasCompiler) watched = new Watched() })
afterEach(() => watched?.close())

describe.skipIf(!hasCompiler)('the state of GPUs', () => {
  it('is told once as a whole, and then only what is different, with who did it', async () => {
    watched.open()
    await watched.settled()
    const full = watched.news()
    expect(full.length).toBeGreaterThan(180)
    expect(new Set(full.map(({ subject, item }) => `${subject} ${item}`)).size).toBe(full.length)
    expect(full.filter((one) => one.changes !== 0 || one.process || one.old_value)).toEqual([])
    await watched.settled()
    expect(watched.news()).toEqual([])

    watched.observe(eccSet(now()))
    watched.nvml.control({ '1.ecc_mode': 0 })
    await watched.settled()
    expect(watched.news()).toMatchObject([{
      subject: second, item: 'ecc_mode', value: 'disabled', old_value: 'enabled', reading: 'known', changes: 1,
      pci_address: '0000:2b:00.0', source: 'nvmlDeviceGetEccMode', actor_kind: 'gpu_call',
      actor_action: '0x20800134', process: { pid: 78, comm: 'nvidia-smi', exe: '/usr/sbin/actor', uid: 0 },
    }])
  })

  it('names who loaded a module for what came with it, and nobody for what nobody was seen to do', async () => {
    watched.open()
    await watched.settled()
    watched.news()
    watched.node.write('/etc/modprobe.d/more.conf', 'blacklist nouveau\n')
    await watched.settled()
    const [options] = watched.news()
    expect(options).toMatchObject({ item: 'modprobe_options', changes: 1 })
    expect(options.actor_kind).toBeUndefined()
    watched.observe(moduleLoaded('nvidia_peermem', now()))
    watched.node.write('/sys/module/nvidia_peermem/taint', 'O\n')
    await watched.settled()
    const news = watched.news()
    expect(news).toContainEqual(expect.objectContaining({
      subject: 'driver', item: 'module_nvidia_peermem', value: 'loaded', old_value: '', changes: 0,
      actor_kind: 'kernel_module', actor_action: 'load nvidia_peermem',
      process: expect.objectContaining({ pid: 77, workload: 'ops.service' }),
    }))
    expect(news.find(({ item }) => item === 'module_nvidia_peermem_signed')?.value).toBe('yes')
  })

  it('is read soon after an act, not only when its time has come', async () => {
    watched.open({ gpu_interval_ms: 3_600_000 })
    await watched.settled(1)
    watched.news()
    watched.nvml.control({ compute_mode: 2 })
    const bytes = sampleRecord('driver_setting', { time: now() })
    bytes.write('/bus/pci/drivers/nvidia/unbind', recordOffsets.driver_setting.setting)
    watched.observe(bytes)
    await expect.poll(() => watched.states.filter(({ value }) => value === 'prohibited').length, { timeout: 10_000 })
      .toBe(2)
    expect(watched.last(first, 'compute_mode')?.actor_action).toContain('/bus/pci/drivers/nvidia/unbind')
  })

  it('tells once that NVML hangs for 10 s, goes on with the rest, and recovers', async () => {
    watched.open({ timeoutMs: 300 })
    await watched.settled()
    watched.news()
    watched.nvml.control({ 'hang.nvmlDeviceGetVbiosVersion': 10_000, vbios_version: '96.00.AA' })
    await expect.poll(() => watched.states.at(-1)?.reading, { timeout: 10_000 }).toBe('unknown')
    watched.node.write('/proc/sys/kernel/modules_disabled', '1\n')
    await expect.poll(() => watched.last('host', 'modules_disabled')?.value, { timeout: 8000 }).toBe('on')
    expect(watched.news()).toMatchObject([
      { subject: 'driver', item: 'nvml_state', reading: 'unknown', old_value: 'ok',
        reason: 'NVML does not answer: nvmlDeviceGetVbiosVersion for 0.3 s' },
      { subject: 'host', item: 'modules_disabled', value: 'on' },
    ])
    watched.nvml.control({ vbios_version: '96.00.AA' })
    // Two GPUs were asked, each for 10 s at most.
    await expect.poll(() => watched.last('driver', 'nvml_state')?.value, { timeout: 25_000 }).toBe('ok')
    await watched.settled()
    expect(watched.news().map(({ item, value }) => `${item} ${value}`).sort())
      .toEqual(['nvml_state ok', 'vbios_version 96.00.AA', 'vbios_version 96.00.AA'])
    expect(watched.gpus!.counts.readers.get('nvml')!.late).toBeGreaterThan(0)
    expect(watched.complaints).toEqual([])
  }, 60_000)

  it('believes no library that speaks of a million GPUs, and bounds and escapes what it says', async () => {
    watched.open()
    await watched.settled()
    watched.news()
    watched.nvml.control({ garbage: 1 })
    await watched.settled()
    expect(watched.news()).toMatchObject([{ item: 'nvml_state', reading: 'unknown',
      reason: 'it says that there are 1000000 GPUs' }])
    watched.nvml.control({ garbage: 2, vbios_version: 'x' })
    await watched.settled()
    for (const { value = '', reason = '' } of watched.states) {
      expect(value + reason).toMatch(/^[\x20-\x7e]{0,512}$/)
    }
    watched.nvml.control({})
    await watched.settled()
    expect(watched.last('driver', 'nvml_state')?.value).toBe('ok')
    expect(watched.last(first, 'vbios_version')?.value).toBe('96.00.74.00.09')
    expect(watched.complaints).toEqual([])
  })

  it('tells that the library is gone, of another version, or that the driver is not loaded', async () => {
    watched.open()
    await watched.settled()
    watched.news()
    watched.nvml.remove()
    await watched.settled()
    expect(watched.news()).toMatchObject([{ item: 'nvml_state', reading: 'unknown', source: 'dlopen' }])
    watched.nvml.install()
    watched.nvml.control({ 'status.nvmlInit_v2': 18 })
    await watched.settled()
    expect(watched.news()).toMatchObject([
      { item: 'nvml_state', reading: 'known', value: 'lib_rm_version_mismatch', old_value: 'ok' }])
    watched.nvml.control({})
    await watched.settled()
    expect(watched.news()).toMatchObject([{ item: 'nvml_state', value: 'ok' }])
    watched.node.unloadDriver()
    await watched.settled()
    const news = watched.news()
    expect(news).toContainEqual(expect.objectContaining({ item: 'driver_state', value: 'not_loaded' }))
    expect(news).toContainEqual(expect.objectContaining({ item: 'nvml_state', value: 'driver_not_loaded' }))
    expect(news).toContainEqual(expect.objectContaining({ item: 'module_nvidia', reading: 'unknown' }))
    expect(news.filter(({ item }) => item === 'vbios_version')).toEqual([])
  })

  it('tells one thing of a GPU that fell off the bus', async () => {
    watched.open()
    await watched.settled()
    watched.news()
    watched.nvml.control({ 'status.nvmlDeviceGetHandleByIndex_v2': 15 })
    await watched.settled()
    expect(watched.news().map(({ subject, item, value }) => [subject, item, value]).sort()).toEqual([
      [first, 'device_state', 'gpu_is_lost'], [second, 'device_state', 'gpu_is_lost'],
    ])
  })

  it('keeps the name of a GPU that was taken away from the driver', async () => {
    watched.open()
    await watched.settled()
    watched.news()
    watched.node.gpu('0000:2b:00.0', undefined, 'vfio-pci')
    watched.node.remove('/proc/driver/nvidia/gpus/0000:2b:00.0')
    await watched.settled()
    expect(watched.news()).toContainEqual(
      expect.objectContaining({ subject: second, item: 'pci_driver', value: 'vfio-pci', old_value: 'nvidia' }))
  })

  it('does not wake a GPU that sleeps, but after an act', async () => {
    watched.open()
    await watched.settled()
    watched.news()
    watched.node.write('/sys/bus/pci/devices/0000:2b:00.0/power/runtime_status', 'suspended\n')
    await watched.settled()
    watched.nvml.control({ compute_mode: 3 })
    await watched.settled()
    expect(watched.news()).toEqual([])
    watched.observe(eccSet(now()))
    await expect.poll(() => watched.last(first, 'compute_mode')?.value, { timeout: 10_000 }).toBe('exclusive_process')
  })

  it('asks for evidence only when it is told to', async () => {
    watched.nvml.control({ profile: 'h100_cc' })
    watched.open()
    await watched.settled(1)
    expect(watched.evidence).toEqual([])
    await watched.gpus!.tellEvidence(new Uint8Array(32).fill(7))
    expect(watched.evidence).toMatchObject([{
      subject: 'gpu:GPU-c1000000-0c4b-45a1-9a54-6a5f1f8c0001', nonce: '07'.repeat(32),
      report: Buffer.alloc(32, 7).toString('base64'),
    }])
    expect(watched.evidence[0].reason).toBeUndefined()
    watched.nvml.control({ profile: 'h100' })
    await watched.gpus!.tellEvidence(new Uint8Array(32))
    expect(watched.evidence.slice(1).map(({ report, reason }) => [report, reason]))
      .toEqual([['', 'NOT_SUPPORTED'], ['', 'NOT_SUPPORTED']])
  })

  it('says one thing of a node without GPU and driver, and opens no library there', async () => {
    watched.node.unloadDriver()
    watched.node.remove('/sys/bus/pci')
    watched.nvml.control({ 'hang.nvmlInit_v2': 60_000 })
    watched.open()
    await watched.settled(3)
    expect(watched.news()).toMatchObject([{ subject: 'driver', item: 'driver_state', value: 'not_loaded' }])
    expect(watched.gpus!.counts.readers.get('nvml')!.late).toBe(0)
  })
})
