/** Calls to the driver of a GPU, for examples. */
import type { ExampleEvent } from '../../detect/detector.ts'
import type { GpuCall, Process } from '../../proto/gen/events.ts'

function call(
  at_ms: number, process: Partial<Process>, values: Partial<GpuCall>,
): ExampleEvent {
  return { kind: 'gpu_call', at_ms, process, values: {
    count: 1, device: 195 << 20 | 255, family: 'nvidiactl', report: 'first', client: 0xc1d00001,
    driver_branch: '570', ...values,
  } }
}

/** RM_CONTROL. */
export function control(
  at_ms: number, process: Partial<Process>, command: number, values: Partial<GpuCall> = {},
): ExampleEvent {
  return call(at_ms, process, { call_kind: 'control', escape: 0x2a, command, ...values })
}

/** RM_ALLOC. */
export function alloc(
  at_ms: number, process: Partial<Process>, command: number, values: Partial<GpuCall> = {},
): ExampleEvent {
  return call(at_ms, process, { call_kind: 'alloc', escape: 0x2b, command, ...values })
}

/** Another call. */
export function escape(
  at_ms: number, process: Partial<Process>, number: number, values: Partial<GpuCall> = {},
): ExampleEvent {
  return call(at_ms, process, { call_kind: 'escape', escape: number, ...values })
}

/**
 * The start of an ordinary program with CUDA: a debugger and diagnostics on its own objects, no
 * profiler; memory shared with another GPU. A few of these are refused everywhere.
 */
export function cudaStart(process: Partial<Process>, at_ms = 0): ExampleEvent[] {
  const escapes = [0xc8, 0xc9, 0xce, 0xd2, 0xd6, 0x27, 0x29, 0x2a, 0x2b, 0x34, 0x35, 0x4a, 0x4e]
  const classes = [0x0041, 0x0080, 0x2080, 0x0040, 0x003e, 0x0071, 0x90f1, 0xc86f, 0xcbc0, 0xc8b5,
    0x83de, 0x208f, 0xa06c, 0x503b, 0x00f8, 0x00fd, 0xcb33, 0x00de]
  const controls = [0x0d04, 0x0102, 0x0201, 0x0205, 0x0214, 0x013a, 0x20800102, 0x20800110,
    0x20800118, 0x2080012f, 0x20800133, 0x2080014b, 0x2080018e, 0x20801702, 0x20802210,
    0x208f1105, 0x83de0307, 0x83de0309, 0x83de030c, 0x83de0310, 0x83de0315, 0x83de0317,
    0x83de0318, 0x83de031f, 0xcb330101, 0xcb330104, 0x3d05, 0x3d06, 0x00f80103, 0x00fd0102]
  return [
    ...escapes.map((number, i) => escape(at_ms + i, process, number)),
    ...classes.map((number, i) => alloc(at_ms + 100 + i, process, number)),
    ...controls.map((number, i) => control(at_ms + 200 + i, process, number,
      { refused: i % 7 === 0 ? 1 : 0 })),
    ...[0x30000001, 0x25, 0x19, 0x1b, 0x21, 0x22, 0x44, 0x48, 0x49, 0x4b].map((number, i) =>
      escape(at_ms + 300 + i, process, number, { family: 'nvidia_uvm', device: 510 << 20 })),
  ]
}
