/** Examples of NET-002: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../detect/detector.ts'
import { accepted, beat, exec, opened, policy, started } from './lateral-sample.ts'
import type { Link } from './lateral-sample.ts'

const server = started(100, -60_000, '/usr/bin/python3', null, 990)
const shell = started(101, 20, '/bin/sh', server, 990)
const ssh = started(102, 40, '/usr/bin/ssh', shell, 990)
const master = started(50, -60_000, '/usr/sbin/sshd', null)
const session = started(51, 60, '/usr/sbin/sshd', master)
const bash = started(52, 80, '/bin/bash', session, 1000)
const curl = started(53, 100, '/usr/bin/curl', bash, 1000)
const minio = started(77, -60_000, '/usr/bin/minio', null, 991)
const entry: Link = { from: '203.0.113.9', port: 50_000, to: '10.30.0.7', service: 8000 }
const login: Link = { from: '10.30.0.7', port: 40_000, to: '10.20.0.5', service: 22 }
const fetch: Link = { from: '10.20.0.5', port: 40_001, to: '10.50.0.9', service: 9000 }

/** By node, each in the order of its node. */
const onInference = [
  accepted(10, 'inf-1', server, entry), exec(20, 'inf-1', shell, 'sh', '-c', 'ssh train-1 …'),
  exec(40, 'inf-1', ssh, 'ssh', 'train-1'), opened(50, 'inf-1', ssh, login),
]
const onTraining = [
  accepted(55, 'train-1', master, login), exec(60, 'train-1', session, 'sshd', '-R'),
  exec(80, 'train-1', bash, 'bash'), exec(100, 'train-1', curl, 'curl', 'http://10.50.0.9:9000/'),
  opened(110, 'train-1', curl, fetch),
]
const onStorage = [accepted(112, 'store-1', minio, fetch)]
export const intrusion = { onInference, onTraining, onStorage }

const threeHops = 'A path of 3 hops leads from zone external into zone storage: 203.0.113.9:50000'
  + ' → /usr/bin/python3 (pid 100, uid 990 on inf-1), then /usr/bin/ssh (pid 102, uid 990 on '
  + 'inf-1) → /usr/sbin/sshd (pid 50, uid 0 on train-1), then /usr/bin/curl (pid 53, uid 1000 on '
  + 'train-1) → /usr/bin/minio (pid 77, uid 991 on store-1).'

/** The same on a node whose clock is ahead. */
function ahead(events: readonly ExampleEvent[], ms: number): ExampleEvent[] {
  // The first process of a node has no time to be moved.
  const later = (time: bigint = 1n): bigint => time === 1n ? 1n : time + BigInt(ms * 1_000_000)
  return events.map((event) => ({
    ...event, at_ms: event.at_ms + ms, process: {
      ...event.process, start_time: later(event.process?.start_time),
      parent_start_time: later(event.process?.parent_start_time),
    },
  }))
}

const middle = started(104, 25, '/bin/sh', shell, 990)
const orphan = started(103, 30, '/usr/bin/ssh', middle)
const twice: ExampleEvent[] = [
  ...onInference.slice(0, 2),
  { kind: 'process_orphan', at_ms: 31, node_id: 'inf-1', process: orphan, values: {} },
  { kind: 'process_exit', at_ms: 32, node_id: 'inf-1', process: middle, values: {} },
  exec(40, 'inf-1', { ...orphan, ppid: 1, parent_start_time: 1n }, 'ssh', 'train-1'),
  opened(50, 'inf-1', { ...orphan, ppid: 1, parent_start_time: 1n }, login),
]

const proxy = started(90, -60_000, '/usr/sbin/nginx', null, 33)
const toProxy: Link = { ...entry, to: '10.30.0.6' }
const other: Link = { ...entry, from: '203.0.113.77' }
const toServer: Link = { from: '10.30.0.6', port: 45_000, to: '10.30.0.7', service: 8000 }
const stdio: ExampleEvent = {
  kind: 'process_stdio', at_ms: 21, node_id: 'inf-1', process: shell, values: {
    local_addr: entry.to, local_port: entry.service, remote_addr: entry.from,
    remote_port: entry.port, protocol: 'tcp', descriptors: 7,
  },
}
const dropped: ExampleEvent = {
  kind: 'shared_file_written', at_ms: 25, node_id: 'inf-1', process: shell,
  values: { path: '/shared/run.sh', inode: 4242n, executable: true },
}
const runner = started(61, 70, '/bin/bash', null, 1000)

