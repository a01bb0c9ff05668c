/** Examples of GPU-010: two lists, those that fire and those that stay quiet. */
import type { Example } from '../../detect/detector.ts'
import { gpuPolicy, inJob, inPod, maintainer, ofUnit } from './example-actors.ts'
import { alloc, control, cudaStart, escape } from './example-calls.ts'

const ECC = 0x20800134
const victim = inJob(900, '/usr/bin/python3.11', 'job:1')
const eve = inJob(901, '/home/eve/peek', 'job:2')
const smi = ofUnit(902, '/usr/bin/nvidia-smi', 'ssh.service')
const admin = { cap_sys_admin: true, has_value: true, value: 0 }

const fires: Example[] = [
  {
    name: 'a debugger that is attached to the context of another job',
    events: [...cudaStart(victim),
      alloc(1000, eve, 0x83de, { target_pid: 900, target_start_time: 900n, target_client: 7 }),
      control(1001, eve, 0x83de0315, { target_pid: 900, target_start_time: 900n })],
    fires: ['asked the GPU driver for GT200_DEBUGGER of /usr/bin/python3.11 (pid 900',
      'DEBUG_READ_MEMORY of /usr/bin/python3.11 (pid 900'],
  },
  {
    name: 'unified memory of another process, read through a descriptor that was taken from it',
    events: [escape(0, eve, 62, { family: 'nvidia_uvm', target_pid: 900, target_start_time: 9n })],
    fires: ['UVM_TOOLS_READ_PROCESS_MEMORY of pid 900'],
  },
  {
    name: 'ECC that a privileged pod switches off',
    events: [control(0, inPod(903, '/usr/bin/python3.11'), ECC, { ...admin, in_container: true })],
    fires: ['asked the GPU driver for GPU_SET_ECC_CONFIGURATION. The policy names no'],
  },
  {
    name: 'a tool of the driver in the hands of someone who is no administrator',
    policy: gpuPolicy,
    events: [control(0, smi, ECC, admin)],
    fires: ['GPU_SET_ECC_CONFIGURATION. The policy does not name it as an administrator'],
  },
  {
    name: 'writes to the bus of the board, registers, and diagnostics that compute does not use',
    events: [control(0, eve, 0x20800602), control(1, eve, 0x20800122),
      control(2, eve, 0x208f0703), control(3, eve, 0x208f4242)],
    fires: ['I2C_WRITE_BUFFER', 'GPU_EXEC_REG_OPS', 'BIF_CONFIG_REG_WRITE',
      'SUBDEVICE_DIAG'],
  },
  {
    name: 'memory that is exported by a workload without a GPU',
    policy: gpuPolicy,
    events: [control(0, inPod(904, '/usr/bin/node'), 0x3d05)],
    fires: ['OS_UNIX_EXPORT_OBJECT_TO_FD, and the policy does not give it a GPU'],
  },
  {
    name: 'a profiler of a program that is no profiler',
    events: [alloc(0, eve, 0xb2cc)],
    fires: ['asked the GPU driver for MAXWELL_PROFILER_DEVICE'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'the start of ordinary CUDA, with and without a policy of GPUs',
    policy: gpuPolicy,
    events: [...cudaStart(victim), ...cudaStart(eve, 500)],
    fires: [],
  },
  {
    name: 'the start of ordinary CUDA in a container where the policy says nothing',
    events: cudaStart(inPod(905, '/usr/bin/python3.11')),
    fires: [],
  },
  {
    name: 'a debugger and the program that it started, a profiler of developers',
    events: [...cudaStart(victim),
      alloc(1000, inJob(906, '/usr/local/cuda/bin/cuda-gdb', 'job:1'), 0x83de,
        { target_pid: 900, target_start_time: 900n }),
      alloc(1001, inJob(907, '/opt/nvidia/nsight-compute/ncu', 'job:1'), 0xb2cc)],
    fires: [],
  },
  {
    name: 'an administrator in maintenance, and the tools of the driver where nobody says who may',
    policy: gpuPolicy,
    events: [control(0, maintainer, ECC, admin)],
    fires: [],
  },
  {
    name: 'nvidia-smi of root where the policy says nothing, and the registry that is only read',
    events: [control(0, smi, ECC, admin),
      escape(1, eve, 0x4d, { has_value: true, value: 1 })],
    fires: [],
  },
]

export const sensitiveCallExamples = [fires, staysQuiet] as const
