/** Examples of STO-005: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../../detect/detector.ts'
import { inJob, inPod, ofUnit } from '../gpu/example-actors.ts'
import { exec, openPolicy, read, storePolicy } from './example-stores.ts'

const pod = 'pod:serve/llm-0'
const tar = inPod(500, '/usr/bin/tar', pod)
const python = inPod(501, '/usr/bin/python3.11', pod)
const rsync = ofUnit(502, '/usr/bin/rsync', 'ssh.service')
const workerLine = 'from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=5, ' +
  'pipe_handle=7)'
const server = inPod(504, '/opt/vllm/bin/vllm', pod)
const rank = inJob(520, '/usr/bin/python3.11')
const otherRank = inJob(521, '/usr/bin/python3.11')
const worker = inPod(503, '/usr/bin/python3', pod)

/** Reports of a process that goes on reading. */
function on(process: typeof tar, at_ms = 0, store = 'weights'): ExampleEvent[] {
  return [1, 2, 3].map((i) => read(at_ms + 5000 * i, process, store, 200, i))
}

/** The second process reads them out of the memory of the first. */
function fromMemory(process: typeof tar, owner: typeof tar): ExampleEvent[] {
  return [1, 2].map((i) => read(20_000 + 5000 * i, process, 'weights', 200, 0, {
    mechanism: 'process_memory', owner_pid: owner.pid!, owner_start_time: owner.start_time!,
  }))
}

const fires: Example[] = [
  {
    name: 'weights in the memory of a server that another workload reads',
    policy: openPolicy,
    events: [...on(server), ...fromMemory(rank, server)],
    fires: ['/usr/bin/python3.11 (pid 520, uid 1001, workload job:4711 on node-1) read 400 MiB of '
      + 'the weights weights. It is a program that takes it out of the memory of another workload'],
  },
  {
    name: 'checkpoints that are packed',
    policy: openPolicy.replace('kind: weights', 'kind: checkpoints'),
    events: on(tar),
    fires: ['the checkpoints weights. It is a program that packs files'],
  },
  {
    name: 'weights that are packed in an inference pod, told once',
    policy: storePolicy,
    events: [exec(0, tar, 'tar czf - /data/weights'), ...on(tar)],
    fires: ['/usr/bin/tar (pid 500, uid 1000, workload pod:serve/llm-0 on node-1) read 600 MiB of '
      + '3 files of the weights weights. It is a program that packs files'],
  },
  {
    name: 'a line of Python, a module that serves files, and a tool that is written in Python',
    policy: openPolicy,
    events: [
      exec(0, python, 'python3 -c open(p).read()'), ...on(python),
      exec(0, inPod(511, '/usr/bin/python3', 'pod:a/x'), 'python3 -m http.server 8000'),
      ...on(inPod(511, '/usr/bin/python3', 'pod:a/x')),
      exec(0, inPod(512, '/usr/bin/python3', 'pod:a/y'),
        '/usr/bin/python3 /usr/local/bin/aws s3 cp'),
      ...on(inPod(512, '/usr/bin/python3', 'pod:a/y')),
    ].sort((a, b) => a.at_ms - b.at_ms),
    fires: ['a program that was typed in, not a file', 'a program that sends files',
      'a program that sends files'],
  },
  {
    name: 'one process for each file, each of them small',
    policy: storePolicy,
    events: Array.from({ length: 40 }, (_, i) =>
      read(100 * i, inPod(600 + i, '/bin/busybox', pod), 'weights', 4, 1)).flatMap((event) => [
      exec(event.at_ms, event.process!, 'cp /data/weights/a /tmp/a'), event]),
    fires: ['and 39 others read 160 MiB of 40 files'],
  },
  {
    name: 'a copy on the node, by someone whom the policy does not name',
    policy: storePolicy,
    events: on(rsync),
    fires: ['The policy does not name it as a reader (line 20)'],
  },
]

/** In a pod of a zone that may read. */
const byHand = ['/usr/bin/tar', '/bin/cp', '/usr/bin/scp', '/usr/bin/python3.11'].map((exe, i) =>
  inPod(700 + i, exe, `pod:serve/llm-${i}`))
fires.push({
  name: 'tar, cp, scp and a line of Python in inference pods that may read',
  policy: storePolicy,
  events: byHand.flatMap((process, i) => [
    exec(100 * i, process, i < 3 ? `${process.comm} /data/weights/a b`
      : ['python3', '-Ic', 'import shutil; shutil.copytree("/data/weights", "/mnt/x")']),
    read(100 * i + 50, process, 'weights', 200, 1)]),
  fires: ['/usr/bin/tar', '/bin/cp', '/usr/bin/scp', '/usr/bin/python3.11 (pid 703, uid 1000, '
    + 'workload pod:serve/llm-3 on node-1) read 200 MiB of 1 file of the weights weights. It is a '
    + 'program that was typed in, not a file, no server and no training. The policy lets it read'],
})

const staysQuiet: Example[] = [
  {
    name: 'ranks of a job that read the memory of each other',
    policy: openPolicy,
    events: [...on(rank), ...fromMemory(otherRank, rank)],
    fires: [],
  },
  {
    name: 'checkpoints that are copied and looked at by who trains',
    policy: openPolicy.replace('kind: weights', 'kind: checkpoints'),
    events: [...on(inJob(522, '/usr/bin/cp')), ...on(inJob(523, '/usr/bin/rsync'), 1)]
      .sort((a, b) => a.at_ms - b.at_ms),
    fires: [],
  },
  {
    name: 'a server that loads its weights, with workers that Python starts',
    policy: openPolicy,
    events: [
      exec(0, python, 'python3 -u serve.py -c config.yaml'), ...on(python),
      exec(0, worker, ['python3', '-c', workerLine, '--multiprocessing-fork']), ...on(worker),
      ...on(server),
    ].sort((a, b) => a.at_ms - b.at_ms),
    fires: [],
  },
  {
    name: 'a backup that the policy names by its unit',
    policy: storePolicy,
    events: on(ofUnit(505, '/usr/bin/tar', 'backup.service')),
    fires: [],
  },
  {
    name: 'a look at a configuration, a check of digests, and a data set',
    policy: storePolicy,
    events: [
      read(0, inPod(506, '/usr/bin/cat', pod), 'weights', 2, 1),
      ...on(inPod(507, '/usr/bin/sha256sum', pod)),
      ...on(tar, 0, 'imagenet'),
    ].sort((a, b) => a.at_ms - b.at_ms),
    fires: [],
  },
]

export const weightsReaderExamples = [fires, staysQuiet] as const