const fires: Example[] = [
  { name: 'from outside over a shell and ssh to training, and on to storage', policy,
    events: [...onInference, ...onTraining, ...onStorage], fires: [threeHops] },
  { name: 'the same when the nodes report in the reverse order', policy,
    events: [...onStorage, ...onTraining, ...onInference], fires: [threeHops] },
  { name: 'the same when one node is cut off for a minute', policy,
    events: [...onTraining, ...onStorage, beat(61_000, 'store-1'), ...onInference],
    fires: [threeHops] },
  { name: 'the same when the clock of a node is two seconds ahead, or behind', policy,
    events: [...onInference, ...ahead(onTraining, 2000), ...ahead(onStorage, -2000)],
    fires: [threeHops] },
  { name: 'a process that cut itself off from its parents', policy,
    events: [...twice, ...onTraining, ...onStorage], fires: ['/usr/bin/ssh (pid 103'] },
  { name: 'a proxy before the server that was entered', policy,
    events: [
      accepted(5, 'inf-0', proxy, toProxy), opened(6, 'inf-0', proxy, toServer),
      accepted(10, 'inf-1', server, toServer), ...onInference.slice(1), ...onTraining, ...onStorage,
    ],
    fires: ['A path of 4 hops leads from zone external into zone storage: 203.0.113.9:50000 → '
      + '/usr/sbin/nginx (pid 90'] },
  { name: 'a shell whose standard streams are the connection, among many clients', policy,
    events: [
      ...Array.from({ length: 20 }, (_, i) =>
        accepted(11 + i / 10, 'inf-1', server, { ...other, port: 51_000 + i })),
      onInference[0], accepted(18, 'inf-1', server, { ...entry, port: 50_009 }),
      onInference[1], stdio, ...onInference.slice(2), ...onTraining,
    ],
    fires: ['203.0.113.9:50000 → /usr/bin/python3'] },
  { name: 'into the first protected node already, when no flow allows the hop', policy,
    events: [...onInference, ...onTraining.slice(0, 2)],
    fires: ['A path of 2 hops leads from zone external into zone training'] },
  { name: 'a file that is left on shared storage, and run by another node', policy,
    events: [
      ...onInference.slice(0, 2), dropped,
      exec(70, 'train-1', runner, 'bash', '/shared/run.sh'), opened(80, 'train-1', runner, fetch),
      ...onStorage,
    ],
    fires: ['A path of 3 hops leads from zone external into zone storage'] },
]

const clients = (count: number, to: Link): Link[] =>
  Array.from({ length: count }, (_, i) => ({ ...to, from: `203.0.113.${i}`, port: 52_000 + i }))
const weights: Link = { from: '10.30.0.7', port: 41_000, to: '10.50.0.9', service: 9000 }
const admin = started(70, -60_000, '/usr/sbin/sshd', null)
const adminSession = started(71, 20, '/usr/sbin/sshd', admin)
const adminShell = started(72, 30, '/bin/bash', adminSession, 1000)
const adminSsh = started(73, 40, '/usr/bin/ssh', adminShell, 1000)
const toBastion: Link = { from: '203.0.113.4', port: 50_001, to: '10.40.0.2', service: 22 }
const fromBastion: Link = { from: '10.40.0.2', port: 40_000, to: '10.20.0.5', service: 22 }
const worker = started(105, 30, '/usr/bin/python3.11', server, 990)

const staysQuiet: Example[] = [
  { name: 'a server that reads weights for its users stays quiet', policy,
    events: [
      ...clients(10, entry).map((link, i) => accepted(i, 'inf-1', server, link)),
      opened(20, 'inf-1', server, weights), accepted(21, 'store-1', minio, weights), beat(9000),
    ],
    fires: [] },
  { name: 'a worker of the server, started while users are connected, stays quiet', policy,
    events: [
      ...clients(10, entry).map((link, i) => accepted(i, 'inf-1', server, link)),
      exec(30, 'inf-1', worker, 'python3.11', 'worker.py'), opened(40, 'inf-1', worker, weights),
      accepted(41, 'store-1', minio, weights), beat(9000),
    ],
    fires: [] },
  { name: 'a person who logs in over the bastion and works on a training node stays quiet', policy,
    events: [
      accepted(10, 'login-1', admin, toBastion), exec(20, 'login-1', adminSession, 'sshd', '-R'),
      exec(30, 'login-1', adminShell, 'bash'), exec(40, 'login-1', adminSsh, 'ssh', 'train-1'),
      opened(50, 'login-1', adminSsh, fromBastion), accepted(55, 'train-1', master, fromBastion),
      ...onTraining.slice(1), ...onStorage, beat(9000),
    ],
    fires: [] },
  { name: 'a shell of a server that goes nowhere stays quiet', policy,
    events: [...onInference.slice(0, 3), beat(9000)], fires: [] },
  { name: 'a shell that the server had started before anybody connected stays quiet', policy,
    events: [
      exec(20, 'inf-1', started(101, 5, '/bin/sh', server, 990), 'sh'),
      accepted(30, 'inf-1', server, entry),
      opened(50, 'inf-1', started(101, 5, '/bin/sh', server, 990), weights),
      accepted(51, 'store-1', minio, weights), beat(9000),
    ],
    fires: [] },
  { name: 'without a policy nobody knows what is protected',
    events: [...onInference, ...onTraining, ...onStorage, beat(9000)], fires: [] },
]

export const chainExamples = [fires, staysQuiet] as const
