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

const learning = `version: 1
detectors:
  NET-003:
    thresholds: { learn_ms: 600000, learn_events: 4, fanout_hosts: 12, fanout_ports: 15 }
zones:
  - name: training
    exposure: protected
    match: { cidrs: [10.20.0.0/16] }
  - name: ingestion
    exposure: public
    match: { cidrs: [10.30.0.0/16] }
flows:
  - { from: ingestion, to: training, ports: [9400/tcp], reason: Metrics are scraped. }
  - { from: ingestion, to: training, reason: The rest. }
`
const scraper = { ...scanner, pid: 12, exe: '/usr/bin/prometheus', workload: 'prometheus.service' }

/** A connection that was established. */
function reached(
  at_ms: number, address: string, port: number, process: Partial<Process> = scanner,
): ExampleEvent {
  return {
    kind: 'connection_open', at_ms, process, values: {
      local_addr: '10.30.0.7', local_port: 45_000, remote_addr: address, remote_port: port,
      protocol: 'tcp', direction: 'outgoing',
    },
  }
}

/** A flow of datagrams; without an answer when its last report says so. */
function datagram(at_ms: number, address: string, report: string, port = 161): ExampleEvent {
  return {
    kind: 'datagram_flow', at_ms, process: scanner, values: {
      local_addr: '10.30.0.7', local_port: 45_001, remote_addr: address, remote_port: port,
      protocol: port === 0 ? 'icmp' : 'udp', direction: 'outgoing', report, packets_sent: 1,
      bytes_sent: 40, connection_id: 7n,
    },
  }
}

/** Eleven minutes of a workload that asks four servers. */
const usualWork = (process: Partial<Process>, port = 443): ExampleEvent[] =>
  times(12, (i) => reached(60_000 * i, `10.20.9.${i % 4}`, port, process))
const late = 700_000

const fires: Example[] = [
  {
    name: 'a process that tries the SSH port of 25 hosts fires once',
    events: times(25, (i) => failed(i, 100, `10.20.0.${i + 1}`, 22, refused)),
    fires: ['failed to connect to 20 hosts'],
  },
  {
    name: 'a process that tries many ports of one host fires once',
    events: times(40, (i) => failed(i, 50, '10.20.0.9', 1000 + i, refused)),
    fires: ['failed to connect to 30 ports of one host'],
  },
  {
    name: 'a shell loop with a process for each host counts as one workload',
    events: times(25, (i) => failed(i, 500, `2001:db8::${i + 1}`, 22, timedOut,
      { ...scanner, pid: 5000 + i, start_time: BigInt(i), exe: '/usr/bin/nc', comm: 'nc' })),
    fires: ['/usr/bin/nc'],
  },
]

const firesOpen: Example[] = [
  {
    name: 'a process that reaches the SSH port of many hosts, which all answer',
    policy: learning,
    events: [...usualWork(scanner),
      ...times(14, (i) => reached(late + i * 100, `10.20.0.${i}`, 22))],
    fires: ['talked to 12 hosts on port 22/tcp within 60 seconds, such as 10.20.0.5:22/tcp'],
  },
  {
    name: 'a process that finds many ports of one host open',
    policy: learning,
    events: [...usualWork(scanner),
      ...times(18, (i) => reached(late + i * 100, '10.20.0.9', 100 + i))],
    fires: ['talked to 15 ports of one host within 60 seconds'],
  },
  {
    name: 'a sweep by ping',
    policy: learning,
    events: [...usualWork(scanner),
      ...times(14, (i) => datagram(late + i * 10, `10.20.0.${i}`, 'first', 0))],
    fires: ['talked to 12 hosts on icmp'],
  },
  {
    name: 'datagrams that nobody answers, before anything was learned',
    events: times(22, (i) => datagram(i * 100, `10.20.0.${i}`, 'last')),
    fires: ['failed to connect to 20 hosts'],
  },
  {
    name: 'failures that were counted, not told one by one',
    events: times(20, (i) => ({
      kind: 'connection_repeat', at_ms: i, process: scanner, values: {
        local_addr: '10.30.0.7', remote_addr: `10.20.0.${i}`, remote_port: 22, failed: 500,
        direction: 'outgoing', protocol: 'tcp',
      },
    })),
    fires: ['failed to connect to 20 hosts'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'a scraper that has always asked as many',
    policy: learning.replace('9400/tcp', '9999/tcp'),
    events: [0, 61_000, late].flatMap((startMs) =>
      times(14, (i) => reached(startMs + i * 10, `10.20.0.${i}`, 9400, scraper))),
    fires: [],
  },
  {
    name: 'a scraper that a flow of the policy names the port for',
    policy: learning,
    events: [...usualWork(scraper, 9400),
      ...times(20, (i) => reached(late + i * 10, `10.20.0.${i}`, 9400, scraper))],
    fires: [],
  },
  {
    name: 'all-to-all training of a job that is larger than those before',
    policy: learning,
    events: [...usualWork({ ...scanner, workload: 'job:1' }), ...times(50, (i) => reached(
      late + i * 10, `10.20.0.${i}`, 33_000 + 37 * i, { ...scanner, workload: 'job:2' }))],
    fires: [],
  },
  {
    name: 'a young workload that reaches many, and answers to datagrams',
    policy: learning,
    events: [...times(20, (i) => reached(i, `10.20.0.${i}`, 22)), ...times(30, (i) => ({
      ...datagram(1000 + i, `10.20.1.${i}`, 'last'),
      values: { ...datagram(0, `10.20.1.${i}`, 'last').values, packets_received: 1 },
    }) as ExampleEvent)],
    fires: [],
  },
  {
    name: 'one-way streams of datagrams, and pings of what may be down',
    events: [...times(25, (i) => ({
      ...datagram(i, `10.20.1.${i}`, 'last', 514),
      values: { ...datagram(0, `10.20.1.${i}`, 'last', 514).values, packets_sent: 400 },
    }) as ExampleEvent), ...times(25, (i) => datagram(100 + i, `10.20.2.${i}`, 'last', 0))],
    fires: [],
  },
  {
    name: 'retries to one dead host stay quiet',
    events: times(100, (i) => failed(i, 100, '10.20.0.1', 443, timedOut)),
    fires: [],
  },
  {
    name: 'service discovery that finds nobody on a few hosts stays quiet',
    events: times(150, (i) => failed(i, 20, `10.20.0.${i % 5}`, 8000 + (i % 10), refused)),
    fires: [],
  },
  {
    name: 'many hosts over hours, few in each window, stay quiet',
    events: times(60, (i) => failed(i, 10_000, `10.20.1.${i}`, 443, timedOut)),
    fires: [],
  },
  {
    name: 'a crawler without an IPv6 route, whose packets never leave, stays quiet',
    events: times(40, (i) => failed(i, 10, `2001:db8::${i + 1}`, 443, noRoute)),
    fires: [],
  },
  {
    name: 'two workloads with half of the hosts each stay quiet',
    events: times(30, (i) => failed(i, 100, `10.20.0.${i}`, 22, refused,
      i % 2 === 0 ? scanner : { ...scanner, pid: 9, workload: 'b.service', cgroup_path: '/b' })),
    fires: [],
  },
]

export const scanExamples = [[...fires, ...firesOpen], staysQuiet] as const
