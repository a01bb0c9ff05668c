/** Examples of NET-007: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../detect/detector.ts'
import type { ConnectionOpen, Process } from '../proto/gen/events.ts'

const learning = `version: 1
detectors:
  NET-007:
    thresholds: { learn_ms: 60000, learn_events: 1 }
`
const zoned = `version: 1
zones:
  - name: inference
    exposure: public
    match: { systemd_units: [vllm.service] }
`
const pod: Partial<Process> = {
  pid: 300, start_time: 1n, uid: 900, comm: 'serve', exe: '/opt/app/serve',
  cgroup_path: '/kubepods/pod1', workload: 'pod:6d83fd9f-b7d4-4808-9784-b6e53db4cbc5',
}
const curl: Partial<Process> = { ...pod, pid: 301, comm: 'curl', exe: '/usr/bin/curl' }
const unit: Partial<Process> = {
  pid: 400, start_time: 2n, uid: 0, comm: 'backup', exe: '/usr/local/bin/backup',
  cgroup_path: '/system.slice/backup.service', workload: 'backup.service',
}

function ask(
  at_ms: number, process: Partial<Process>, remote_addr = '169.254.169.254',
  values: Partial<ConnectionOpen> = {},
): ExampleEvent {
  return {
    kind: 'connection_open', at_ms, process,
    values: {
      local_addr: '10.244.1.17', local_port: 40_000, remote_addr, remote_port: 80, protocol: 'tcp',
      direction: 'outgoing', ...values,
    },
  }
}

const failed = (at_ms: number, process: Partial<Process>): ExampleEvent => ({
  kind: 'connection_failed', at_ms, process,
  values: {
    local_addr: '10.244.1.17', remote_addr: '169.254.169.254', remote_port: 80, error: 110,
  },
})

const fires: Example[] = [
  {
    name: 'a curl in a pod',
    events: [ask(0, curl)],
    fires: ['/usr/bin/curl (pid 301, uid 900, workload pod:6d83fd9f-b7d4-4808-9784-b6e53db4cbc5 on '
      + 'node-1) reached the metadata service of the cloud at 169.254.169.254:80'],
  },
  {
    name: 'a python one-liner that tries, over IPv6 of AWS too',
    events: [
      { kind: 'process_exec', at_ms: 0, process: { ...pod, exe: '/usr/bin/python3' },
        values: { exe: '/usr/bin/python3', args: ['python3', '-c', 'import urllib'] } },
      ask(1, { ...pod, exe: '/usr/bin/python3' }, 'fd00:ec2::254'),
    ],
    fires: ['[fd00:ec2::254]:80'],
  },
  {
    name: 'a service of the public zone, by whatever program, also in vain',
    policy: zoned,
    events: [failed(0, {
      ...unit, workload: 'vllm.service', cgroup_path: '/system.slice/vllm.service',
    })],
    fires: ['tried to reach'],
  },
  {
    name: 'a program of a pod that had not asked while it was learned',
    policy: learning,
    events: [ask(0, pod), ask(70_000, { ...pod, pid: 302, exe: '/tmp/.x' })],
    fires: ['Its workload had not done so in 1 hour and 2 events'],
  },
  {
    name: 'the drill, whatever was learned',
    events: [ask(0, unit, '169.254.169.254', { local_addr: '192.0.2.1' })],
    fires: ['This is a drill.'],
  },
]

const staysQuiet: Example[] = [
  { name: 'a pod that asks for its role from its first minute on', policy: learning,
    events: [ask(0, pod), ask(30_000, pod), ask(90_000, pod)], fires: [] },
  { name: 'the agents of the cloud and other services of the node',
    events: [ask(0, unit), ask(1, { ...unit, exe: '/usr/bin/google_guest_agent' })], fires: [] },
  { name: 'link-local addresses beside it, such as the DNS of AWS',
    events: [ask(0, curl, '169.254.169.253'), ask(1, curl, '169.254.20.10')], fires: [] },
]

export const metadataExamples = [fires, staysQuiet] as const
