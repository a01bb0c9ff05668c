import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { NvmlReader } from './nvml.ts'
import type { Reading } from '../state.ts'
import { Nvml } from '../../../native/gpu.ts'
import { hasCompiler, NvmlStandIn } from '../../../test/gpu/nvml.ts'
import type { NvmlProfile } from '../../../test/gpu/nvml.ts'

let standIn: NvmlStandIn
beforeAll(() => { if (hasCompiler) standIn = new NvmlStandIn() })
afterAll(() => standIn?.close())

/** Reads once, with everything; the library lacks these functions. */
async function read(without: string[] = []): Promise<Reading> {
  const library = without.length === 0 ? standIn.path : standIn.copy('less.so', without)
  const reader = new NvmlReader({
    nvml: new Nvml(), library, identityOf: (address) => ({ uuid: `GPU-of-proc-${address}` }),
  })
  return reader.read(0, true)
}

/** `reading value` by subject and item; the GPU with that number of its PCI bus is gpuN. */
function byName({ items }: Reading): Map<string, string> {
  const gpu = (subject: string, address: string) => subject.startsWith('gpu:') ? `gpu${address.slice(5, 6)}` : subject
  return new Map(items.map(({ subject, item, pci_address, reading, value, reason }) =>
    [`${gpu(subject, pci_address)} ${item}`, reading === 'known' ? value : `(${reading}${reason && `: ${reason}`})`]))
}

const none = '(not_supported)'
const profiles: Record<NvmlProfile, Record<string, string>> = {
  a100: {
    'driver device_count': '2', 'gpu1 name': 'NVIDIA A100-SXM4-80GB', 'gpu1 architecture': 'ampere',
    'gpu2 vbios_version': '92.00.45.00.06', 'gpu1 inforom_ecc_version': '6.16', 'gpu1 inforom_power_version': none,
    'gpu1 gsp_firmware_version': '535.288.01', 'gpu1 ecc_mode': 'enabled', 'gpu1 nvlink_states': '12 of 12 active',
    'gpu1 fabric_state': none, 'driver driver_branch': none, 'gpu1 dram_encryption_mode': none,
    'driver conf_compute_feature': 'disabled', 'gpu1 pci_device_id': '0x20b210de',
    'driver nvml_driver_version': '535.288.01', 'gpu2 power_management_limit_mw': '400000',
  },
  h100: {
    'gpu1 name': 'NVIDIA H100 80GB HBM3', 'gpu1 architecture': 'hopper', 'gpu1 nvlink_states': '18 of 18 active',
    'gpu1 fabric_state': 'completed', 'driver conf_compute_gpus_caps': 'none', 'gpu1 mig_mode': 'disabled',
    'driver conf_compute_environment': 'unavailable', 'driver conf_compute_gpus_ready_state': none,
    'gpu1 inforom_valid': 'valid', 'gpu1 board_part_number': '692-2G520-0205-000', 'driver driver_branch': 'r570_00',
    'gpu2 pci_subsystem_id': '0x16c110de', 'gpu1 api_restriction_set_application_clocks': 'unrestricted',
    'gpu1 mig_devices': 'none',
  },
  h100_cc: {
    'driver device_count': '1', 'driver conf_compute_cpu_caps': 'sev_snp', 'driver conf_compute_gpus_caps': 'hcc',
    'driver conf_compute_environment': 'production', 'driver conf_compute_feature': 'hcc',
    'driver conf_compute_dev_tools_mode': 'off', 'driver conf_compute_multi_gpu_mode': 'none',
    'driver conf_compute_gpus_ready_state': 'ready', 'gpu1 vbios_version': '96.00.74.00.1C',
    'gpu1 nvlink_states': none, 'gpu1 fabric_state': none, 'gpu1 conf_compute_protected_memory_kib': '83361792',
  },
  h200: {
    'gpu1 name': 'NVIDIA H200', 'gpu1 architecture': 'hopper', 'gpu2 vbios_version': '96.00.99.00.01',
    'gpu1 pci_device_id': '0x233510de', 'gpu1 fabric_cluster_uuid': '00112233445566778899aabbccddeeff',
    'gpu1 fabric_health_mask': '0x00000555', 'gpu1 compute_mode': 'default', 'gpu1 persistence_mode': 'enabled',
  },
  b200: {
    'gpu1 name': 'NVIDIA B200', 'gpu1 architecture': 'blackwell', 'gpu1 dram_encryption_mode': 'disabled',
    'driver nvml_driver_version': '580.142', 'driver cuda_driver_version': '13000', 'gpu1 pci_device_id': '0x290110de',
    'gpu1 gsp_firmware_mode': 'enabled', 'gpu1 remapped_rows_failure': 'no', 'gpu1 retired_pages_pending': 'no',
  },
}

