/** Examples of STO-012: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../../../detect/detector.ts'
import type { Process } from '../../../proto/gen/events.ts'
import { inPod, ofUnit } from '../../gpu/example-actors.ts'
import { write } from '../example-stores.ts'
import { artifactPolicy, DAY_MS, pipeline, server, training } from './example-artifacts.ts'

const rm = ofUnit(740, '/usr/bin/rm', 'ssh.service')
const MIB = 1_048_576

function gone(
  at_ms: number, process: Partial<Process>, store: string, count: number,
): ExampleEvent {
  return write(at_ms, process, store, {
    operation: 'delete', count, bytes: count * MIB, path: `/data/${store}/m/${count}.bin` })
}

function renamed(
  at_ms: number, process: Partial<Process>, store: string, count: number, to: string,
): ExampleEvent {
  const old_path = `/data/${store}/m/${at_ms}.bin`
  return write(at_ms, process, store,
    { operation: 'rename', count, old_path, path: to === '' ? `${old_path}.x` : old_path + to })
}

function overwritten(
  at_ms: number, process: Partial<Process>, store: string, count: number,
): ExampleEvent {
  return write(at_ms, process, store, {
    operation: 'overwrite', count, bytes: count * MIB, path: `/data/${store}/m/${count}.pt` })
}

const fires: Example[] = [
  {
    name: 'half of a registry that somebody deletes who may not',
    policy: artifactPolicy,
    events: [gone(0, rm, 'registry', 1), gone(10, rm, 'registry', 1),
      gone(5000, rm, 'registry', 600), gone(10_000, rm, 'registry', 200)],
    fires: ['/usr/bin/rm (pid 740, uid 0, workload ssh.service on node-1) deleted 602 files of '
      + 'about 1000 in the store registry within minutes (602 MiB of what was there). The policy '
      + 'does not name it as a writer'],
  },
  {
    name: 'weights that get a new ending, one by one and in bulk',
    policy: artifactPolicy,
    events: [...[0, 1, 2].map((i) => renamed(i, server, 'llama', 1, '.locked')),
      renamed(5000, server, 'llama', 120, '.locked')],
    fires: ['renamed 123 files to the ending .locked in the store llama within minutes (0 B of '
      + 'what was there). That is what encryption looks like'],
  },
  {
    name: 'a pipeline that takes away far more than it ever did',
    policy: artifactPolicy,
    events: [...Array.from({ length: 12 }, (_, i) => gone(i * DAY_MS, pipeline, 'registry', 20)),
      gone(13 * DAY_MS, pipeline, 'registry', 400)],
    fires: ['The policy lets it change the store (line 16). The most it had in 13 days and 12 '
      + 'changes was 20 files'],
  },
  {
    name: 'a store without writers: told as low, since little is known',
    policy: artifactPolicy,
    events: [write(0, rm, 'runs', { operation: 'truncate', count: 150, bytes: 150 * MIB })],
    fires: ['cut 150 files to nothing in the store runs within minutes (150 MiB of what was '
      + 'there). The policy names no writers of it. Little is known yet'],
  },
]

fires.push({
  name: 'files that are overwritten under their own names by who may not',
  policy: artifactPolicy,
  events: [...[0, 1, 2].map((i) => overwritten(i, rm, 'registry', 1)),
    overwritten(5000, rm, 'registry', 90), overwritten(10_000, rm, 'registry', 60)],
  fires: ['overwrote 153 files in place of about 1000 in the store registry within minutes '
    + '(153 MiB of what was there). That is what encryption looks like. The policy does not name '
    + 'it as a writer'],
}, {
  name: 'a pipeline that overwrites far more than it ever took away',
  policy: artifactPolicy,
  events: [
    ...Array.from({ length: 12 }, (_, i) => overwritten(i * DAY_MS, pipeline, 'registry', 20)),
    overwritten(13 * DAY_MS, pipeline, 'registry', 400)],
  fires: ['overwrote 400 files in place of about 1000'],
})

const staysQuiet: Example[] = [
  {
    name: 'jobs that delete their old checkpoints every hour',
    policy: artifactPolicy,
    events: Array.from({ length: 24 * 9 }, (_, i) => gone(i * DAY_MS / 24, training, 'runs', 64)),
    fires: [],
  },
  {
    name: 'jobs that delete what they made themselves, from their first day on',
    policy: artifactPolicy,
    events: [1, 2, 3].flatMap((i) => [
      write(3_600_000 * i, training, 'runs', { operation: 'create', count: 1024 }),
      gone(3_600_000 * i + 60_000, training, 'runs', 1024)]),
    fires: [],
  },
  {
    name: 'files that are made under another name and then get their own',
    policy: artifactPolicy,
    events: Array.from({ length: 20 }, (_, i) => write(5000 * i, pipeline, 'llama', {
      operation: 'rename', count: 40, old_path: '/data/llama/a.safetensors.incomplete',
      path: '/data/llama/a.safetensors' })),
    fires: [],
  },
  {
    name: 'a pipeline that empties a store in its first week, and new files that are cut short',
    policy: artifactPolicy,
    events: [gone(0, pipeline, 'registry', 900),
      write(10, inPod(741, '/usr/bin/cp', 'pod:web/a'), 'llama',
        { operation: 'truncate', count: 500, bytes: 0 })],
    fires: [],
  },
  {
    name: 'jobs that write their checkpoints in place, and files that they made themselves',
    policy: artifactPolicy,
    events: [
      ...Array.from({ length: 24 * 9 }, (_, i) =>
        overwritten(i * DAY_MS / 24, training, 'runs', 64)),
      write(10 * DAY_MS, { ...training, uid: 9 }, 'runs', { operation: 'create', count: 512 }),
      overwritten(10 * DAY_MS + 60_000, { ...training, uid: 9 }, 'runs', 512)],
    fires: [],
  },
  {
    name: 'a pipeline that changes a whole store in place in its first week',
    policy: artifactPolicy,
    events: [overwritten(0, pipeline, 'registry', 900)],
    fires: [],
  },
  {
    name: 'files that are opened for writing and not changed',
    policy: artifactPolicy,
    events: [write(0, rm, 'runs', { operation: 'modify', count: 900 })],
    fires: [],
  },
  {
    name: 'a few files now and then',
    policy: artifactPolicy,
    events: Array.from({ length: 30 }, (_, i) => gone(i * 300_000, rm, 'registry', 60)),
    fires: [],
  },
]

export const massChangeExamples = [fires, staysQuiet] as const
