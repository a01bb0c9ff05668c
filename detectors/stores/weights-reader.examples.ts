/** Examples of STO-005: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../../detect/detector.ts'
import { inPod, ofUnit } from '../gpu/example-actors.ts'
import { exec, openPolicy, read, storePolicy } from './example-stores.ts'

const pod = 'pod:serve/llm-0'
const tar = inPod(500, '/usr/bin/tar', pod)
const python = inPod(501, '/usr/bin/python3.11', pod)
const rsync = ofUnit(502, '/usr/bin/rsync', 'ssh.service')
const workerLine = 'from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=5, ' +
  'pipe_handle=7)'
const worker = inPod(503, '/usr/bin/python3', pod)

/** Reports of a process that goes on reading. */
function on(process: typeof tar, at_ms = 0, store = 'weights'): ExampleEvent[] {
  return [1, 2, 3].map((i) => read(at_ms + 5000 * i, process, store, 200, i))
}

const fires: Example[] = [
  {
    name: 'weights that are packed in an inference pod, told once',
    policy: storePolicy,
    events: [exec(0, tar, 'tar czf - /data/weights'), ...on(tar)],
    fires: ['/usr/bin/tar (pid 500, uid 1000, workload pod:serve/llm-0 on node-1) read 200 MiB of '
      + '1 file of the weights weights. It is a program that packs files'],
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
    fires: ['read 64.0 MiB of 16 files'],
  },
  {
    name: 'a copy on the node, by someone whom the policy does not name',
    policy: storePolicy,
    events: on(rsync),
    fires: ['The policy does not name it as a reader (line 20)'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'a server that loads its weights, with workers that Python starts',
    policy: openPolicy,
    events: [
      exec(0, python, 'python3 -u serve.py -c config.yaml'), ...on(python),
      exec(0, worker, ['python3', '-c', workerLine, '--multiprocessing-fork']), ...on(worker),
      ...on(inPod(504, '/opt/vllm/bin/vllm', pod)),
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
