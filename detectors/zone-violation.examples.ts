/** Examples of NET-001: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../detect/detector.ts'
import type {
  ConnectionClose, ConnectionOpen, ConnectionRepeat, DatagramFlow, Process,
} from '../proto/gen/events.ts'

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

/** One end of a flow of datagrams; of the client, or of the server on another node. */
function flow(
  at_ms: number, from: 'client' | 'server', values: Partial<DatagramFlow> = {},
): ExampleEvent {
  const [process, ends, node_id] = from === 'client' ? [curl, client, 'gpu-1'] as const
    : [minio, server, 'store-1'] as const
  return {
    kind: 'datagram_flow', at_ms, process, node_id,
    values: { ...ends, protocol: 'udp', report: 'first', ...values },
  }
}

function repeat(at_ms: number, values: Partial<ConnectionRepeat> = {}): ExampleEvent {
  const ends = { ...client, local_port: 0, duration_ns: 1_000_000_000 }
  return {
    kind: 'connection_repeat', at_ms, process: curl, node_id: 'gpu-1',
    values: { ...ends, opened: 900, closed: 900, bytes_sent: 90, bytes_received: 9000, ...values },
  }
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

const firesToo: Example[] = [
  {
    name: 'datagrams, seen from both ends, with the names that are known',
    policy,
    events: [
      { kind: 'address_seen', at_ms: 0, node_id: 'correlator', values: {
        seen_addr: '10.50.0.9', address_kind: 'pod', workload: 'pod:store/minio-0' } },
      flow(10, 'client'), flow(12, 'server'), flow(20_000, 'client', { report: 'last' })],
    fires: ['in zone inference sent datagrams to 10.50.0.9:9000/udp (pod:store/minio-0: '
      + '/usr/bin/minio, pid 77) in zone storage'],
  },
  {
    name: 'ICMP has no ports',
    policy,
    events: [flow(10, 'client', { protocol: 'icmp', local_port: 0, remote_port: 0 }),
      heartbeat(5000)],
    fires: ['sent datagrams to 10.50.0.9/icmp in zone storage'],
  },
  {
    name: 'datagrams to a port at random, from one where the peer may not call',
    policy,
    events: [flow(10, 'client', { local_port: 7000, remote_port: 40_000 }), heartbeat(5000)],
    fires: ['sent datagrams to 10.50.0.9:40000/udp'],
  },
  {
    name: 'RDMA whose ends agreed by other means is judged both ways, and told once',
    policy,
    events: [
      { kind: 'rdma_connection', at_ms: 1, process: curl, node_id: 'gpu-1', values: {
        local_addr: '10.30.0.7', remote_addr: '10.50.0.9', qp_num: 7, remote_qp_num: 9,
        protocol: 'rdma', transport: 'roce', report: 'first' } },
      { kind: 'rdma_connection', at_ms: 2, process: minio, node_id: 'store-1', values: {
        local_addr: '10.50.0.9', remote_addr: '10.30.0.7', qp_num: 9, remote_qp_num: 7,
        protocol: 'rdma', transport: 'roce', report: 'first' } },
    ],
    fires: ['connected to 10.50.0.9/rdma (/usr/bin/minio, pid 77) in zone storage'],
  },
  {
    name: 'a connection that stood when the agent started, told again when it starts again',
    policy,
    events: [open(10, curl, { ...client, at_start: true }), heartbeat(5000),
      open(9000, curl, { ...client, at_start: true }), heartbeat(20_000)],
    fires: ['in zone inference had, when the agent started, a connection to 10.50.0.9:9000/tcp'],
  },
  {
    name: 'many short connections that are counted join those that are told',
    policy,
    events: [open(10, curl, client), open(11, minio, server, 'store-1'), repeat(1000),
      repeat(2000)],
    fires: ['connected to 10.50.0.9:9000/tcp (/usr/bin/minio, pid 77) in zone storage'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'an answer to datagrams is no way back',
    policy: policy.replace('9000/tcp', '9000'),
    events: [flow(10, 'client', { local_addr: '10.30.0.7' }), flow(11, 'server')].map((event) =>
      ({ ...event, process: event.process === curl
        ? { ...curl, exe: '/opt/vllm/bin/serve' } : event.process }) as ExampleEvent)
      .concat(heartbeat(9000)),
    fires: [],
  },
  {
    name: 'a server that answers after a pause that made the flow forgotten',
    policy: policy.replace('9000/tcp', '9000'),
    events: [flow(10, 'server', { direction: 'outgoing' }),
      flow(11, 'client', { direction: 'accepted' }), heartbeat(9000)].map((event) =>
      ({ ...event, process: event.process === curl
        ? { ...curl, exe: '/opt/vllm/bin/serve' } : event.process }) as ExampleEvent),
    fires: [],
  },
  {
    name: 'what is sent to many at once, and later reports of a flow that was allowed',
    policy,
    events: [flow(10, 'client', { remote_addr: '224.0.0.251', remote_port: 5353 }),
      flow(20, 'client', { report: 'periodic' }), heartbeat(9000)],
    fires: [],
  },
  {
    name: 'counted connections to a private address that no zone holds: the process there decides',
    policy,
    events: [repeat(1000, { remote_addr: '10.99.0.1' }), heartbeat(9000)],
    fires: [],
  },
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

export const violationExamples = [[...fires, ...firesToo], staysQuiet] as const
