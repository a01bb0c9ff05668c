import { expect, it } from 'vitest'
import { factsOf } from './event-facts.ts'

const device = (195 << 20) >>> 0

it('names a call of the driver, or gives its number', () => {
  const call = {
    kind: 'gpu_call', call_kind: 'control', command: 0x20800134, escape: 0x2a, device,
    family: 'nvidia', count: 3, duration_ns: 2_000_000, refused: 3, cap_sys_admin: false, in_container: true,
  }
  expect(factsOf({ ...call, command_name: 'GPU_SET_ECC_CONFIGURATION' })).toBe(
    'control GPU_SET_ECC_CONFIGURATION on nvidia 195:0, 3 × in 2 ms, 3 refused, unprivileged (in a container)')
  expect(factsOf({ ...call, count: 1, duration_ns: 0, refused: 0, cap_sys_admin: true, in_container: false }))
    .toBe('control 0x20800134 on nvidia 195:0')
})

it('tells a change of state with who acted before it, and what is not known with its reason', () => {
  const state = { kind: 'gpu_state', subject: 'gpu:GPU-1', item: 'ecc_mode', reading: 'known', value: 'disabled' }
  expect(factsOf({ ...state, old_value: 'enabled', actor_kind: 'gpu_call', actor_action: 'GPU_SET_ECC_CONFIGURATION' }))
    .toBe('gpu:GPU-1 ecc_mode: enabled → disabled, after gpu_call GPU_SET_ECC_CONFIGURATION')
  expect(factsOf({ ...state, reading: 'not_supported', value: '' })).toBe('gpu:GPU-1 ecc_mode: not supported')
  expect(factsOf({ ...state, reading: 'unknown', value: '', reason: 'no libnvidia-ml.so.1' }))
    .toBe('gpu:GPU-1 ecc_mode: unknown: no libnvidia-ml.so.1')
})

it('says whether a module is signed only where the kernel can tell', () => {
  const load = { kind: 'kernel_module', action: 'load', module: 'nvidia', version: '570.124.06', path: '/nvidia.ko' }
  expect(factsOf({ ...load, signature_trusted: 'no' })).toBe('load nvidia 570.124.06, not signed from /nvidia.ko')
  expect(factsOf(load)).toBe('load nvidia 570.124.06 from /nvidia.ko')
})
