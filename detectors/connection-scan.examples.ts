/** Examples of NET-003: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../detect/detector.ts'
import type { Process } from '../proto/gen/events.ts'

const refused = 111
const timedOut = 110
const noRoute = 101

const scanner: Partial<Process> = {
  pid: 4711, start_time: 7_000_000n, ppid: 4000, uid: 1000, comm: 'nmap', exe: '/usr/bin/nmap',
  cgroup_path: '/system.slice/jupyter.service', workload: 'jupyter.service',
}

function failed(
  index: number, everyMs: number, address: string, port: number, error: number,
  process: Partial<Process> = scanner,
): ExampleEvent {
  return {
    kind: 'connection_failed', at_ms: index * everyMs, process,
    values: {
      local_addr: '10.30.0.7', remote_addr: address,
      remote_port: port, error, protocol: 'tcp',
    },
  }
}

function times(count: number, make: (index: number) => ExampleEvent): ExampleEvent[] {
  return Array.from({ length: count }, (_, index) => make(index))
}

const fires: Example[] = [
  {
    name: 'a process that tries the SSH port of 25 hosts fires once',
    events: times(25, (i) => failed(i, 100, `10.20.0.${i + 1}`, 22, refused)),
    fires: ['failed to connect to 20 hosts'],
  },
  {
    name: 'a process that tries many ports of one host fires once',
    events: times(100, (i) => failed(i, 50, '10.20.0.9', 1000 + i, refused)),
    fires: ['failed to connect to 30 ports of one host'],
  },
  {
    name: 'a shell loop with a process for each host counts as one workload',
    events: times(25, (i) => failed(i, 500, `2001:db8::${i + 1}`, 22, timedOut,
      { ...scanner, pid: 5000 + i, start_time: BigInt(i), exe: '/usr/bin/nc', comm: 'nc' })),
    fires: ['/usr/bin/nc'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'retries to one dead host stay quiet',
    events: times(500, (i) => failed(i, 100, '10.20.0.1', 443, timedOut)),
    fires: [],
  },
  {
    name: 'service discovery that finds nobody on a few hosts stays quiet',
    events: times(400, (i) => failed(i, 20, `10.20.0.${i % 5}`, 8000 + (i % 10), refused)),
    fires: [],
  },
  {
    name: 'many hosts over hours, few in each window, stay quiet',
    events: times(60, (i) => failed(i, 10_000, `10.20.1.${i}`, 443, timedOut)),
    fires: [],
  },
  {
    name: 'a crawler without an IPv6 route, whose packets never leave, stays quiet',
    events: times(100, (i) => failed(i, 10, `2001:db8::${i + 1}`, 443, noRoute)),
    fires: [],
  },
  {
    name: 'two workloads with half of the hosts each stay quiet',
    events: times(30, (i) => failed(i, 100, `10.20.0.${i}`, 22, refused,
      i % 2 === 0 ? scanner : { ...scanner, pid: 9, workload: 'b.service', cgroup_path: '/b' })),
    fires: [],
  },
]

export const scanExamples = [fires, staysQuiet] as const
