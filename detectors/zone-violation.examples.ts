/** Examples of NET-001: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../detect/detector.ts'
import type { ConnectionClose, ConnectionOpen, Process } from '../proto/gen/events.ts'

const policy = `version: 1
zones:
  - name: inference
    exposure: public
    match:
      cidrs: [10.30.0.0/16]
  - name: storage
    exposure: protected
    match:
      cidrs: [10.50.0.0/16]
  - name: orchestration
    exposure: internal
    match:
      executables: [/usr/sbin/slurmctld]
flows:
  - from: inference
    to: storage
    ports: [9000/tcp]
    executables: [/opt/vllm/bin/*]
    reason: Model servers load weights.
  - from: inference
    to: orchestration
    ports: [6817/tcp]
    reason: Nodes report.
`

const shell: Partial<Process> = {
  pid: 500, start_time: 1_000_000n, ppid: 1, uid: 1000, comm: 'bash', exe: '/bin/bash',
  cgroup_path: '/system.slice/vllm.service', workload: 'vllm.service',
}
const curl: Partial<Process> = {
  ...shell, pid: 501, start_time: 2_000_000n, ppid: 500, parent_start_time: 1_000_000n,
  comm: 'curl', exe: '/usr/bin/curl',
}
const minio: Partial<Process> = {
  pid: 77, start_time: 5n, ppid: 1, uid: 990, comm: 'minio', exe: '/usr/bin/minio',
  cgroup_path: '/system.slice/minio.service', workload: 'minio.service',
}

/** The two ends of a connection from 10.30.0.7:40000 to 10.50.0.9, on two nodes. */
const client: Partial<ConnectionOpen> = {
  local_addr: '10.30.0.7', local_port: 40_000, remote_addr: '10.50.0.9', remote_port: 9000,
  protocol: 'tcp', direction: 'outgoing', connection_id: 1n,
}
const server: Partial<ConnectionOpen> = {
  local_addr: '10.50.0.9', local_port: 9000, remote_addr: '10.30.0.7', remote_port: 40_000,
  protocol: 'tcp', direction: 'accepted', connection_id: 2n,
}

function open(
  at_ms: number, process: Partial<Process> | undefined, values: Partial<ConnectionOpen>,
  node_id = 'gpu-1',
): ExampleEvent {
  return { kind: 'connection_open', at_ms, process, values, node_id }
}

function close(
  at_ms: number, process: Partial<Process>, values: Partial<ConnectionClose>, node_id = 'gpu-1',
): ExampleEvent {
  return { kind: 'connection_close', at_ms, process, values, node_id }
}

function heartbeat(at_ms: number, node_id = 'gpu-1'): ExampleEvent {
  return { kind: 'heartbeat', at_ms, values: { probes_attached: 5 }, node_id }
}

const ran: ExampleEvent[] = [
  { kind: 'process_exec', at_ms: 0, process: shell, node_id: 'gpu-1',
    values: { exe: '/bin/bash', args: ['bash', '-c', 'curl http://10.50.0.9:9000/weights'] } },
  { kind: 'process_exec', at_ms: 1, process: curl, node_id: 'gpu-1',
    values: { exe: '/usr/bin/curl', args: ['curl', 'http://10.50.0.9:9000/weights'] } },
]
const closed: ExampleEvent[] = [
  close(50, curl, { ...client, bytes_sent: 100, bytes_received: 7_000_000 }),
  close(51, minio, { ...server, bytes_sent: 7_000_000, bytes_received: 100 }, 'store-1'),
]
const loopback = { local_addr: '127.0.0.1', remote_addr: '127.0.0.1', netns: 1 }
const slurmctld: Partial<Process> = {
  ...minio, pid: 78, exe: '/usr/sbin/slurmctld', comm: 'slurmctld', workload: 'slurmctld.service',
  cgroup_path: '/system.slice/slurmctld.service',
}

const fires: Example[] = [
  {
    name: 'a connection seen from both ends on two nodes is one finding',
    policy,
    events: [...ran, open(10, curl, client), open(11, minio, server, 'store-1'), ...closed],
    fires: ['/usr/bin/curl (pid 501, uid 1000, workload vllm.service on gpu-1) in zone inference '
      + 'connected to 10.50.0.9:9000/tcp (/usr/bin/minio, pid 77) in zone storage'],
  },
  {
    name: 'the accepting end may come first',
    policy,
    events: [...ran, open(11, minio, server, 'store-1'), open(10, curl, client), ...closed],
    fires: ['/usr/bin/curl (pid 501'],
  },
  {
    name: 'an end whose other end is not watched is reported after a moment',
    policy,
    events: [...ran, open(10, curl, client), heartbeat(1000), heartbeat(4000)],
    fires: ['connected to 10.50.0.9:9000/tcp in zone storage'],
  },
  {
    name: 'an accepted connection from an unwatched node is told by its address',
    policy,
    events: [open(10, minio, { ...server, remote_addr: '203.0.113.5' }, 'store-1'),
      heartbeat(4000, 'store-1')],
    fires: ['Someone at 203.0.113.5 in zone external connected to 10.50.0.9:9000/tcp'],
  },
  {
    name: 'an attempt that failed is a milder finding',
    policy,
    events: [{
      kind: 'connection_failed', at_ms: 5, process: curl, node_id: 'gpu-1', values: {
        local_addr: '10.30.0.7', remote_addr: '10.50.0.9', remote_port: 22, error: 111,
        protocol: 'tcp',
      },
    }],
    fires: ['tried to connect to 10.50.0.9:22/tcp'],
  },
  {
    name: 'on loopback two processes of different zones cross, and both ends say it once',
    policy: policy.replace('[10.30.0.0/16]', '[10.30.0.0/16]\n      systemd_units: [vllm.service]'),
    events: [
      open(1, curl, { ...client, ...loopback, remote_port: 6819 }),
      open(2, slurmctld, { ...server, ...loopback, local_port: 6819 }),
    ],
    fires: ['in zone inference connected to 127.0.0.1:6819/tcp'],
  },
]

const staysQuiet: Example[] = [
  { name: 'without a policy nothing is a violation',
    events: [...ran, open(10, curl, client), open(11, minio, server, 'store-1'), heartbeat(9000)],
    fires: [] },
  {
    name: 'a flow that names the program lets it pass, from both ends',
    policy,
    events: [
      open(10, { ...curl, exe: '/opt/vllm/bin/serve' }, client),
      open(11, minio, server, 'store-1'), heartbeat(9000),
    ],
    fires: [],
  },
  {
    name: 'within a zone everything is allowed',
    policy,
    events: [open(10, curl, { ...client, remote_addr: '10.30.0.8' }), heartbeat(9000)],
    fires: [],
  },
  {
    name: 'the process at the other end decides, when it comes in time',
    policy,
    events: [
      open(10, curl, { ...client, remote_port: 6817 }),
      open(11, slurmctld, { ...server, local_port: 6817 }, 'store-1'), heartbeat(9000),
    ],
    fires: [],
  },
  {
    name: 'a connection to itself and over loopback crosses nothing',
    policy,
    events: [
      open(10, curl, { ...client, ...loopback }), open(11, curl, { ...server, ...loopback }),
      open(12, curl, { ...client, remote_addr: '10.30.0.7' }), heartbeat(9000),
    ],
    fires: [],
  },
]

export const violationExamples = [fires, staysQuiet] as const
