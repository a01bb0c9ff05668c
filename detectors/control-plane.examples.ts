/** Examples of NET-008: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../detect/detector.ts'
import type { ConnectionOpen, Process } from '../proto/gen/events.ts'

const learning = `version: 1
detectors:
  NET-008:
    thresholds: { learn_ms: 60000, learn_events: 1 }
`
const declared = `version: 1
zones:
  - name: training
    exposure: protected
    match: { cidrs: [10.20.0.0/16] }
  - name: orchestration
    exposure: internal
    match: { cidrs: [10.40.0.0/16] }
flows:
  - { from: training, to: orchestration, ports: [6443/tcp], reason: Jobs ask for their pods. }
`
const pod: Partial<Process> = {
  pid: 300, start_time: 1n, uid: 900, comm: 'serve', exe: '/opt/app/serve',
  cgroup_path: '/kubepods/pod1', workload: 'pod:6d83fd9f-b7d4-4808-9784-b6e53db4cbc5',
}
const kubectl: Partial<Process> = { ...pod, pid: 301, comm: 'kubectl', exe: '/tmp/kubectl' }
const job: Partial<Process> = {
  pid: 500, start_time: 3n, uid: 1000, comm: 'srun', exe: '/usr/bin/srun', workload: 'job:41',
}

function reach(
  at_ms: number, process: Partial<Process>, remote_addr: string, remote_port: number,
  values: Partial<ConnectionOpen> = {},
): ExampleEvent {
  return {
    kind: 'connection_open', at_ms, process,
    values: {
      local_addr: '10.20.0.7', local_port: 40_000, remote_addr, remote_port, protocol: 'tcp',
      direction: 'outgoing', ...values,
    },
  }
}

const apiSeen: ExampleEvent = {
  kind: 'address_seen', at_ms: 0, node_id: 'correlator',
  values: {
    seen_addr: '10.96.0.1', port: 443, address_kind: 'service',
    workload: 'service:default/kubernetes', translated: true,
  },
}

const fires: Example[] = [
  {
    name: 'a kubectl in an inference pod, at the address of the service',
    events: [apiSeen, reach(1, kubectl, '10.96.0.1', 443)],
    fires: ['/tmp/kubectl (pid 301, uid 900, workload pod:6d83fd9f-b7d4-4808-9784-b6e53db4cbc5 on '
      + 'node-1) talks to the Kubernetes API server at 10.96.0.1:443'],
  },
  {
    name: 'a server that never asked a kubelet before',
    policy: learning,
    events: [reach(0, pod, '10.1.0.7', 6443), reach(70_000, pod, '10.1.0.7', 10250)],
    fires: ['talks to a kubelet at 10.1.0.7:10250. Its workload had not done so in 1 hour'],
  },
  {
    name: 'a shell in a container that opens the socket of the runtime',
    events: [{
      kind: 'unix_connection', at_ms: 0, process: { ...pod, exe: '/usr/bin/curl' },
      values: { path: '/var/run/docker.sock', peer_pid: 7, socket_type: 1 },
    }],
    fires: ['the container runtime of the node at /var/run/docker.sock'],
  },
  {
    name: 'a python of a job that talks to the daemon of another node',
    policy: learning,
    events: [reach(0, { ...job, exe: '/usr/bin/python3' }, '10.1.0.1', 6817),
      reach(70_000, { ...job, exe: '/usr/bin/python3' }, '10.1.0.9', 6818)],
    fires: ['talks to a Slurm node daemon'],
  },
]

const staysQuiet: Example[] = [
  { name: 'an operator that has always talked to the API', policy: learning,
    events: [reach(0, pod, '10.1.0.7', 6443), reach(90_000, pod, '10.1.0.8', 6443)], fires: [] },
  { name: 'jobs that start steps with the programs of Slurm', policy: learning,
    events: [reach(0, job, '10.1.0.1', 6817), reach(90_000, job, '10.1.0.9', 6818)], fires: [] },
  { name: 'daemons of the node itself',
    events: [reach(0, {
      pid: 9, start_time: 1n, exe: '/usr/bin/kubelet', workload: 'kubelet.service',
    }, '10.1.0.7', 6443)], fires: [] },
  { name: 'a flow that names the port', policy: declared,
    events: [reach(0, kubectl, '10.40.0.7', 6443)], fires: [] },
  { name: 'other servers on port 443, and those who are called from such a port',
    events: [apiSeen, reach(1, kubectl, '10.96.7.7', 443),
      reach(2, kubectl, '10.1.0.7', 6443, { direction: 'accepted', local_port: 80 })], fires: [] },
]

export const controlPlaneExamples = [fires, staysQuiet] as const
