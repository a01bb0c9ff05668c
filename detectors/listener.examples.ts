/** Examples of NET-012: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../detect/detector.ts'
import type { Listen, Process } from '../proto/gen/events.ts'

const learning = `version: 1
detectors:
  NET-012:
    thresholds: { learn_ms: 60000, learn_events: 2 }
`
const zoned = `${learning}zones:
  - name: training
    exposure: protected
    match: { cidrs: [10.20.0.0/16], executables: [/usr/bin/socat] }
  - name: orchestration
    exposure: internal
    match: { cidrs: [10.60.0.0/16] }
flows:
  - { from: orchestration, to: training, ports: [9400/tcp], reason: GPU metrics are scraped. }
`
const server: Partial<Process> = {
  pid: 300, start_time: 1n, uid: 900, comm: 'vllm', exe: '/opt/vllm/bin/serve',
  cgroup_path: '/system.slice/vllm.service', workload: 'vllm.service',
}
const implant: Partial<Process> = { ...server, pid: 301, comm: 'x', exe: '/tmp/.x' }
const socat: Partial<Process> = { ...server, pid: 302, comm: 'socat', exe: '/usr/bin/socat' }
const rank: Partial<Process> = {
  pid: 400, start_time: 9n, uid: 1000, comm: 'python', exe: '/home/ada/env/bin/python3.11',
  cgroup_path: '/slurm/job_41', workload: 'job:41',
}

function listen(
  at_ms: number, port: number, process = server, values: Partial<Listen> = {},
): ExampleEvent {
  return {
    kind: 'listen', at_ms, process,
    values: { local_addr: '10.20.0.7', local_port: port, protocol: 'tcp', ...values },
  }
}

const exec = (at_ms: number, process: Partial<Process>): ExampleEvent =>
  ({ kind: 'process_exec', at_ms, process, values: { exe: process.exe } })

const socket = (at_ms: number, process: Partial<Process>, family: number, protocol_number = 3,
  at_start = false): ExampleEvent => ({
  kind: 'raw_socket', at_ms, process, values: { family, protocol_number, socket_type: 3, at_start },
})

const served = [exec(0, server), listen(10, 8000), listen(20, 9400, server, { protocol: 'udp' })]

const fires: Example[] = [
  {
    name: 'a netcat that listens, whatever was learned',
    events: [listen(5, 4444, { ...server, comm: 'nc', exe: '/usr/bin/nc.openbsd' })],
    fires: ['/usr/bin/nc.openbsd (pid 300, uid 900, workload vllm.service on node-1) listens on '
      + '10.20.0.7:4444/tcp. No service is made of this program.'],
  },
  {
    name: 'a netcat of busybox',
    events: [listen(5, 4444, { ...server, comm: 'nc', exe: '/bin/busybox' })],
    fires: ['/bin/busybox'],
  },
  {
    name: 'a relay that was there already, in a protected zone',
    policy: zoned,
    events: [listen(5, 40_001, socat, { at_start: true })],
    fires: ['already when the agent started'],
  },
  {
    name: 'a program that the service never listened with',
    policy: learning,
    events: [...served, listen(70_000, 31_337, implant)],
    fires: ['No such program of its workload had listened in 1 hour and 4 events'],
  },
  {
    name: 'a new port of a server that is known',
    policy: learning,
    events: [...served, listen(70_000, 8001), listen(71_000, 8001)],
    fires: ['It had not listened on this port'],
  },
  {
    name: 'a packet socket that a service never had, found when it was open already',
    policy: learning,
    events: [...served, socket(70_000, implant, 17, 3, true), socket(80_000, implant, 17, 3, true)],
    fires: ['/tmp/.x (pid 301, uid 900, workload vllm.service on node-1) opened a packet socket'],
  },
]

const staysQuiet: Example[] = [
  { name: 'while it learns nothing is new', policy: learning,
    events: [...served, listen(40_000, 31_337, implant), listen(90_000, 31_337, implant)],
    fires: [] },
  {
    name: 'training that listens on random ports, with a python of each environment',
    policy: learning,
    events: [exec(0, rank), exec(1, rank), listen(10, 29_500, rank),
      ...Array.from({ length: 40 }, (_, i) => listen(70_000 + i, 33_000 + 700 * i, {
        ...rank, pid: 500 + i, workload: `job:${50 + i}`, exe: `/home/ada/env${i}/bin/python3.12`,
      })), listen(71_000, 29_500, { ...rank, pid: 700, exe: '/home/ada/b/bin/python3' })],
    fires: [],
  },
  {
    name: 'a server that starts again, and what listens on loopback',
    policy: learning,
    events: [...served, listen(70_000, 8000, { ...server, pid: 900 }),
      listen(70_001, 6006, implant, { local_addr: '127.0.0.1' }),
      listen(70_002, 4444, { ...server, comm: 'nc', exe: '/usr/bin/nc' }, { local_addr: '::1' })],
    fires: [],
  },
  {
    name: 'a web server of busybox, before anything was learned',
    events: [listen(5, 8080, { ...server, comm: 'httpd', exe: '/bin/busybox' })],
    fires: [],
  },
  {
    name: 'a resolver that binds random UDP ports',
    policy: learning,
    events: [...served, ...Array.from({ length: 20 }, (_, i) =>
      listen(70_000 + i, 1024 + 997 * i, server, { protocol: 'udp' }))],
    fires: [],
  },
  {
    name: 'a ping, and a capture of packets by a workload that always has one',
    policy: learning,
    events: [...served, socket(30, socat, 17), socket(70_000, socat, 17),
      socket(70_001, implant, 2, 1), socket(70_002, implant, 10, 58)],
    fires: [],
  },
  {
    name: 'a port that a flow of the policy names',
    policy: zoned,
    events: [...served, listen(70_000, 9400, { ...server, exe: '/usr/bin/dcgm-exporter' })],
    fires: [],
  },
  {
    name: 'a listener that stood when the agent started is learned',
    policy: learning,
    events: [...served, listen(70_000, 5000, implant, { at_start: true }),
      listen(71_000, 5000, implant)],
    fires: [],
  },
]

export const listenerExamples = [fires, staysQuiet] as const
