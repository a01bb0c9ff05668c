import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readDevices } from './devices.ts'
import { findGpus, readDriver } from './driver.ts'
import { FabricReader } from './fabric.ts'
import { Files } from './files.ts'
import { readFirmware } from './firmware.ts'
import { readHost } from './host.ts'
import { hooksOf, settingsOf, ToolkitReader } from './toolkit.ts'
import type { GpuItem } from '../../../gpu/state/item.ts'
import { FakeNode } from '../../../test/gpu/node.ts'

let node: FakeNode
let files: Files
beforeEach(() => {
  node = new FakeNode()
  files = new Files(node.root)
})
afterEach(() => node.close())

const uuid = 'GPU-2c1f7a3e-0c4b-45a1-9a54-6a5f1f8c1e2d'
const said = (items: GpuItem[]) => Object.fromEntries(items.map(({ item, reading, value, reason }) =>
  [item, reading === 'known' ? value : `${reading}: ${reason}`]))

describe('the host', () => {
  it('tells on, off and letters where the kernel tells them', async () => {
    const host = said(await readHost(new Files(node.host().root)))
    expect(host).toMatchObject({
      kernel_release: '6.12.0-amd64', kernel_taint: 'POE', modules_disabled: 'off', module_sig_enforce: 'on',
      secure_boot: 'on', setup_mode: 'off', lockdown: 'integrity', ima_violations: '0', tpm_version_major: '2',
      tpm_pcr_7: '7f'.repeat(32), iommu: 'on', sgx: 'off', tdx_guest: 'on', tdx_host: 'off',
      sev_snp_host: 'not_supported: kvm_amd is not loaded',
    })
  })

  it('never takes a missing file for "off"', async () => {
    expect(said(await readHost(files)).secure_boot).toBe('unknown: /sys/firmware is not to be seen')
    node.write('/sys/firmware/memmap/0', '')
    const host = await readHost(files)
    expect(host.filter(({ reading }) => reading === 'known')).toEqual([])
    expect(said(host)).toMatchObject({
      secure_boot: 'not_supported: not booted by EFI', lockdown: 'unknown: securityfs is not mounted',
      tpm_version_major: 'not_supported: no TPM',
      module_sig_enforce: 'not_supported: a kernel without signatures of modules',
    })
    node.write('/sys/firmware/efi/runtime', '')
    node.write('/sys/kernel/security/lsm', 'capability')
    node.write('/sys/module/kvm_intel/x', '')
    expect(said(await readHost(files))).toMatchObject({
      secure_boot: 'unknown: efivarfs is not mounted', lockdown: 'not_supported: a kernel without lockdown',
      tdx_host: 'not_supported: a kvm_intel that does not know it',
    })
  })

  it('does not guess what a strange text means', async () => {
    node.host().write('/proc/sys/kernel/modules_disabled', 'perhaps\n')
    node.write('/sys/kernel/security/lockdown', 'none integrity\n')
    node.write('/proc/sys/kernel/tainted', '-1\n')
    expect(said(await readHost(files))).toMatchObject({
      modules_disabled: 'unknown: it says "perhaps"', lockdown: 'unknown: it says "none integrity"',
      kernel_taint: 'unknown: it says "-1"',
    })
  })
})

