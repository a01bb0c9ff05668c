/** Examples of GPU-009: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../../detect/detector.ts'
import type { GpuDeviceOpen, Process } from '../../proto/gen/events.ts'
import { gpuPolicy, inJob, inPod, maintainer, ofUnit } from './example-actors.ts'

const major = 195 << 20
const open = (
  at_ms: number, process: Partial<Process>, family: string, path: string,
  values: Partial<GpuDeviceOpen> = {},
): ExampleEvent => ({
  kind: 'gpu_device_open', at_ms, process,
  values: { family, path, device: major, open_flags: 2, file_mode: 0o666, ...values },
})
const cuda = (process: Partial<Process>): ExampleEvent[] => [
  open(0, process, 'nvidiactl', '/dev/nvidiactl', { device: major | 255, in_container: true }),
  open(1, process, 'nvidia_uvm', '/dev/nvidia-uvm', { in_container: true }),
  open(2, process, 'nvidia', '/dev/nvidia0', { in_container: true }),
]
const root = (pid: number, exe: string): Partial<Process> => ofUnit(pid, exe, 'ssh.service')

const fires: Example[] = [
  {
    name: 'a web server that opens a GPU',
    policy: gpuPolicy,
    events: [open(0, inPod(500, '/usr/sbin/nginx'), 'nvidia', '/dev/nvidia0',
      { in_container: true })],
    fires: ['opened /dev/nvidia0. The policy does not give it a GPU.'],
  },
  {
    name: 'a node that a container made for itself',
    events: [open(0, inPod(501, '/bin/sh'), 'nvidia', '/tmp/gpu', { in_container: true })],
    fires: ['opened /tmp/gpu. That is no place of devices'],
  },
  {
    name: 'the right to partition GPUs, in a pod',
    events: [open(0, inPod(502, '/usr/bin/python3.11'), 'nvidia_caps',
      '/dev/nvidia-caps/nvidia-cap1', { device: 236 << 20 | 1, in_container: true })],
    fires: ['It is the right to partition GPUs (MIG).'],
  },
  {
    name: 'the node of the tools of unified memory',
    events: [open(0, inJob(503, '/home/eve/peek'), 'nvidia_uvm_tools', '/dev/nvidia-uvm-tools')],
    fires: ['watch the memory of others'],
  },
  {
    name: 'the registers of a GPU, past its driver',
    events: [open(0, root(504, '/usr/bin/python3.11'), 'pci_resource',
      '/sys/devices/pci0000:00/0000:1b:00.0/resource0')],
    fires: ['past its driver'],
  },
  {
    name: 'physical memory, for writing',
    events: [open(0, root(505, '/usr/bin/python3.11'), 'mem', '/dev/mem')],
    fires: ['all of the physical memory'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'ordinary CUDA where the policy says nothing of GPUs',
    events: cuda(inPod(510, '/usr/bin/python3.11')),
    fires: [],
  },
  {
    name: 'ordinary CUDA of a job that was given GPUs',
    policy: gpuPolicy,
    events: cuda(inJob(511, '/usr/bin/python3.11')),
    fires: [],
  },
  {
    name: 'the services of the driver, and who maintains the node',
    policy: gpuPolicy,
    events: [
      open(0, root(512, '/usr/bin/nvidia-smi'), 'nvidiactl', '/dev/nvidiactl'),
      open(1, root(513, '/usr/bin/nv-fabricmanager'), 'nvidia_caps',
        '/dev/nvidia-caps/nvidia-cap0', { device: 236 << 20 }),
      open(2, root(514, '/usr/bin/nvidia-container-cli'), 'nvidia',
        '/run/nvidia/driver/dev/nvidia0'),
      open(3, maintainer, 'pci_resource', '/sys/devices/pci0000:00/0000:1b:00.0/resource0'),
      open(4, root(515, '/usr/sbin/dmidecode'), 'mem', '/dev/mem', { open_flags: 0 })],
    fires: [],
  },
]

export const deviceOpenExamples = [fires, staysQuiet] as const
