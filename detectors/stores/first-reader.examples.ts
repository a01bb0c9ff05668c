/** Examples of STO-001: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../../detect/detector.ts'
import type { Process } from '../../proto/gen/events.ts'
import { inJob, inPod, ofUnit } from '../gpu/example-actors.ts'
import { openPolicy, read, storePolicy } from './example-stores.ts'

const DAY_MS = 86_400_000
/** One report a day is enough. */
const fewReports = `detectors:
  STO-001:
    thresholds: { learn_reports: 8 }
`
const policy = openPolicy + fewReports
const loader = ofUnit(500, '/opt/loader/bin/load', 'loader.service')
const web = ofUnit(501, '/usr/bin/node', 'web.service')
const job = { ...inJob(502, '/usr/bin/python3.11', 'job:7'), uid: 2002 }

/** A reader of every day, for nine days. */
function usual(store: string, process: Partial<Process> = loader): ExampleEvent[] {
  return Array.from({ length: 9 }, (_, day) => read(day * DAY_MS, process, store, 500, 40))
}

const later = 9 * DAY_MS

const fires: Example[] = [
  {
    name: 'a service that never read the data, told once',
    policy,
    events: [...usual('imagenet'), read(later, web, 'imagenet', 1, 1),
      read(later + 5000, web, 'imagenet', 300, 9)],
    fires: ['/usr/bin/node (pid 501, uid 0, workload web.service on node-1) read 301 MiB of '
      + '9 files of the data set imagenet. No such workload (web.service) had read it in the 9 '
      + 'days that it is known, 1 other had.'],
  },
  {
    name: 'a job of a user who never read the weights',
    policy,
    events: [...usual('weights'), read(later, job, 'weights', 90, 2)],
    fires: ['No such workload (jobs of uid 2002)'],
  },
  {
    name: 'a tool in a service that read the store with its own program alone',
    policy,
    events: [...usual('imagenet'),
      read(later, { ...loader, pid: 503, exe: '/usr/bin/tar' }, 'imagenet', 90, 2)],
    fires: ['Its workload had read it (seen on 9 days in 10 reports), but never with a program '
      + 'that packs files.'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'a store that is not known for long: everybody is new',
    policy,
    events: [...usual('imagenet').slice(0, 3), read(4 * DAY_MS, web, 'imagenet', 300, 9)],
    fires: [],
  },
  {
    name: 'another job of the same user, and another version of the program',
    policy,
    events: [...usual('imagenet', job),
      read(later, { ...job, pid: 504, workload: 'job:8', exe: '/usr/bin/python3.12' }, 'imagenet',
        300, 9)],
    fires: [],
  },
  {
    name: 'a store that is not sensitive, and very little of one that is',
    policy,
    events: [...usual('scratch'), ...usual('imagenet')].sort((a, b) => a.at_ms - b.at_ms).concat(
      read(later, web, 'scratch', 300, 9), read(later, job, 'imagenet', 0.01, 1)),
    fires: [],
  },
  {
    name: 'where the policy names readers it decides: STO-004 tells of others',
    policy: storePolicy + fewReports,
    events: [...usual('imagenet', job), read(later, web, 'imagenet', 300, 9),
      read(later + 1, inJob(505, '/usr/bin/python3', 'job:9'), 'imagenet', 300, 9)],
    fires: [],
  },
  {
    name: 'a pod whose owner is not known yet',
    policy,
    events: [...usual('imagenet'), read(later, inPod(506, '/usr/bin/node'), 'imagenet', 300, 9)],
    fires: [],
  },
]

export const firstReaderExamples = [fires, staysQuiet] as const