/** What another function tells when this one is not there. */
const otherwise: Record<string, string[]> = {
  nvmlSystemGetConfComputeSettings: ['conf_compute_environment', 'conf_compute_feature', 'conf_compute_dev_tools_mode'],
  nvmlDeviceGetGpuFabricInfoV: ['fabric_state', 'fabric_status', 'fabric_clique_id', 'fabric_cluster_uuid'],
}

/** Without these there is nothing to read. */
const needed = ['nvmlInit_v2', 'nvmlDeviceGetCount_v2', 'nvmlDeviceGetHandleByIndex_v2']

describe.skipIf(!hasCompiler)('NVML as a reader', () => {
  for (const [profile, expected] of Object.entries(profiles)) {
    it(`gives the right values of ${profile}`, async () => {
      standIn.control({ profile })
      const reading = await read()
      expect(reading.answered).toBe(true)
      expect(Object.fromEntries([...byName(reading)].filter(([name]) => name in expected))).toEqual(expected)
    })
  }

  it('does without each function: what depends on it cannot be known, and only that', async () => {
    expect(standIn.symbols().length).toBeGreaterThan(40)
    for (const profile of ['b200', 'h100_cc'] as const) {
      standIn.control({ profile })
      const whole = await read()
      const before = byName(whole)
      for (const symbol of standIn.symbols()) {
        const reading = await read([symbol])
        if (needed.includes(symbol)) {
          const state = reading.items.filter(({ item }) => item === 'nvml_state' || item === 'device_state')
          expect(state.map(({ reason }) => reason), symbol).toContain(`this libnvidia-ml has no ${symbol}`)
          expect(reading.items.every(({ subject }) => reading.silent?.has(subject) || subject === 'driver')).toBe(true)
          continue
        }
        const lost = whole.items.filter(({ source, item }) => source === symbol && !otherwise[symbol]?.includes(item))
        const after = byName(reading)
        // Without its PCI address a GPU is not found by it; it has its UUID still.
        if (symbol === 'nvmlDeviceGetPciInfo_v3') {
          const uuids = new Set(whole.items.map(({ subject }) => subject))
          expect(new Set(reading.items.map(({ subject }) => subject)), symbol).toEqual(uuids)
          expect(reading.items.find(({ item }) => item === 'pci_device_id')?.reading).toBe('unknown')
          continue
        }
        const differing = [...before].filter(([name, value]) => after.get(name) !== value)
        const names = new Set(lost.map(({ item }) => item))
        expect(new Set(differing.map(([name]) => name.split(' ')[1])), symbol).toEqual(names)
        for (const [name] of differing) {
          expect(after.get(name), name).toBe(`(unknown: this libnvidia-ml has no ${symbol})`)
        }
      }
    }
  }, 120_000)

  it('calls a GPU whose UUID it cannot ask by what /proc says', async () => {
    standIn.control({})
    const { items } = await read(['nvmlDeviceGetUUID'])
    expect(items.find(({ item }) => item === 'name')?.subject).toBe('gpu:GPU-of-proc-0000:1b:00.0')
  })

  it('tells refusals in the words of NVML, and a broken InfoROM as a value', async () => {
    standIn.control({
      'status.nvmlDeviceGetEccMode': 4, 'status.nvmlDeviceGetMigMode': 3, 'status.nvmlDeviceGetSerial': 999,
      'status.nvmlDeviceGetComputeMode': 77, inforom_valid: 0, 'status.nvmlSystemGetDriverBranch': 25,
    })
    const items = byName(await read())
    expect(items.get('gpu1 ecc_mode')).toBe('(unknown: NO_PERMISSION)')
    expect(items.get('gpu1 mig_mode_pending')).toBe('(not_supported)')
    expect(items.get('gpu1 serial')).toBe('(unknown: UNKNOWN)')
    expect(items.get('gpu1 compute_mode')).toBe('(unknown: error 77)')
    expect(items.get('gpu1 inforom_valid')).toBe('corrupt')
    expect(items.get('driver driver_branch')).toBe('(unknown: ARGUMENT_VERSION_MISMATCH)')
  })

  it('tells MIG devices and links that are down', async () => {
    standIn.control({ '0.mig_mode': 1, '1.nvlink_4': 0 })
    const items = byName(await read())
    expect(items.get('gpu1 mig_mode')).toBe('enabled')
    expect(items.get('gpu1 mig_devices')?.split(',')).toHaveLength(2)
    expect(items.get('gpu2 mig_devices')).toBe('none')
    expect(items.get('gpu2 nvlink_states')).toBe('17 of 18 active, not 4')
  })
})
