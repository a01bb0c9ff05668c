/** Examples of NET-011: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../detect/detector.ts'
import type { Process, RdmaConnection } from '../proto/gen/events.ts'

const policy = `version: 1
zones:
  - name: training
    exposure: protected
    match: { cidrs: [10.20.0.0/16] }
  - name: storage
    exposure: protected
    match: { cidrs: [10.50.0.0/16] }
flows:
  - { from: training, to: storage, ports: [any/rdma], reason: Checkpoints. }
`

function rank(job: number, pid: number, uid = 1000): Partial<Process> {
  return {
    pid, start_time: BigInt(pid), uid, comm: 'python', exe: '/usr/bin/python3',
    cgroup_path: `/slurm/job_${job}`, workload: `job:${job}`,
  }
}
const session: Partial<Process> = {
  pid: 900, start_time: 9n, uid: 1001, comm: 'ib_write_bw', exe: '/usr/bin/ib_write_bw',
  cgroup_path: '/user.slice/user-1001.slice/session-3.scope', workload: 'user-1001.slice',
}
const daemon: Partial<Process> = {
  pid: 77, start_time: 5n, comm: 'daos_engine', exe: '/usr/bin/daos_engine',
  cgroup_path: '/system.slice/daos.service', workload: 'daos.service',
}

function end(
  at_ms: number, node: number, process: Partial<Process>, peer: number,
  values: Partial<RdmaConnection> = {},
): ExampleEvent {
  return {
    kind: 'rdma_connection', at_ms, process, node_id: `gpu-${node}`, values: {
      device: 'mlx5_0', local_addr: `10.20.0.${node}`, remote_addr: `10.20.0.${peer}`,
      qp_num: 100 * node + peer, remote_qp_num: 100 * peer + node, protocol: 'rdma', qp_type: 2,
      transport: 'roce', report: 'first', connection_id: BigInt(100 * node + peer), ...values,
    },
  }
}

const pod = (at_ms: number, node: number, id: bigint, namespace: string): ExampleEvent => ({
  kind: 'workload_seen', at_ms, node_id: `gpu-${node}`, values: {
    cgroup_id: id, cgroup_path: `/kubepods/pod${id}`, workload: `pod:${namespace}/p${id}`,
    pod_uid: `uid-${id}`, namespace, pod_name: `p${id}`, facts_source: 'kubernetes',
  },
})
const inPod = (pid: number, id: bigint): Partial<Process> => ({
  pid, start_time: BigInt(pid), uid: 0, comm: 'python', exe: '/usr/bin/python3', cgroup_id: id,
  cgroup_path: `/kubepods/pod${id}`, workload: `pod:uid-${id}`,
})
const beat = (at_ms: number): ExampleEvent =>
  ({ kind: 'heartbeat', at_ms, node_id: 'gpu-1', values: { probes_attached: 1 } })

const fires: Example[] = [
  {
    name: 'two jobs of two users, both ends seen',
    events: [end(10, 1, rank(41, 500), 2), end(12, 2, rank(42, 600, 1007), 1), beat(20_000)],
    fires: ['of job 41 of uid 1000 has an RDMA connection with /usr/bin/python3 (pid 600, '
      + 'uid 1007, workload job:42 on gpu-2) of job 42 of uid 1007'],
  },
  {
    name: 'the same whichever end comes first, once for many queue pairs',
    events: [end(10, 2, rank(42, 600, 1007), 1), end(12, 1, rank(41, 500), 2),
      end(20, 1, rank(41, 500), 2, { qp_num: 7, remote_qp_num: 8 }),
      end(22, 2, rank(42, 600, 1007), 1, { qp_num: 8, remote_qp_num: 7 })],
    fires: ['of job 41 of uid 1000 has an RDMA connection'],
  },
  {
    name: 'someone who is logged in and reaches into a job',
    policy,
    events: [end(10, 1, rank(41, 500), 2), end(12, 2, session, 1), beat(20_000)],
    fires: ['/usr/bin/ib_write_bw (pid 900, uid 1001, workload user-1001.slice on gpu-2) of no '
      + 'job (uid 1001)'],
  },
  {
    name: 'two namespaces, whose names come from the Kubernetes API',
    events: [pod(0, 1, 11n, 'team-a'), pod(0, 2, 12n, 'team-b'), end(10, 1, inPod(500, 11n), 2),
      end(12, 2, inPod(600, 12n), 1)],
    fires: ['of namespace team-a has an RDMA connection'],
  },
  {
    name: 'a peer that no agent watches and no zone holds',
    policy,
    events: [end(10, 1, rank(41, 500), 2, { remote_addr: '192.168.9.9' }), beat(5000),
      beat(20_000)],
    fires: ['with 192.168.9.9, which is in no zone of the policy. The other end was not seen'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'all to all within a job, and within a job of each neighbour',
    policy,
    events: [1, 2, 3, 4].flatMap((node) => [1, 2, 3, 4].filter((peer) => peer !== node)
      .map((peer) => end(node, node, rank(41, 500 + node), peer)))
      .concat(end(10, 5, rank(42, 600, 1007), 6), end(11, 6, rank(42, 601, 1007), 5),
        beat(20_000)),
    fires: [],
  },
  {
    name: 'a job that saves checkpoints through a service, as the policy allows',
    policy,
    events: [end(10, 1, rank(41, 500), 9, { remote_addr: '10.50.0.9' }),
      end(11, 9, daemon, 1, { local_addr: '10.50.0.9' }),
      end(12, 2, rank(41, 501), 9, { remote_addr: '10.50.0.9' }), beat(20_000)],
    fires: [],
  },
  {
    name: 'a peer that is not watched, while nothing is known of its address',
    events: [end(10, 1, rank(41, 500), 2, { remote_addr: '192.168.9.9' }), beat(20_000)],
    fires: [],
  },
  {
    name: 'two pods of a namespace, and pods of which nothing is known',
    events: [pod(0, 1, 11n, 'team-a'), pod(0, 2, 12n, 'team-a'), end(10, 1, inPod(500, 11n), 2),
      end(12, 2, inPod(600, 12n), 1), end(20, 3, inPod(700, 13n), 4),
      end(22, 4, inPod(800, 14n), 3)],
    fires: [],
  },
  {
    name: 'ends of two connections that only look alike',
    events: [end(10, 1, rank(41, 500), 2), end(12, 2, rank(42, 600, 1007), 1, { qp_num: 999 }),
      end(13, 2, rank(42, 600, 1007), 1, { report: 'last' })],
    fires: [],
  },
]

export const rdmaPeerExamples = [fires, staysQuiet] as const
