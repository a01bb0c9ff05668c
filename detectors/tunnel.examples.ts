/** Examples of NET-010: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../detect/detector.ts'
import type { DatagramFlow, Process } from '../proto/gen/events.ts'

const learning = `version: 1
detectors:
  NET-010:
    thresholds: { learn_ms: 600000, learn_events: 4 }
`
const zoned = `${learning}zones:
  - name: training
    exposure: protected
    match: { cidrs: [10.20.0.0/16] }
flows:
  - from: training
    to: external
    ports: [443/tcp]
    executables: [/opt/licence/bin/lmgrd]
    reason: The licence server is asked every minute.
`
const service: Partial<Process> = {
  pid: 300, start_time: 1n, uid: 900, comm: 'agent', exe: '/opt/agent/bin/agent',
  cgroup_path: '/system.slice/agent.service', workload: 'agent.service',
}
const implant: Partial<Process> = { ...service, pid: 301, comm: 'x', exe: '/tmp/.x' }
const curl: Partial<Process> = {
  pid: 40, start_time: 9n, uid: 1000, comm: 'curl', exe: '/usr/bin/curl', workload: 'job:41',
}

/** Between -1 and 1, the same each time. */
const wobble = (i: number): number => ((i * 7919) % 201) / 100 - 1

/** `count` connections, one each `everyMs`, give or take `jitter` of that; every fourth ends. */
function beats(
  startMs: number, count: number, everyMs: number, jitter: number, process: Partial<Process>,
  address = '203.0.113.66', bytes = 900,
): ExampleEvent[] {
  return Array.from({ length: count }, (_, i) => {
    const at_ms = startMs + i * everyMs + Math.round(jitter * everyMs * wobble(i))
    const values = {
      local_addr: '10.20.0.7', local_port: 40_000 + i, remote_addr: address, remote_port: 443,
      protocol: 'tcp', direction: 'outgoing', connection_id: BigInt(startMs + i),
    }
    const one = process === curl ? { ...curl, pid: 1000 + i, start_time: BigInt(i + 10) } : process
    const ends = { ...values, bytes_sent: 300, bytes_received: bytes - 300 }
    const close = { kind: 'connection_close', at_ms: at_ms + 200, process: one, values: ends }
    const open = { kind: 'connection_open', at_ms, process: one, values }
    return (i % 4 === 0 ? [open, close] : [open]) as ExampleEvent[]
  }).flat()
}

function answers(
  count: number, everyMs: number, nameAt: (i: number) => string,
): ExampleEvent[] {
  return Array.from({ length: count }, (_, i) => ({
    kind: 'dns_answer', at_ms: i * everyMs, process: implant,
    values: { name: nameAt(i), server_addr: '10.20.0.2', response_code: 0, addresses: [] },
  }))
}

function icmp(at_ms: number, packets: number, packetBytes: number): ExampleEvent {
  const values: Partial<DatagramFlow> = {
    local_addr: '10.20.0.7', remote_addr: '10.60.0.1', protocol: 'icmp', direction: 'outgoing',
    packets_sent: packets, packets_received: packets, bytes_sent: packets * packetBytes,
    bytes_received: packets * packetBytes, report: 'periodic', connection_id: 5n,
  }
  return { kind: 'datagram_flow', at_ms, process: implant, values }
}

const hex = (i: number, length: number): string =>
  (BigInt(i + 1_000_003) ** 60n).toString(16).slice(0, length)

const fires: Example[] = [
  {
    name: 'a new peer that is called every minute, give or take a tenth, told once',
    policy: learning,
    events: [...beats(0, 4, 60_000, 0, service, '198.51.100.5'),
      ...beats(700_000, 19, 60_000, 0.1, implant)],
    fires: ['/tmp/.x (pid 301, uid 900, workload agent.service on node-1) connects to '
      + '203.0.113.66:443/tcp every 60 seconds of about 900 B, 17 times so far'],
  },
  {
    name: 'a loop of curl in a job, before anything was learned',
    events: beats(0, 18, 30_000, 0.05, curl),
    fires: ['/usr/bin/curl'],
  },
  {
    name: 'from a protected zone it is worse, and one missed beat hides nothing',
    policy: zoned,
    events: [...beats(0, 4, 60_000, 0, service, '198.51.100.5'),
      ...beats(700_000, 9, 60_000, 0.1, implant), ...beats(1_300_000, 10, 60_000, 0.1, implant)],
    fires: ['as a beacon does'],
  },
  {
    name: 'data in the names of one domain',
    events: answers(52, 1000, (i) => `${hex(i, 50)}.t.evil.example`),
    fires: ['asked for 50 names under evil.example within 49 seconds, with labels of 50'],
  },
  {
    name: 'data in ICMP',
    events: [icmp(0, 1, 64), icmp(10_000, 100, 1200), icmp(20_000, 200, 1200)],
    fires: ['234 KiB with 10.60.0.1 over ICMP, 1200 bytes in a packet'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'a monitor that has always posted every 15 seconds',
    policy: learning,
    events: beats(0, 50, 15_000, 0.02, service),
    fires: [],
  },
  {
    name: 'a new peer, called as work comes in',
    policy: learning,
    events: [...beats(0, 4, 60_000, 0, service, '198.51.100.5'),
      ...beats(700_000, 24, 40_000, 0.9, implant)].sort((a, b) => a.at_ms - b.at_ms),
    fires: [],
  },
  {
    name: 'regular downloads that are large',
    events: beats(0, 18, 30_000, 0.05, curl, '203.0.113.66', 4_000_000),
    fires: [],
  },
  {
    name: 'a program that a flow of the policy names, and peers within the site',
    policy: zoned,
    events: [...beats(0, 4, 60_000, 0, service, '198.51.100.5'),
      ...beats(700_000, 18, 60_000, 0, { ...service, pid: 7, exe: '/opt/licence/bin/lmgrd' }),
      ...beats(2_000_000, 18, 60_000, 0, implant, '10.20.0.99'),
      ...beats(3_500_000, 18, 60_000, 0, implant, '192.168.7.7')],
    fires: [],
  },
  {
    name: 'many short names of one domain, and long ones of the cluster and of reverse look-ups',
    events: [...answers(52, 100, (i) => `img${i}.cdn.example`),
      ...answers(52, 100, (i) => `${hex(i, 40)}.team-a.svc.cluster.local`),
      ...answers(52, 100, (i) => `${hex(i, 40)}.ip6.arpa`)],
    fires: [],
  },
  {
    name: 'one long name again and again',
    events: answers(60, 100, () => `${hex(1, 60)}.elb.example.co.uk`),
    fires: [],
  },
  {
    name: 'a ping that runs for hours, and a few large ones that probe the path',
    events: [icmp(0, 5000, 64), icmp(1, 4, 1472)],
    fires: [],
  },
]

export const tunnelExamples = [fires, staysQuiet] as const
