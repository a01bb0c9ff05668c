/** Examples of NET-009: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../detect/detector.ts'
import type { Process } from '../proto/gen/events.ts'

const learning = `version: 1
detectors:
  NET-009:
    thresholds: { learn_ms: 60000, learn_events: 1 }
`
const operator: Partial<Process> = {
  pid: 300, start_time: 1n, uid: 900, comm: 'operator', exe: '/manager',
  cgroup_path: '/kubepods/pod1', workload: 'pod:6d83fd9f-b7d4-4808-9784-b6e53db4cbc5',
}
const kubelet: Partial<Process> = {
  pid: 50, start_time: 1n, uid: 0, comm: 'kubelet', exe: '/usr/bin/kubelet',
  workload: 'kubelet.service',
}

const read = (at_ms: number, process: Partial<Process>): ExampleEvent => ({
  kind: 'secret_read', at_ms, process,
  values: {
    path: '/run/secrets/kubernetes.io/serviceaccount/..2030_01_01_00_00_00.1/token',
    secret: 'service_account_token', inode: 7n,
  },
})

const fires: Example[] = [
  { name: 'a cat in a pod', events: [read(0, { ...operator, exe: '/bin/cat' })],
    fires: ['/bin/cat (pid 300, uid 900, workload pod:6d83fd9f-b7d4-4808-9784-b6e53db4cbc5 on '
      + 'node-1) opened the token of a service account'] },
  { name: 'a process of the node that looks into a pod',
    events: [read(0, { ...kubelet, exe: '/usr/bin/python3', workload: 'backup.service' })],
    fires: ['It is in no pod'] },
  { name: 'a program that had not read it while the pod was learned', policy: learning,
    events: [read(0, operator), read(70_000, { ...operator, pid: 301, exe: '/tmp/.x' })],
    fires: ['No such program had done so in 1 hour and 2 events'] },
]

const staysQuiet: Example[] = [
  { name: 'the operator that it was made for, also when it is renewed', policy: learning,
    events: [read(0, operator), read(90_000, operator), read(180_000, operator)], fires: [] },
  { name: 'kubelet, which writes it', events: [read(0, kubelet)], fires: [] },
]

export const tokenExamples = [fires, staysQuiet] as const
