/** Examples of STO-003: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../../detect/detector.ts'
import type { Process } from '../../proto/gen/events.ts'
import { inJob, inPod, ofUnit } from '../gpu/example-actors.ts'
import { openPolicy, read, storePolicy } from './example-stores.ts'

const DAY_MS = 86_400_000
const fewReports = `detectors:
  STO-003:
    thresholds: { learn_reports: 8 }
`
const policy = openPolicy + fewReports
const trainer = inJob(500, '/usr/bin/python3.11')
const sampler = ofUnit(501, '/opt/eval/bin/sample', 'evaluation.service')
const tar = inPod(502, '/usr/bin/tar', 'pod:serve/llm-0')

/** So many files on each of nine days. */
function usual(process: Partial<Process>, files: number): ExampleEvent[] {
  return Array.from({ length: 9 }, (_, day) =>
    read(day * DAY_MS, process, 'imagenet', files, files))
}

/** Files of a process that reads on. */
function growing(process: Partial<Process>, at_ms: number, files: number): ExampleEvent[] {
  return [0.25, 0.5, 0.75, 1].map((part, i) =>
    read(at_ms + 5000 * i, process, 'imagenet', files / 4, Math.round(part * files)))
}

const later = 9 * DAY_MS
const both = [...usual(trainer, 1000), ...usual(sampler, 30)].sort((a, b) => a.at_ms - b.at_ms)

const fires: Example[] = [
  {
    name: 'a service that samples reads everything that the policy expects, told once',
    policy: storePolicy + fewReports,
    events: [...usual(sampler, 30), ...growing(sampler, later, 1000)],
    fires: ['/opt/eval/bin/sample (pid 501, uid 0, workload evaluation.service on node-1) read '
      + '500 MiB of 500 files of the data set imagenet, 50% of the 1000 files that the policy '
      + 'expects there. Its workload reads no more than 32 files with one process in nearly every '
      + 'day, seen on 9 days in'],
  },
  {
    name: 'the same, where the most that a training ever read says how large the store is',
    policy,
    events: [...both, ...growing(sampler, later, 900)],
    fires: ['68% of the most that one process had read before, 1000 files.'],
  },
  {
    name: 'a tool that nobody knows packs the data set, a process for every few files',
    policy: storePolicy,
    events: Array.from({ length: 60 }, (_, i) => read(100 * i,
      { ...tar, pid: 1000 + i, start_time: BigInt(i + 1), exe: '/usr/bin/cp' }, 'imagenet', 5, 10)),
    fires: ['read 250 MiB of 500 files of the data set imagenet, 50% of the 1000'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'a training that reads everything every day, and a new one of which little was seen',
    policy,
    events: [...both, ...growing(trainer, later, 1000),
      ...growing(inJob(503, '/usr/bin/python3', 'job:9'), later + DAY_MS / 2, 1000)],
    fires: [],
  },
  {
    name: 'a store that is not known for long, and says nothing of its size',
    policy,
    events: [...usual(sampler, 30).slice(0, 3), ...growing(tar, 4 * DAY_MS, 1000)],
    fires: [],
  },
  {
    name: 'a job of a reader copies the data set to its node',
    policy: storePolicy,
    events: growing(inJob(504, '/usr/bin/rsync'), 0, 1000),
    fires: [],
  },
  {
    name: 'a sample as large as ever, and a tool that looks at a few files',
    policy,
    events: [...both, ...growing(sampler, later, 30), ...growing(tar, later + 60_000, 40)],
    fires: [],
  },
  {
    name: 'all files of a store that has few',
    policy: openPolicy,
    events: Array.from({ length: 10 }, (_, day) => read(day * DAY_MS, tar, 'weights', 900, 14)),
    fires: [],
  },
]

export const sweepExamples = [fires, staysQuiet] as const
