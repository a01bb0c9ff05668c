/** Examples of STO-006: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../../detect/detector.ts'
import { inJob, inPod, ofUnit } from '../gpu/example-actors.ts'
import { childOf, exec, openPolicy, read, storePolicy, write } from './example-stores.ts'

const pod = 'pod:serve/llm-0'
const cp = inPod(500, '/usr/bin/cp', pod)
const tar = inPod(501, '/usr/bin/tar', pod)
const shell = inJob(510, '/bin/bash')
const packer = childOf(shell, 511, '/usr/bin/tar')
const gzip = childOf(shell, 512, '/usr/bin/gzip')
const trainer = inJob(520, '/usr/bin/python3.11')
const backup = ofUnit(550, '/usr/bin/tar', 'backup.service')
/** Who may write to the store for scratch. */
const closed = storePolicy.replace('paths: [/data/scratch]',
  'paths: [/data/scratch]\n    writers: { workloads: ["job:*"] }')

/** A process that reads on for a while. */
function on(process: typeof cp, at_ms: number, store = 'weights', times = 3): ExampleEvent[] {
  return Array.from({ length: times }, (_, i) =>
    read(at_ms + 5000 * i, process, store, i === 0 ? 1 : 100, 1 + i))
}

const fires: Example[] = [
  {
    name: 'weights that are packed into temporary space, told once',
    policy: openPolicy,
    events: [exec(0, tar, 'tar -czf /tmp/.x.tgz /data/weights'), ...on(tar, 10)],
    fires: ['/usr/bin/tar (pid 501, uid 1000, workload pod:serve/llm-0 on node-1) read 101 MiB of '
      + 'the weights weights, and its arguments name /tmp/.x.tgz.'],
  },
  {
    name: 'output of a program that a shell puts into memory',
    policy: openPolicy,
    events: [exec(0, shell, ['bash', '-c', 'tar c /data/weights >/dev/shm/w']),
      exec(1, packer, 'tar c /data/weights'), ...on(packer, 10)],
    fires: ['its arguments name /dev/shm/w'],
  },
  {
    name: 'a copy in another store, whose size is known when it is read again',
    policy: openPolicy,
    events: [exec(0, cp, 'cp -r /data/weights /data/scratch'), read(1, cp, 'weights', 1, 1),
      write(2, cp, 'scratch'), ...on(cp, 5000),
      read(60_000, inPod(530, '/usr/bin/curl', pod), 'scratch', 190, 1, { inode: 99n })],
    fires: ['read 102 MiB of the weights weights, and it wrote /data/scratch/new of the store '
      + 'scratch.'],
  },
  {
    name: 'a pipeline: one process reads, the other one writes',
    policy: openPolicy,
    events: [exec(0, shell, 'bash'), ...on(packer, 1, 'imagenet'),
      write(11_000, gzip, 'scratch')],
    fires: ['/usr/bin/tar (pid 511, uid 1001, workload job:4711 on node-1) read 201 MiB of the '
      + 'data set imagenet, and beside it /data/scratch/new of the store scratch was written by '
      + '/usr/bin/gzip'],
  },
  {
    name: 'any program that writes where the policy does not let it',
    policy: closed,
    events: [...on(inPod(540, '/opt/vllm/bin/vllm', pod), 0), write(11_000,
      inPod(540, '/opt/vllm/bin/vllm', pod), 'scratch')],
    fires: ['/opt/vllm/bin/vllm'],
  },
]

/** The last report: what was written since the first read, by calls. */
function wrote(process: typeof cp, at_ms: number, mib: number, readMib = 0): ExampleEvent {
  return read(at_ms, process, 'weights', readMib, 3, {
    report: 'last', process_written_known: true, process_written_bytes: mib * 1_048_576 })
}

fires.push({
  name: 'a copy of which it is known how much was written when it is told',
  policy: openPolicy,
  events: [exec(0, cp, 'cp -r /data/weights /tmp/w'), read(1, cp, 'weights', 50, 1),
    wrote(cp, 5000, 100, 50)],
  fires: ['its arguments name /tmp/w. It had written 100 MiB by calls since, 100% of what it '
    + 'read.'],
}, {
  name: 'an archive that is written after all was read',
  policy: openPolicy,
  events: [exec(0, tar, 'tar -czf /tmp/.x.tgz /data/weights'), ...on(tar, 10),
    wrote(tar, 60_000, 150)],
  fires: ['and its arguments name /tmp/.x.tgz.'],
})

const staysQuiet: Example[] = [
  {
    name: 'a program that nobody knows writes as much as it reads',
    policy: openPolicy,
    events: [...on(trainer, 0), wrote(trainer, 20_000, 300)],
    fires: [],
  },
  {
    name: 'a training that reads data and writes checkpoints',
    policy: openPolicy,
    events: [...on(trainer, 0, 'imagenet', 20),
      ...[1, 2, 3].map((i) => write(20_000 * i, trainer, 'weights', { operation: 'create' }))]
      .sort((a, b) => a.at_ms - b.at_ms),
    fires: [],
  },
  {
    name: 'a job of a reader that copies the data set to its node',
    policy: storePolicy,
    events: [exec(0, inJob(521, '/usr/bin/rsync'), 'rsync -a /data/imagenet/ /tmp/job-4711/'),
      ...on(inJob(521, '/usr/bin/rsync'), 1, 'imagenet', 9)],
    fires: [],
  },
  {
    name: 'a repacking by who may read the one store and write the other',
    policy: closed,
    events: [exec(0, shell, 'bash'), ...on(packer, 1, 'imagenet'),
      write(11_000, packer, 'scratch')],
    fires: [],
  },
  {
    name: 'a backup that the policy names, and a copy within a store',
    policy: storePolicy,
    events: [
      exec(0, backup, 'tar czf /var/tmp/b.tgz /data/weights'), ...on(backup, 1),
      write(20_000, inPod(551, '/usr/bin/cp', pod), 'imagenet'),
      ...on(inPod(551, '/usr/bin/cp', pod), 20_001, 'imagenet'),
    ],
    fires: [],
  },
  {
    name: 'little is read, and another workload writes',
    policy: openPolicy,
    events: [read(0, cp, 'weights', 20, 1), write(1, cp, 'scratch'), ...on(tar, 10_000),
      write(30_000, inPod(560, '/usr/bin/cp', 'pod:team-b/x'), 'scratch')],
    fires: [],
  },
]

export const stagingExamples = [fires, staysQuiet] as const
