/** Examples of STO-008: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../../detect/detector.ts'
import type { Process } from '../../proto/gen/events.ts'
import { inJob, inPod, ofUnit } from '../gpu/example-actors.ts'
import { openPolicy, read, received, storePolicy } from './example-stores.ts'

const DAY_MS = 86_400_000
const PARTS = 4
const trainer = inJob(500, '/usr/bin/python3.11')
const timer = ofUnit(501, '/usr/bin/node', 'report.service')
const tool = { ...inJob(502, '/usr/bin/rclone', 'job:5'), uid: 2002 }

/** The whole store, every day, at a rate that leaves other readers far behind. */
function training(days: number, store = 'imagenet', files = 1000): ExampleEvent[] {
  return Array.from({ length: days }, (_, day) =>
    read(day * DAY_MS, trainer, store, 50_000, files, { inode: BigInt(day) }))
}

/** So many files each day, the next ones of the store, in a few reports by a process of the day. */
function daily(
  process: Partial<Process>, days: number, files: number, step = files, store = 'imagenet',
): ExampleEvent[] {
  return Array.from({ length: days * PARTS }, (_, i) => {
    const [day, part] = [Math.floor(i / PARTS), i % PARTS]
    const inode = BigInt(100 + day * step + part * Math.floor(files / PARTS))
    const own = { ...process, pid: process.pid! + 10 * day, start_time: BigInt(day + 1) }
    return read(day * DAY_MS + 3600_000 + 5000 * part, own, store, 100,
      Math.ceil((part + 1) * files / PARTS), { inode })
  })
}

/** A database that a server asks all day, and what another one gets from it on each day. */
function asked(
  process: Partial<Process>, mib: number, days: number, firstDay = 0,
): ExampleEvent[] {
  return Array.from({ length: days }, (_, i) => {
    const day = firstDay + i
    const own = { ...process, pid: process.pid! + 10 * day, start_time: BigInt(day + 1) }
    return received(day * DAY_MS + 3600_000 + process.pid!, own, mib)
  })
}

function merged(...parts: ExampleEvent[][]): ExampleEvent[] {
  return parts.flat().sort((a, b) => a.at_ms - b.at_ms)
}

const answering = inPod(503, '/usr/bin/python3', 'pod:serve/llm-0')

const fires: Example[] = [
  {
    name: 'a database that a timer copies in parts, which the policy does not let',
    policy: storePolicy,
    events: merged(asked(answering, 900, 20), asked(timer, 120, 20)),
    fires: ['workload report.service on node-1) and others of its kind read 960 MiB of the '
      + 'database vectors on 8 days, never much on one: as much as is read of it in its busiest '
      + 'day (900 MiB). The policy does not name it as a reader'],
  },
  {
    name: 'the same by one who comes later, where the policy names no readers',
    policy: openPolicy,
    events: merged(asked(answering, 900, 24), asked(timer, 120, 14, 10)),
    fires: ['on 8 days, never much on one'],
  },
  {
    name: 'a timer that takes the next tenth of a data set every night, told once',
    policy: openPolicy,
    events: merged(training(12), daily(timer, 12, 100)),
    fires: ['workload report.service on node-1) and others of its kind read 2.8 GiB of 725 files '
      + 'of the data set imagenet on 8 days, never much on one: about 73% of its 1000 files. The '
      + 'policy names no readers of it.'],
  },
  {
    name: 'a tool in the jobs of a user whom the policy lets read',
    policy: storePolicy,
    events: merged(training(12), daily(tool, 12, 100)),
    fires: ['/usr/bin/rclone'],
  },
  {
    name: 'weights that are one file, taken in parts',
    policy: openPolicy,
    events: merged(training(12, 'weights', 1), daily(timer, 12, 1, 0, 'weights')
      .map((event) => ({ ...event, values: { ...event.values, bytes: 2_500_000_000 } }) as
        ExampleEvent)),
    fires: ['as much as is read of it in its busiest day'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'a small client of a database that was there from the beginning',
    policy: openPolicy,
    events: merged(asked(answering, 900, 24), asked(timer, 120, 24)),
    fires: [],
  },
  {
    name: 'a client that the policy lets read, in small parts',
    policy: storePolicy,
    events: merged(asked(answering, 900, 24),
      asked(inPod(504, '/usr/bin/python3', 'pod:serve/eval-0'), 120, 24)),
    fires: [],
  },
  {
    name: 'a client that reads much on each of its days: others tell of it',
    policy: storePolicy,
    events: merged(asked(answering, 900, 9), asked(timer, 300, 9)),
    fires: [],
  },
  {
    name: 'the same sample every day, and a training that reads everything',
    policy: openPolicy,
    events: merged(training(14), daily(timer, 14, 100, 0)),
    fires: [],
  },
  {
    name: 'a workload that the policy lets read, in parts as small',
    policy: storePolicy,
    events: merged(training(14),
      daily({ ...trainer, pid: 600, uid: 7, workload: 'job:9' }, 14, 90)),
    fires: [],
  },
  {
    name: 'a store that is read by one training alone, slowly, for weeks',
    policy: openPolicy,
    events: daily(trainer, 20, 60),
    fires: [],
  },
  {
    name: 'parts on four days, and little of the store in weeks',
    policy: openPolicy,
    events: merged(training(20), daily(timer, 4, 190), daily({ ...timer, workload: 'x.service' },
      20, 8)),
    fires: [],
  },
]

export const trickleExamples = [fires, staysQuiet] as const
