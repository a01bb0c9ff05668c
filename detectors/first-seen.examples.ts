/** Examples of NET-004: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../detect/detector.ts'
import type { ConnectionOpen, Process } from '../proto/gen/events.ts'

const learning = `version: 1
detectors:
  NET-004:
    thresholds: { learn_ms: 60000, learn_events: 4 }
`
const zoned = `${learning}zones:
  - name: inference
    exposure: public
    match: { cidrs: [10.30.0.0/16] }
  - name: storage
    exposure: protected
    match: { cidrs: [10.50.0.0/16] }
flows:
  - { from: inference, to: storage, ports: [9000/tcp], reason: Model servers load weights. }
  - from: inference
    to: storage
    ports: [2049/tcp]
    executables: [/usr/sbin/mount.nfs]
    reason: The home directories.
`
const server: Partial<Process> = {
  pid: 300, start_time: 1n, uid: 900, comm: 'vllm', exe: '/opt/vllm/bin/serve',
  cgroup_path: '/system.slice/vllm.service', workload: 'vllm.service',
}
const shell: Partial<Process> = { ...server, pid: 301, comm: 'bash', exe: '/bin/bash' }
const job: Partial<Process> = {
  pid: 400, start_time: 9n, uid: 1000, comm: 'python', exe: '/home/ada/env/bin/python3.11',
  cgroup_path: '/slurm/job_41', workload: 'job:41',
}

function open(
  at_ms: number, address: string, port: number, process = server,
  values: Partial<ConnectionOpen> = {},
): ExampleEvent {
  return {
    kind: 'connection_open', at_ms, process, values: {
      local_addr: '10.30.0.7', local_port: 40_000 + (at_ms % 1000), remote_addr: address,
      remote_port: port, protocol: 'tcp', direction: 'outgoing', ...values,
    },
  }
}

/** Two minutes of a server that asks its database. */
function usual(process = server): ExampleEvent[] {
  return Array.from({ length: 8 }, (_, i) =>
    open(15_000 * i, i % 2 === 0 ? '10.40.0.2' : '10.50.0.2', 9000, process))
}

const fires: Example[] = [
  {
    name: 'a shell in a service that only its server spoke from',
    policy: learning,
    events: [...usual(), open(121_000, '10.40.0.2', 22, shell)],
    fires: ['/bin/bash (pid 301, uid 900, workload vllm.service on node-1) talked to 10.40.0.2:22'],
  },
  {
    name: 'a peer in another network, told once',
    policy: learning,
    events: [...usual(), ...[0, 1, 2].map((i) => open(121_000 + i, '10.77.0.9', 9000))],
    fires: ['talked to 10.77.0.9:9000/tcp'],
  },
  {
    name: 'a service that is called from the Internet for the first time',
    policy: learning,
    events: [...usual(), open(121_000, '203.0.113.9', 50_000, server,
      { direction: 'accepted', local_port: 8000 })],
    fires: ['was called from the Internet, by 203.0.113.9 on its port 8000/tcp'],
  },
  {
    name: 'another program uses an allowed way into a protected zone',
    policy: zoned,
    events: [...usual(), open(121_000, '10.50.0.3', 9000, shell)],
    fires: ['/bin/bash'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'while it learns, all is new and nothing is told',
    policy: learning,
    events: [...usual().slice(0, 3), open(50_000, '10.77.0.9', 22, shell)],
    fires: [],
  },
  {
    name: 'an old class of which little was seen has no baseline',
    policy: learning,
    events: [open(0, '10.40.0.2', 9000), open(121_000, '10.77.0.9', 22, shell)],
    fires: [],
  },
  {
    name: 'what it did before, from another pod or job of the same class, on other random ports',
    policy: learning,
    events: [...usual(job), ...Array.from({ length: 40 }, (_, i) => open(
      121_000 + i, i % 2 ? '10.40.0.9' : '10.50.0.9', 9000,
      { ...job, pid: 500 + i, exe: `/home/ada/env${i}/bin/python3`, workload: `job:${50 + i}` }))],
    fires: [],
  },
  {
    name: 'what the policy forbids is told by NET-001, what it allows for the program is expected',
    policy: zoned,
    events: [...usual(), open(121_000, '10.50.0.2', 22),
      open(122_000, '10.50.0.2', 2049, { ...server, exe: '/usr/sbin/mount.nfs' })],
    fires: [],
  },
  {
    name: 'loopback, multicast, and callers from watched networks are no edges',
    policy: learning,
    events: [...usual(), open(121_000, '127.0.0.1', 25), open(121_001, '::1', 25),
      open(121_002, '224.0.0.251', 5353),
      open(121_003, '10.99.0.1', 50_000, server, { direction: 'accepted', local_port: 22 })],
    fires: [],
  },
  {
    name: 'a connection that stood already when the agent started is learned',
    policy: learning,
    events: [...usual(), open(121_000, '10.77.0.9', 22, server, { at_start: true }),
      open(122_000, '10.77.0.9', 22)],
    fires: [],
  },
]

export const firstSeenExamples = [fires, staysQuiet] as const
