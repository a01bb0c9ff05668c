// The probes of GPU nodes: who opens their devices, and what is asked of their drivers.

import type { Probe } from './table.ts'

const waysOfCompat = ['lsm', 'fentry', 'kprobe'] as const

/** In the order in which they are attached. */
export const gpuProbes: readonly Probe[] = [
  {
    name: 'gpu_process_end',
    ways: [{ programs: ['gpu_process_exit'], attach_type: 'tp_btf', lost: '' }],
    lost: 'the end of processes that use GPUs: their last calls are told an hour late',
  },
  {
    name: 'gpu_device',
    ways: [
      { programs: ['gpu_open_fentry', 'gpu_mmap_fentry'], attach_type: 'fentry', lost: '' },
      { programs: ['gpu_open_kprobe', 'gpu_mmap_kprobe'], attach_type: 'kprobe', lost: '' },
      {
        programs: ['gpu_devices_held'], attach_type: 'iterator', every_ms: 10_000,
        lost: 'devices of GPUs that are open for less than 10 s, how often they are opened, and ' +
          'who maps them',
      },
    ],
    lost: 'which processes open and map the devices of GPUs',
  },
  {
    name: 'gpu_call',
    ways: [
      { programs: ['gpu_call_lsm'], attach_type: 'lsm', lost: '' },
      {
        programs: ['gpu_call_fentry'], attach_type: 'fentry',
        lost: 'commands in arguments that are not in memory: these calls are counted as unread',
      },
      {
        programs: ['gpu_call_kprobe'], attach_type: 'kprobe',
        lost: 'commands in arguments that are not in memory: these calls are counted as unread',
      },
      {
        // It runs for every system call of the node.
        programs: ['gpu_call_sys_enter'], attach_type: 'tp_btf', module: 'nvidia',
        lost: 'calls of 32-bit programs, and commands in arguments that are not in memory: these ' +
          'calls are counted as unread',
      },
    ],
    lost: 'what processes ask of the drivers of GPUs',
  },
  {
    name: 'gpu_call_compat',
    ways: waysOfCompat.map((way) => ({
      programs: [`gpu_call_compat_${way}`], attach_type: way, lost: '',
    })),
    lost: 'what 32-bit programs ask of the drivers of GPUs',
  },
  {
    name: 'gpu_devices_at_start',
    ways: [{ programs: ['gpu_devices_at_start'], attach_type: 'iterator', lost: '' }],
    lost: 'which processes had devices of GPUs open before the agent started',
  },
  {
    name: 'gpu_call_totals',
    ways: [{ programs: ['gpu_calls_iter'], attach_type: 'iterator', every_ms: 5000, lost: '' }],
    lost: 'how often drivers of GPUs are called after the first time',
  },
  {
    name: 'gpu_driver',
    module: 'nvidia',
    untyped: true,
    ways: [{
      programs: ['gpu_driver_kprobe', 'gpu_driver_kretprobe'], attach_type: 'kretprobe', lost: '',
    }],
    lost: 'what the GPU driver answers, and calls whose arguments are changed before it reads them',
  },
]
