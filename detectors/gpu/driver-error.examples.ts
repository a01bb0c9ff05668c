/** Examples of GPU-012: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../../detect/detector.ts'
import type { GpuXid, Process } from '../../proto/gen/events.ts'
import { inJob, ofUnit } from './example-actors.ts'
import { control, cudaStart } from './example-calls.ts'

const job = inJob(960, '/usr/bin/python3.11')
const eve = inJob(961, '/home/eve/hammer', 'job:2')

const xid = (
  at_ms: number, values: Partial<GpuXid>, process?: Partial<Process>,
): ExampleEvent => ({ kind: 'gpu_xid', at_ms, process,
  values: { pci_address: '0000:1b:00.0', source: 'kmsg', ...values } })
/** Time goes on: the agent says so. */
const later = (at_ms: number): ExampleEvent => ({ kind: 'heartbeat', at_ms, values: {} })

const dbe: Partial<GpuXid> = { xid: 48, xid_name: 'GPU_ECC_DBE', xid_category: 'integrity',
  critical: true, text: 'DBE (double bit error)' }

const fires: Example[] = [
  {
    name: 'broken memory, in a burst: one finding',
    events: [...Array.from({ length: 20 }, (_, i) => xid(10 * i, dbe)), later(5000)],
    fires: ['GPU 0000:1b:00.0 on node-1 reported Xid 48 (GPU_ECC_DBE), "DBE (double bit error)", '
      + '20 times.'],
  },
  {
    name: 'a security fault after a sensitive command, which is seen a moment later',
    events: [xid(2, { xid: 110, xid_name: 'SEC_FAULT_ERROR', xid_category: 'security',
      critical: true }),
    control(1, eve, 0x20800122), later(5000)],
    fires: ['SEC_FAULT_ERROR), after /home/eve/hammer (pid 961, uid 1001, workload job:2 on '
      + 'node-1) had asked its driver for GPU_EXEC_REG_OPS.'],
  },
  {
    name: 'an error of an application whose process had just tried something',
    events: [control(0, eve, 0x83de0316),
      xid(4000, { xid: 31, xid_category: 'application', xid_pid: 961 }, eve), later(9000)],
    fires: ['had asked its driver for DEBUG_WRITE_MEMORY'],
  },
  {
    name: 'a switch that is lost',
    events: [xid(0, { xid: 20034, is_switch: true, critical: true, pci_address: '0000:c1:00.0',
      text: 'Fatal, Link 30 LTSSM Fault Up' }), later(5000)],
    fires: ['NVSwitch 0000:c1:00.0 on node-1 reported SXid 20034'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'wrong pointers in a kernel of CUDA, after an ordinary start',
    events: [...cudaStart(job),
      xid(1000, { xid: 31, xid_category: 'application', xid_pid: 960 }, job),
      xid(1001, { xid: 13, xid_category: 'application', xid_pid: 960 }, job),
      xid(1002, { xid: 45, xid_category: 'information', previous_xid: 13 }, job), later(9000)],
    fires: [],
  },
  {
    name: 'an error of an application a minute after a sensitive command',
    events: [control(0, ofUnit(962, '/usr/bin/nvidia-smi', 'ssh.service'), 0x20800134,
      { cap_sys_admin: true }),
    xid(59_000, { xid: 13, xid_category: 'application' }, job), later(65_000)],
    fires: [],
  },
]

export const driverErrorExamples = [fires, staysQuiet] as const
