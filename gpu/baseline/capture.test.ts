import { describe, expect, it } from 'vitest'
import { readBaseline, writeBaseline } from './baseline.ts'
import { captureBaseline } from './capture.ts'
import { checkBaseline, type FoundItem } from './check.ts'

const found = (subject: string, item: string, value: string, reading: FoundItem['reading'] = 'known'): FoundItem =>
  ({ subject, item, value, reading, reason: reading === 'unknown' ? 'NVML does not answer' : '' })
const node = [
  found('driver', 'version', '570.211.01'), found('driver', 'driver_state', 'loaded'),
  found('driver', 'registry', '""'),
  found('gpu:A', 'uuid', 'A'), found('gpu:A', 'serial', '1'), found('gpu:A', 'vbios_version', '96.00.A5.00.01'),
  found('gpu:B', 'vbios_version', '96.00.9F.00.01'), found('gpu:A', 'ecc_mode', 'enabled'),
  found('gpu:B', 'ecc_mode', 'enabled'),
  found('gpu:A', 'dram_encryption_mode', '', 'not_supported'),
  found('gpu:B', 'dram_encryption_mode', '', 'not_supported'),
  found('gpu:A', 'mig_mode', 'disabled'), found('gpu:B', 'mig_mode', '', 'not_supported'),
  found('gpu:A', 'compute_mode', '', 'unknown'), found('gpu:A', 'remapped_rows_correctable', '7'),
  found('host', 'secure_boot', 'on'), found('host', 'kernel_command_line', 'root=UUID=1'),
  found('firmware', 'file:/lib/firmware/nvidia/570.211.01/gsp_ga10x.bin', 'aa'),
  found('driver', 'param_x y', 'bad name'),
]

describe('a captured baseline', () => {
  const { baseline, unknown } = captureBaseline(node, { node_class: 'h100', captured_on: 'gpu-1' })

  it('holds what the nodes of a class have alike, and nothing of one board or one boot', () => {
    expect(baseline.items).toEqual([
      { subject: 'driver', item: 'registry', value: '""' },
      { subject: 'driver', item: 'version', value: '570.211.01' },
      { subject: 'firmware', item: 'file:/lib/firmware/nvidia/570.211.01/gsp_ga10x.bin', value: 'aa' },
      { subject: 'gpu', item: 'dram_encryption_mode', reading: 'not_supported' },
      { subject: 'gpu', item: 'ecc_mode', value: 'enabled' },
      { subject: 'gpu', item: 'vbios_version', any_of: ['96.00.9F.00.01', '96.00.A5.00.01'] },
      { subject: 'host', item: 'secure_boot', value: 'on' },
    ])
    expect(unknown).toEqual(['gpu compute_mode: NVML does not answer'])
  })

  it('can be written and read, and is met by the node that it was captured on', () => {
    const again = readBaseline(writeBaseline(baseline))
    expect(again).toEqual(baseline)
    expect(new Set(checkBaseline(node, again).map(({ verdict }) => verdict))).toEqual(new Set(['matches']))
  })

  it('of nothing is empty', () => {
    expect(captureBaseline([], { node_class: 'x' })).toEqual(
      { baseline: { version: 1, node_class: 'x', items: [] }, unknown: [] })
  })
})
