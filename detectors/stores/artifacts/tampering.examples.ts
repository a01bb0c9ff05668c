/** Examples of STO-009: two lists, those that fire and those that stay quiet. */
import type { Example } from '../../../detect/detector.ts'
import { inPod, ofUnit } from '../../gpu/example-actors.ts'
import { openPolicy, storePolicy, write } from '../example-stores.ts'
import {
  artifactPolicy, DAY_MS, pipeline, server, shell, training,
} from './example-artifacts.ts'

/** A pipeline that writes a few times every day, for ten days. */
const tenDays = (process: typeof pipeline, store: string) =>
  Array.from({ length: 30 }, (_, i) => write(i * DAY_MS / 3, process, store))

const fires: Example[] = [
  {
    name: 'weights that a model server changes, told once',
    policy: artifactPolicy,
    events: [0, 1, 2, 3].map((i) => write(1000 * i, server, 'llama',
      { operation: 'modify', path: '/data/llama/model-1.safetensors', count: i + 1 })),
    fires: ['/usr/bin/python3 (pid 701, uid 1000, workload pod:serve/llm-0 on node-1) changed the '
      + 'store llama: it opened for writing /data/llama/model-1.safetensors. The policy does not '
      + 'name it as a writer'],
  },
  {
    name: 'a person who puts another file in the place of one, and another manifest',
    policy: artifactPolicy,
    events: [
      write(0, shell, 'registry',
        { operation: 'rename', path: '/data/registry/m/1', old_path: '/data/registry/m/x' }),
      write(10, ofUnit(704, '/usr/bin/cp', 'cron.service'), 'llama',
        { operation: 'truncate', path: '/data/llama/model.sig' }),
    ],
    fires: ['it renamed /data/registry/m/x to /data/registry/m/1',
      'it cut short /data/llama/model.sig. That is the manifest of the store'],
  },
  {
    name: 'somebody new in a store of which the policy names no writers',
    policy: openPolicy,
    events: [...tenDays(pipeline, 'weights'), write(11 * DAY_MS, server, 'weights')],
    fires: ['The policy names no writers of it. Nothing like it had changed it in 11 days and '
      + '31 events that were seen'],
  },
  {
    name: 'a data set with writers, changed by others',
    policy: storePolicy.replace('expected:', 'writers: { namespaces: [ingest] }\n    expected:'),
    events: [write(0, server, 'imagenet', { operation: 'delete', count: 20 })],
    fires: ['it deleted /data/imagenet/new (20 files)'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'the pipeline of the policy, by its zone and by its name',
    policy: artifactPolicy,
    events: [write(0, pipeline, 'registry'), write(10, pipeline, 'llama', { operation: 'rename' })],
    fires: [],
  },
  {
    name: 'who changes a store in its first week, where nobody said who may',
    policy: openPolicy,
    events: [...tenDays(pipeline, 'weights').slice(0, 15), write(5 * DAY_MS, server, 'weights')],
    fires: [],
  },
  {
    name: 'the jobs of a user, which come and go, and a data set without writers',
    policy: artifactPolicy,
    events: [...tenDays(training, 'runs'),
      write(11 * DAY_MS, { ...training, pid: 800, start_time: 9n, workload: 'job:9999' }, 'runs')],
    fires: [],
  },
  {
    name: 'a store that the policy has no more, and a server of NFS',
    policy: artifactPolicy,
    events: [write(0, server, 'gone'), write(10, { pid: 90, ppid: 2, comm: 'nfsd' }, 'llama'),
      write(20, inPod(705, '/usr/bin/cp', 'pod:ci/copy-1'), 'llama')],
    fires: [],
  },
]

export const tamperingExamples = [fires, staysQuiet] as const
