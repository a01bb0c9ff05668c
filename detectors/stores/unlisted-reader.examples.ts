/** Examples of STO-004: two lists, those that fire and those that stay quiet. */
import type { Example } from '../../detect/detector.ts'
import { inJob, inPod, ofUnit } from '../gpu/example-actors.ts'
import { openPolicy, read, received, storePolicy } from './example-stores.ts'

const pod = inPod(500, '/opt/vllm/bin/vllm', 'pod:serve/llm-0')
const other = inPod(501, '/usr/bin/node', 'pod:web/front-0')
const job = inJob(502, '/usr/bin/python3.11')

/** Who may is said by where it is, and by who it is. */
const twoWays = storePolicy.replace('readers: { workloads: ["job:*"] }',
  'readers: { zones: [inference], systemd_units: [eval.service] }')

const fires: Example[] = [
  {
    name: 'one outside of the zones that may, and one under another identity than may',
    policy: twoWays,
    events: [read(0, job, 'imagenet', 10, 1),
      read(1, ofUnit(510, '/usr/bin/python3', 'report.service'), 'imagenet', 10, 1)],
    fires: ['workload job:4711 on node-1) read 10.0 MiB of 1 file of the data set imagenet. It is '
      + 'in no zone, and the policy does not name it as a reader', 'workload report.service'],
  },
  {
    name: 'an inference server that reads a data set for training, told once',
    policy: storePolicy,
    events: [1, 2, 3, 4].map((i) => read(5000 * i, pod, 'imagenet', 10, 3 * i)),
    fires: ['/opt/vllm/bin/vllm (pid 500, uid 1000, workload pod:serve/llm-0 on node-1) read '
      + '40.0 MiB of 12 files of the data set imagenet. It is in the zone inference, and the '
      + 'policy does not name it as a reader (line 14).'],
  },
  {
    name: 'each workload for itself, each store for itself',
    policy: storePolicy,
    events: [read(0, other, 'imagenet', 10, 1), read(1, other, 'weights', 10, 1),
      read(2, job, 'weights', 10, 1), read(3, inPod(503, '/bin/cat', 'pod:web/front-0'),
        'weights', 1, 1), read(6000, other, 'imagenet', 10, 2)],
    fires: ['/usr/bin/python3.11', '/usr/bin/node', '/usr/bin/node'],
  },
  {
    name: 'one who reads the disk below the store, past its files',
    policy: storePolicy,
    events: [read(0, ofUnit(512, '/usr/bin/dd', 'ssh.service'), 'imagenet', 64, 1,
      { path: '/dev/nvme1n1' })],
    fires: ['/usr/bin/dd'],
  },
  {
    name: 'a store in the memory of the node, below /dev/shm',
    policy: storePolicy,
    events: [read(0, ofUnit(514, '/usr/bin/cp', 'ssh.service'), 'imagenet', 1, 1,
      { path: '/dev/shm/imagenet/part-0001' })],
    fires: ['/usr/bin/cp'],
  },
  {
    name: 'a database that brings much to someone who is no reader',
    policy: storePolicy,
    events: [received(0, job, 0.01), received(100, job, 3), received(200, job, 4)],
    fires: ['read 7.0 MiB of the database vectors. It is in no zone'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'one in a zone that may, and one whose identity may, in no zone',
    policy: twoWays,
    events: [read(0, pod, 'imagenet', 10, 1),
      read(1, ofUnit(511, '/usr/bin/python3', 'eval.service'), 'imagenet', 10, 1)],
    fires: [],
  },
  {
    name: 'those whom the policy names, by workload, zone and unit',
    policy: storePolicy,
    events: [read(0, job, 'imagenet', 1000, 900), read(1, pod, 'weights', 1000, 3),
      read(2, ofUnit(504, '/usr/bin/tar', 'backup.service'), 'weights', 1000, 3),
      received(3, pod, 500)],
    fires: [],
  },
  {
    name: 'a store without readers in the policy, and a policy that says nothing of readers',
    policy: openPolicy,
    events: [read(0, other, 'scratch', 1000, 1), read(1, other, 'imagenet', 1000, 1)],
    fires: [],
  },
  {
    name: 'udev, which asks what is on the disk below the store',
    policy: storePolicy,
    events: [read(0, ofUnit(513, '/usr/bin/udevadm', 'systemd-udevd.service'), 'imagenet', 1.5, 1,
      { path: '/dev/nvme1n1' })],
    fires: [],
  },
  {
    name: 'the greeting of a database',
    policy: storePolicy,
    events: [received(0, other, 0.001), received(1, other, 0.001)],
    fires: [],
  },
  {
    name: 'a store that the policy does not have, and a thread of the kernel',
    policy: storePolicy,
    events: [read(0, other, 'gone', 1000, 1),
      read(1, { pid: 40, start_time: 4n, ppid: 2, comm: 'nfsd' }, 'imagenet', 1000, 9)],
    fires: [],
  },
]

export const unlistedReaderExamples = [fires, staysQuiet] as const
