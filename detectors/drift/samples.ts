/** Events of examples about the state of GPUs. */
import type { ExampleEvent } from '../../detect/detector.ts'
import type { GpuState, Process } from '../../proto/gen/events.ts'

/** A GPU of the examples. */
export const gpu = 'gpu:GPU-b1000000-0c4b-45a1-9a54-6a5f1f8c0001'
/** Another one of the same node. */
export const otherGpu = 'gpu:GPU-b1000000-0c4b-45a1-9a54-6a5f1f8c0002'

/** An item that is told for the first time. */
export function told(
  at_ms: number, subject: string, item: string, value: string, node_id = 'node-1',
): ExampleEvent {
  return { kind: 'gpu_state', at_ms, node_id, values: { subject, item, value, reading: 'known' } }
}

/** An item that became different; `process` did something just before. */
export function changed(
  at_ms: number, subject: string, item: string, [old_value, value]: [string, string],
  process?: Partial<Process>, act: Partial<GpuState> = {},
): ExampleEvent {
  const actor: Partial<GpuState> = process === undefined ? {}
    : { actor_kind: 'kernel_module', actor_action: 'load nvidia', actor_age_ms: 1500 }
  return {
    kind: 'gpu_state', at_ms, process,
    values: { subject, item, value, old_value, reading: 'known', changes: 1, ...actor, ...act },
  }
}

/** An item that cannot be known any more, or that is not there. */
export function lost(
  at_ms: number, subject: string, item: string, old_value: string,
  reading: 'unknown' | 'not_supported' = 'unknown', process?: Partial<Process>,
): ExampleEvent {
  return {
    kind: 'gpu_state', at_ms, process,
    values: { subject, item, old_value, reading, reason: 'it is no longer there', changes: 1 },
  }
}

/** A baseline that the policy names as h100.yaml comes into force. */
export function baseline(at_ms: number, items: string): ExampleEvent {
  const text = `version: 1\nnode_class: h100\nitems:\n${items}`
  return {
    kind: 'baseline_applied', at_ms, node_id: 'correlator',
    values: { node_class: 'h100', text, sha256: String(text.length).padStart(64, '0'),
      path: 'h100.yaml' },
  }
}

/** A policy whose nodes must meet that baseline. */
export const baselinePolicy = `version: 1
gpus:
  baselines: [{ file: h100.yaml }]
  administrators: { systemd_units: [gpu-maintenance.service] }
`
