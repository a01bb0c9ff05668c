/** Examples of GPU-014: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../../detect/detector.ts'
import type { Process } from '../../proto/gen/events.ts'
import { afterMaintenanceMs, gpuPolicy, inPod, maintainer, ofUnit } from './example-actors.ts'

const shell = ofUnit(800, '/usr/bin/bash', 'ssh.service')
const set = (
  at_ms: number, process: Partial<Process>, setting: string, value: string, in_container = false,
): ExampleEvent => ({ kind: 'driver_setting', at_ms, process,
  values: { setting, value, value_bytes: value.length, in_container } })

const firmwarePath = '/module/firmware_class/parameters/path'

const fires: Example[] = [
  {
    name: 'another folder for firmware',
    events: [set(0, shell, firmwarePath, '/var/tmp/fw')],
    fires: ['set where the kernel looks for firmware: /module/firmware_class/parameters/path to '
      + '"/var/tmp/fw". The policy names no administrators'],
  },
  {
    name: 'a GPU that is taken from its driver, and its registers mapped',
    policy: gpuPolicy,
    events: [set(0, shell, '/bus/pci/drivers/nvidia/unbind', '0000:1b:00.0'),
      { kind: 'gpu_call', at_ms: 5, process: shell,
        values: { call_kind: 'mmap', family: 'pci_resource', count: 1 } }],
    fires: ['set which driver a GPU has: /bus/pci/drivers/nvidia/unbind to "0000:1b:00.0"',
      'maps physical memory or registers of a GPU into its own'],
  },
  {
    name: 'the registry of the driver, from a pod',
    events: [set(0, inPod(801, '/bin/sh'), '/driver/nvidia/registry', 'RmMsg=1', true)],
    fires: ['set the registry of the GPU driver'],
  },
  {
    name: 'an administrator who resets a GPU when maintenance is over',
    policy: gpuPolicy,
    events: [set(afterMaintenanceMs, maintainer,
      '/devices/pci0000:00/0000:00:1c.0/0000:1b:00.0/reset', '1')],
    fires: ['set that a GPU is reset'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'an administrator in maintenance',
    policy: gpuPolicy,
    events: [set(0, maintainer, '/bus/pci/drivers/nvidia/unbind', '0000:1b:00.0'),
      set(1, maintainer, firmwarePath, '/var/tmp/fw')],
    fires: [],
  },
  {
    name: 'power management, and the driver container of the GPU operator',
    events: [set(0, shell, '/devices/pci0000:00/0000:1b:00.0/power/control', 'auto'),
      set(1, inPod(802, '/usr/bin/bash', 'pod:gpu-operator/driver'), firmwarePath,
        '/run/nvidia/driver/lib/firmware\n', true)],
    fires: [],
  },
  {
    name: 'a workload that maps the memory that it was given',
    events: [{ kind: 'gpu_call', at_ms: 0, process: inPod(803, '/usr/bin/python3.11'),
      values: { call_kind: 'mmap', family: 'nvidia', count: 100, in_container: true } }],
    fires: [],
  },
]

export const driverSettingExamples = [fires, staysQuiet] as const
