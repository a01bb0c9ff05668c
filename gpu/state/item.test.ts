import { describe, expect, it } from 'vitest'
import { boundedText, known } from './item.ts'
import { gpuUuidOf, pciAddressOf, snakeCase } from './names.ts'
import { nvmlCodeName, nvmlStateOf } from './nvml-codes.ts'
import { nvmlWords } from './nvml-words.ts'
import { parseDriverVersion, parseNamedLines } from './proc.ts'

describe('boundedText', () => {
  it('leaves what is printable, and escapes the rest', () => {
    expect(boundedText(' NVIDIA H100 80GB HBM3\n')).toBe('NVIDIA H100 80GB HBM3')
    expect(boundedText('a\u001b[2J\u00e9\u{1f600}b')).toBe('a\\x1b[2J\\xe9\\u{1f600}b')
  })

  it('holds 512 characters, and shows a change behind them', () => {
    const [one, other] = [boundedText(`${'x'.repeat(2000)}1`), boundedText(`${'x'.repeat(2000)}2`)]
    expect([one.length, other.length]).toEqual([512, 512])
    expect(one).not.toBe(other)
    expect(boundedText('x'.repeat(512))).toBe('x'.repeat(512))
    expect(boundedText('\u0000'.repeat(300)).length).toBe(512)
  })

  it('has a word for the empty text, which is no value in events', () => {
    expect(known({ subject: 'driver', item: 'registry', source: 's' }, '').value).toBe('""')
  })
})

describe('names', () => {
  it('are in snake_case', () => {
    expect(['RmProfilingAdminOnly', 'DeviceFileUID', 'EnablePCIeGen3', 'GPU Excluded', 'a-b.c'].map(snakeCase))
      .toEqual(['rm_profiling_admin_only', 'device_file_uid', 'enable_pcie_gen3', 'gpu_excluded', 'a_b_c'])
  })

  it('of GPUs are their addresses and UUIDs, and nothing that only looks like one', () => {
    expect(['00000000:1B:00.0', '0000:1b:00.0', '00010000:1B:00.0', '1b:00.0', ''].map(pciAddressOf))
      .toEqual(['0000:1b:00.0', '0000:1b:00.0', '10000:1b:00.0', undefined, undefined])
    expect(gpuUuidOf('GPU-2c1f7a3e-0c4b-45a1-9a54-6a5f1f8c1e2d')).toBe('GPU-2c1f7a3e-0c4b-45a1-9a54-6a5f1f8c1e2d')
    expect(gpuUuidOf('GPU-????????-????-????-????-????????????')).toBeUndefined()
  })
})

describe('NVML in words', () => {
  it('says what a number means where it is known', () => {
    expect(nvmlWords('compute_mode', '3')).toBe('exclusive_process')
    expect(nvmlWords('compute_mode', '4294967295')).toBe('4294967295')
    expect(nvmlWords('architecture', '10')).toBe('blackwell')
    expect(nvmlWords('architecture', '11')).toBe('11')
    expect(nvmlWords('pci_device_id', '590352606')).toBe('0x233010de')
    expect(nvmlWords('vbios_version', '96')).toBe('96')
    expect(nvmlWords('nvlink_states', '1011')).toBe('3 of 4 active, not 1')
  })

  it('tells states from failures', () => {
    expect([9, 15, 16, 18].map(nvmlStateOf))
      .toEqual(['driver_not_loaded', 'gpu_is_lost', 'reset_required', 'lib_rm_version_mismatch'])
    expect([0, 3, 4, 10, 999].map(nvmlStateOf)).toEqual([undefined, undefined, undefined, undefined, undefined])
    expect([30, 31, 999].map(nvmlCodeName)).toEqual(['RESET_TYPE_NOT_SUPPORTED', 'error 31', 'UNKNOWN'])
  })
})

describe('/proc/driver/nvidia', () => {
  it('tells version and flavour in every form', () => {
    const version = (rest: string) => parseDriverVersion(`NVRM version: NVIDIA UNIX ${rest}\nGCC version:  gcc\n`)
    expect(version('Open Kernel Module for x86_64  570.211.01  Release Build  (a@b)  Thu Jan  8 12:00:00 UTC 2026'))
      .toEqual({ version: '570.211.01', flavour: 'open' })
    expect(version('x86_64 Kernel Module  535.288.01  Thu Jan'))
      .toEqual({ version: '535.288.01', flavour: 'proprietary' })
    expect(version('Open Kernel Module for aarch64  580.142')).toEqual({ version: '580.142', flavour: 'open' })
    expect(version('Kernel Module')).toBeUndefined()
    expect(parseDriverVersion('')).toBeUndefined()
  })

  it('keeps unknown names, and drops a line that may be cut', () => {
    expect(parseNamedLines('A: 1\nRmMsg: ""\nB: "x y"\nno colon\n: 3\nC: 4'))
      .toEqual([['A', '1'], ['RmMsg', '""'], ['B', 'x y']])
    expect(parseNamedLines('x: 1\n'.repeat(5000))).toHaveLength(512)
  })
})