describe('the driver', () => {
  it('is found by its files or by GPUs on the PCI bus, and not by other devices of NVIDIA', async () => {
    expect(await findGpus(files)).toEqual({ driver: false, pci: [] })
    node.gpu('0000:1b:00.0').gpu('0000:05:00.0')
    node.write('/sys/bus/pci/devices/0000:05:00.0/class', '0x068000\n')
    expect(await findGpus(files)).toEqual({ driver: false, pci: ['0000:1b:00.0'] })
    node.write('/proc/bus/pci/devices', '0000\t80861237\t0\n1b00\t10de2330\t98\tnvidia\n')
    expect((await findGpus(files)).pci).toEqual(['0000:1b:00.0'])
    node.write('/proc/bus/pci/devices', '0000\t80861237\t0\n10de\t80862330\t98\n')
    expect((await findGpus(files)).pci).toEqual([])
    node.remove('/proc/bus/pci/devices')
    node.driver()
    expect((await findGpus(files)).driver).toBe(true)
  })

  it('tells version, flavour, parameters, modules and options', async () => {
    node.host().driver('535.288.01', false)
    node.write('/proc/driver/nvidia/params', 'RmProfilingAdminOnly: 0\nRegistryDwords: "RMFoo=1"\nNew: thing\nCut: 1')
    node.write('/sys/module/nvidia/taint', 'P\n')
    const driver = said(await readDriver(files, true, []))
    expect(driver).toMatchObject({
      driver_state: 'loaded', version: '535.288.01', flavour: 'proprietary', param_rm_profiling_admin_only: '0',
      param_registry_dwords: 'RMFoo=1', param_new: 'thing', registry: '""', module_nvidia_signed: 'yes',
      module_nvidia_taint: 'P', module_nvidia_uvm_signed: 'no', module_nvidia_uvm_parameter_uvm_debug_prints: '0',
      modprobe_options: 'options nvidia NVreg_RestrictProfilingToAdminUsers=1',
    })
    expect(driver).not.toHaveProperty('param_cut')
  })

  it('says that the signature cannot be known where the kernel does not check any', async () => {
    node.driver()
    expect(said(await readDriver(files, true, [])).module_nvidia_signed)
      .toBe('unknown: the kernel does not check signatures of modules')
  })

  it('says what it could not read, and escapes what it did', async () => {
    node.driver()
    node.write('/proc/driver/nvidia/version', 'NVRM version: \u001b[31mnothing\n')
    node.remove('/proc/driver/nvidia/params')
    node.write('/sys/module/nvidia/version', '1\u001b[2J' + 'x'.repeat(2000))
    const driver = said(await readDriver(files, true, []))
    expect(driver.version).toBe('unknown: it names no version')
    expect(driver.params).toBe('unknown: ENOENT')
    expect(driver.module_nvidia_version).toMatch(/^1\\x1b\[2Jx+\.\.\. sha256 [0-9a-f]{32}$/)
    expect(driver.module_nvidia_version.length).toBeLessThanOrEqual(512)
  })
})

describe('the devices', () => {
  it('are called by their UUID, and by their PCI address without one', async () => {
    node.gpu('0000:1b:00.0', uuid).gpu('0000:2b:00.0', 'GPU-????????-????-????-????-????????????').gpu('0000:3b:00.0')
    const { items, identities } = await readDevices(files, ['0000:1b:00.0', '0000:2b:00.0', '0000:3b:00.0'], () => ({}))
    expect([...new Set(items.map(({ subject }) => subject))])
      .toEqual([`gpu:${uuid}`, 'gpu:0000:2b:00.0', 'gpu:0000:3b:00.0'])
    expect(identities.get('0000:1b:00.0')?.uuid).toBe(uuid)
    const first = items.filter(({ subject }) => subject === `gpu:${uuid}`)
    expect(said(first)).toMatchObject({
      model: 'NVIDIA H100 80GB HBM3', video_bios: '96.00.74.00.09', gpu_excluded: 'No', pci_driver: 'nvidia',
      pci_driver_override: 'none', pci_iommu_group: 'yes',
    })
    expect(first.some(({ item }) => item === 'irq')).toBe(false)
    expect(new Set(first.map(({ pci_address }) => pci_address))).toEqual(new Set(['0000:1b:00.0']))
  })

  it('are not woken', async () => {
    node.gpu('0000:1b:00.0', uuid).write('/sys/bus/pci/devices/0000:1b:00.0/power/runtime_status', 'suspended\n')
    const { items, asleep } = await readDevices(files, ['0000:1b:00.0'], () => ({ uuid }))
    expect([...asleep]).toEqual([`gpu:${uuid}`])
    expect(items.map(({ item }) => item)).toContain('pci_driver')
    expect(items.map(({ item }) => item)).not.toContain('model')
  })

  it('survive a cut text', async () => {
    node.gpu('0000:1b:00.0', uuid)
    node.write('/proc/driver/nvidia/gpus/0000:1b:00.0/information', 'Model: \t\t NVIDIA H100\nVideo BI')
    const { items } = await readDevices(files, ['0000:1b:00.0'], () => ({}))
    expect(said(items)).toMatchObject({ model: 'NVIDIA H100' })
    expect(said(items)).not.toHaveProperty('video_bi')
  })
})

describe('the firmware', () => {
  it('is looked for where the kernel would, and read once per file', async () => {
    node.host().driver()
    node.write('/sys/module/firmware_class/parameters/path', '/run/firmware\n')
    node.write('/run/firmware/nvidia/570.211.01/gsp_ga10x.bin', 'another')
    const first = said(await readFirmware(files))
    expect(first.search_path).toBe('/run/firmware')
    expect(Object.keys(first).filter((item) => item.startsWith('file:'))).toEqual([
      'file:/run/firmware/nvidia/570.211.01/gsp_ga10x.bin',
      'file:/lib/firmware/nvidia/570.211.01/gsp_ga10x.bin', 'file:/lib/firmware/nvidia/570.211.01/gsp_tu10x.bin',
    ])
    const bytes = files.digestBytes
    expect(said(await readFirmware(files))).toEqual(first)
    expect(files.digestBytes).toBe(bytes)
    node.write('/lib/firmware/nvidia/570.211.01/gsp_ga10x.bin', 'evil of 570.211.01')
    const later = said(await readFirmware(files))
    expect(Object.keys(first).filter((item) => later[item] !== first[item]))
      .toEqual(['file:/lib/firmware/nvidia/570.211.01/gsp_ga10x.bin'])
  })

  it('is bounded: so many files, the rest as a number', async () => {
    node.host()
    for (let i = 0; i < 70; i++) node.write(`/lib/firmware/nvidia/570.${i}/gsp.bin`, 'x')
    const items = await readFirmware(files)
    expect(said(items).files).toBe('70')
    expect(items.filter(({ item }) => item.startsWith('file:'))).toHaveLength(64)
  })

  it('takes no folder and no pipe for a file', async () => {
    mkdirSync(join(node.root, 'lib/firmware/nvidia/570.1/gsp.bin'), { recursive: true })
    expect(said(await readFirmware(files))['file:/lib/firmware/nvidia/570.1/gsp.bin']).toBe('unknown: EINVAL')
  })
})

describe('the toolkit', () => {
  it('tells settings, programs, version and hooks', async () => {
    node.toolkit()
    const reader = new ToolkitReader(files)
    const toolkit = said(await reader.read())
    expect(toolkit).toMatchObject({
      config_accept_nvidia_visible_devices_envvar_when_unprivileged: 'false',
      config_nvidia_container_cli_ldconfig: '@/sbin/ldconfig', config_nvidia_container_runtime_mode: 'auto',
      version: '1.17.8-1', cdi_hooks: '/usr/bin/nvidia-cdi-hook',
    })
    expect(toolkit).not.toHaveProperty('config_disable_require')
    node.write('/etc/cdi/evil.json', '{"containerEdits": {"hooks": [{"path": "/tmp/hook"}]}}')
    expect(said(await reader.read()).cdi_hooks).toBe('/tmp/hook /usr/bin/nvidia-cdi-hook')
  })

  it('says nothing of one that is not installed', async () => {
    expect(said(await new ToolkitReader(files).read()))
      .toEqual({ config_sha256: 'not_supported: no container toolkit, or its defaults' })
  })

  it('reads broken files without harm', () => {
    expect(settingsOf('[a]\nx = "1"\n= 2\n[b\ny=3\n#z = 4')).toEqual([['a.x', '1'], ['a.y', '3']])
    expect(hooksOf('a: [')).toEqual(['(not readable)'])
    expect(hooksOf('hooks: [1, {path: 2}, {path: /x}]')).toEqual(['/x'])
    expect(hooksOf(`a: &a [x]\n${'b: [*a, *a]\n'}`)).toEqual([])
  })
})

describe('the fabric', () => {
  it('tells switches and whether their manager runs', async () => {
    node.fabric()
    const reader = new FabricReader(files)
    const items = await reader.read()
    expect(said(items)).toMatchObject({
      bios_version: '96.10.57.00.01', physical_location_id: '0005', fabric_manager: 'running',
    })
    expect(items[0]).toMatchObject({ subject: 'nvswitch:0', pci_address: '0000:05:00.0' })
    node.remove('/proc/4711')
    expect(said(await reader.read()).fabric_manager).toBe('not_running')
    node.write('/proc/4713/comm', 'nv-fabricmanage\n')
    expect(said(await reader.read()).fabric_manager).toBe('running')
  })

  it('does not search for a manager on a node without switches', async () => {
    expect(said(await new FabricReader(files).read())).toEqual({ fabric_manager: 'not_supported: no NVSwitch' })
  })
})

it('files: a text is read up to its bound, a node is told by numbers', async () => {
  const path = join(node.root, 'dir/long')
  mkdirSync(dirname(path))
  writeFileSync(path, 'x'.repeat(100), { mode: 0o640 })
  expect(await files.text('/dir/long', 10)).toEqual({ text: 'x'.repeat(10) })
  expect(await files.text('/dir/none')).toEqual({ error: 'ENOENT' })
  expect(await files.node('/dir/long')).toMatch(/^- 0:0 0640 \d+:\d+$/)
  expect(await new Files('/').node('/dev/null')).toMatch(/^c 1:3 0666 0:0$/)
  expect(await files.sha256('/dir/long', 10)).toEqual({ error: 'EFBIG' })
})
