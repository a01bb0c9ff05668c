/** Examples of NET-005: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../detect/detector.ts'
import type { Process } from '../proto/gen/events.ts'

const learning = `version: 1
detectors:
  NET-005:
    thresholds: { learn_ms: 60000, learn_events: 2 }
`
const zoned = `version: 1
zones:
  - name: inference
    exposure: public
    match: { systemd_units: [vllm.service] }
  - name: orchestration
    exposure: internal
    match: { systemd_units: [login.service] }
`
const shim: Partial<Process> = {
  pid: 100, start_time: 1n, uid: 0, comm: 'containerd-shim',
  exe: '/usr/bin/containerd-shim-runc-v2',
  workload: 'containerd.service', cgroup_path: '/system.slice/containerd.service',
}
const inPod = (pid: number, exe: string): Partial<Process> => ({
  pid, start_time: BigInt(pid), ppid: 100, parent_start_time: 1n, uid: 900,
  comm: exe.slice(exe.lastIndexOf('/') + 1), exe, cgroup_path: '/kubepods/pod1',
  workload: 'pod:6d83fd9f-b7d4-4808-9784-b6e53db4cbc5',
})
const inUnit = (pid: number, unit: string, exe: string): Partial<Process> => ({
  pid, start_time: BigInt(pid), uid: 900, comm: 'x', exe, workload: unit,
  cgroup_path: `/system.slice/${unit}`,
})

const exec = (at_ms: number, process: Partial<Process>, ...args: string[]): ExampleEvent =>
  ({ kind: 'process_exec', at_ms, process, values: { exe: process.exe, args } })

const probe = (at_ms: number): ExampleEvent =>
  exec(at_ms, inPod(300 + at_ms, '/bin/sh'), 'sh', '-c', 'test -f /ready')

const fires: Example[] = [
  {
    name: 'an ssh out of the inference service',
    policy: zoned,
    events: [exec(0, inUnit(300, 'vllm.service', '/usr/bin/ssh'), 'ssh', 'train@10.20.0.7')],
    fires: ['(pid 300, uid 900, workload vllm.service on node-1) was started as '
      + '"ssh train@10.20.0.7" to run something elsewhere. Its zone is open to the public.'],
  },
  {
    name: 'a kubectl exec that a pod runs, after a week of other work',
    policy: learning,
    events: [exec(0, shim), probe(1), probe(2), probe(3),
      exec(70_000, { ...inPod(400, '/usr/bin/kubectl'), ppid: 399 },
        'kubectl', 'exec', '-it', 'llm-0', 'sh')],
    fires: ['"kubectl exec -it llm-0 sh" to run something elsewhere. Its workload had not done so'],
  },
  {
    name: 'a shell that somebody opens in a pod',
    policy: learning,
    events: [exec(0, shim), probe(1), probe(2), probe(3),
      exec(70_000, inPod(400, '/bin/bash'), 'bash')],
    fires: ['was started as "bash" after it was put into a running container from outside'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'the probes of kubelet, however long they go on',
    policy: learning,
    events: [exec(0, shim), ...Array.from({ length: 50 }, (_, i) => probe(1 + 10_000 * i))],
    fires: [],
  },
  {
    name: 'an administrator who uses ssh on a login node',
    policy: zoned,
    events: [exec(0, inUnit(300, 'login.service', '/usr/bin/ssh'), 'ssh', 'gpu-07')],
    fires: [],
  },
  {
    name: 'a kubectl that only looks, and processes that a container starts by itself',
    policy: learning,
    events: [exec(0, shim), probe(1), probe(2), probe(3),
      exec(70_000, { ...inPod(400, '/usr/bin/kubectl'), ppid: 399 }, 'kubectl', 'get', 'pods'),
      exec(70_001, { ...inPod(401, '/bin/bash'), ppid: 399 }, 'bash', '/entrypoint')],
    fires: [],
  },
  {
    name: 'mpirun, which starts ranks over ssh from the first hour on',
    policy: learning,
    events: [0, 10, 90_000].map((at) => exec(at, {
      pid: 600 + at, start_time: 1n, uid: 1000, exe: '/usr/bin/ssh', workload: 'job:41',
    }, 'ssh', 'gpu-08')),
    fires: [],
  },
]

export const remoteExecutionExamples = [fires, staysQuiet] as const
