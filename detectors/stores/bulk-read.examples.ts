/** Examples of STO-002: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../../detect/detector.ts'
import type { Process } from '../../proto/gen/events.ts'
import { inJob, inPod, ofUnit } from '../gpu/example-actors.ts'
import { openPolicy, read, received, storePolicy } from './example-stores.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const GIB = 1024
const fewReports = `detectors:
  STO-002:
    thresholds: { learn_reports: 8 }
`
const policy = openPolicy + fewReports
const expected = storePolicy.replace('expected: { files: 1000 }',
  'expected: { bytes_per_day: 20 GiB }')
const job = inJob(500, '/usr/bin/python3.11')
const server = ofUnit(501, '/opt/vllm/bin/vllm', 'vllm.service')

/** A gigabyte a day, in two parts, for nine days. */
function usual(process: Partial<Process>, store = 'imagenet'): ExampleEvent[] {
  return Array.from({ length: 18 }, (_, i) =>
    read(i * DAY_MS / 2, process, store, 0.5 * GIB, 40))
}

const later = 9 * DAY_MS

const fires: Example[] = [
  {
    name: 'a job that reads eight times its usual day, told once a day',
    policy,
    events: [...usual(job), ...Array.from({ length: 8 }, (_, i) =>
      read(later + i * HOUR_MS, job, 'imagenet', GIB, 100 * i))],
    fires: ['/usr/bin/python3.11 (pid 500, uid 1001, workload job:4711 on node-1) read 5.0 GiB of '
      + 'the data set imagenet today. Its workload has read at most 1.0 GiB in nearly every day '
      + 'before, seen on 9 days in'],
  },
  {
    name: 'more than the policy expects in a day, whatever was seen before',
    policy: expected,
    events: [1, 2, 3].map((i) => read(i * HOUR_MS, job, 'imagenet', 9 * GIB, 100)),
    fires: ['read 27.0 GiB of the data set imagenet today. The policy expects 20.0 GiB in a day'],
  },
  {
    name: 'much at once out of a database that answers little',
    policy,
    events: [...Array.from({ length: 18 }, (_, i) => received(i * DAY_MS / 2, server, 10)),
      received(later, server, 3 * GIB)],
    fires: ['read 3.0 GiB of the database vectors today.'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'three times the usual day, as after a restart or with another epoch',
    policy,
    events: [...usual(job), ...[0, 1, 2].map((i) =>
      read(later + i * HOUR_MS, job, 'imagenet', GIB, 40))],
    fires: [],
  },
  {
    name: 'a workload of which too little was seen',
    policy,
    events: [...usual(job).slice(0, 8), read(5 * DAY_MS, job, 'imagenet', 100 * GIB, 1000)],
    fires: [],
  },
  {
    name: 'many jobs of one user at once, each of them as large as ever',
    policy,
    events: [...usual(job), ...Array.from({ length: 20 }, (_, i) => read(later + i,
      inJob(600 + i, '/usr/bin/python3.11', `job:${i}`), 'imagenet', GIB, 40))],
    fires: [],
  },
  {
    name: 'less than the policy expects, although it is more than ever',
    policy: expected,
    events: [...usual(job), read(later, job, 'imagenet', 19 * GIB, 900)],
    fires: [],
  },
  {
    name: 'a server that loads its weights again and again, in a pod of a class without a past',
    policy,
    events: Array.from({ length: 10 }, (_, i) => read(i * HOUR_MS,
      inPod(700 + i, '/opt/vllm/bin/vllm', `pod:serve/llm-${i}`), 'weights', 100 * GIB, 14)),
    fires: [],
  },
]

export const bulkReadExamples = [fires, staysQuiet] as const
