// The probes of what a GPU node runs below its workloads: kernel modules, firmware, the settings of
// drivers, the hooks of the container runtime.

import type { Probe } from './table.ts'

/** In the order in which they are attached: the files before the loads that name them. */
export const driverProbes: readonly Probe[] = [
  {
    name: 'kernel_file',
    ways: [
      {
        programs: ['kernel_read_fexit', 'kernel_data_fexit'], attach_type: 'fexit', lost: '',
      },
      {
        programs: [
          'kernel_read_kprobe', 'kernel_read_kretprobe', 'kernel_data_kprobe',
          'kernel_data_kretprobe',
        ],
        attach_type: 'kretprobe', lost: '',
      },
    ],
    lost: 'the files that kernel modules and firmware are read from, and modules that a security ' +
      'module of the kernel refuses',
  },
  {
    name: 'kernel_module_refused',
    needs: 'modules',
    ways: [
      { programs: ['module_begin_fentry', 'module_loaded_fexit'], attach_type: 'fexit', lost: '' },
      {
        programs: ['module_begin_kprobe', 'module_loaded_kretprobe'], attach_type: 'kretprobe',
        lost: '',
      },
    ],
    lost: 'kernel modules that the kernel refuses',
  },
  {
    name: 'kernel_module',
    needs: 'modules',
    ways: [
      { programs: ['module_load_tp_btf', 'module_free_tp_btf'], attach_type: 'tp_btf', lost: '' },
    ],
    lost: 'the kernel modules that are loaded and unloaded, and by whom',
  },
  {
    name: 'firmware_load',
    ways: [
      {
        programs: ['firmware_kprobe', 'firmware_kretprobe'], attach_type: 'kretprobe', lost: '',
      },
      {
        programs: ['firmware_fexit', 'firmware_nowarn_fexit', 'firmware_direct_fexit'],
        attach_type: 'fexit',
        lost: 'firmware that a driver lets the kernel load in the background, or into memory of ' +
          'its own',
      },
    ],
    lost: 'the firmware that drivers load, and by whom',
  },
  {
    name: 'runtime_hook',
    ways: [
      { programs: ['runtime_hook_tp_btf'], attach_type: 'tp_btf', lost: '' },
      {
        programs: ['runtime_hook_walk_tp_btf'], attach_type: 'tp_btf',
        lost: 'what stands behind 256 variables in the environment of a hook',
      },
    ],
    lost: 'what the hooks of the GPU container runtime are told in their environment',
  },
  {
    name: 'runtime_hook_library',
    ways: [
      { programs: ['hook_library_fentry'], attach_type: 'fentry', lost: '' },
      { programs: ['hook_library_kprobe'], attach_type: 'kprobe', lost: '' },
    ],
    lost: 'libraries of a container image that hooks of the GPU container runtime load',
  },
  {
    name: 'driver_setting',
    ways: [
      {
        programs: ['setting_sysfs_fentry', 'setting_binary_fentry', 'setting_procfs_fentry'],
        attach_type: 'fentry', lost: '',
      },
      {
        programs: ['setting_sysfs_kprobe', 'setting_binary_kprobe', 'setting_procfs_kprobe'],
        attach_type: 'kprobe', lost: '',
      },
    ],
    lost: 'who changes settings of the GPU driver, or takes a GPU from it',
  },
]
