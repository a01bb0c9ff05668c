// The zone detector under the ready policy, with the names that Kubernetes, Slurm and DNS give.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { Engine } from '../detect/engine.ts'
import type { ExampleEvent } from '../detect/detector.ts'
import { batchesOf, eventsOf } from '../detect/example.ts'
import zoneViolation from './zone-violation.ts'

const policy = readFileSync(new URL('../deploy/policy/three-rules.yaml', import.meta.url), 'utf8')

/** Zones and severity of what is raised, `from > to severity`, in order. */
function raised(events: ExampleEvent[]): string[] {
  const heartbeat: ExampleEvent = { kind: 'heartbeat', at_ms: 60_000, values: {} }
  const engine = new Engine({ detectors: [zoneViolation] })
  const batches = batchesOf(eventsOf({ policy, events: [...events, heartbeat] }))
  for (const [position, batch] of batches.entries()) engine.ingest(batch, position)
  return engine.incidents().flatMap((one) => one.findings.map(({ details }) =>
    `${details.from_zone} > ${details.to_zone} ${one.severity}`))
}

const NODES: ExampleEvent[] = [
  { kind: 'node_seen', at_ms: 0, node_id: 'gpu-1', values: { node_group: 'training', addresses: ['10.20.0.1'] } },
  { kind: 'node_seen', at_ms: 0, node_id: 'inf-1', values: { node_group: 'inference', addresses: ['10.30.0.1'] } },
]
const pod = (cgroup_id: bigint, namespace: string, service_account: string, at_ms = 0): ExampleEvent => ({
  kind: 'workload_seen', at_ms, node_id: 'inf-1',
  values: { cgroup_id, namespace, service_account, pod_uid: `${cgroup_id}`, facts_source: 'kubernetes' },
})
const connect = (
  cgroup_id: bigint, exe: string, remote: string, over: object = {}, node_id = 'inf-1',
): ExampleEvent => {
  const [remote_addr, port] = remote.split(' ')
  return {
    kind: 'connection_open', at_ms: 100, node_id,
    process: { pid: Number(cgroup_id), start_time: 5n, exe, cgroup_id, cgroup_path: `/kubepods/${cgroup_id}` },
    values: { local_addr: '10.244.1.5', local_port: 40_000, remote_addr, remote_port: Number(port),
      protocol: 'tcp', direction: 'outgoing', ...over },
  }
}

describe('the three rules', () => {
  it('raise a pod of the DMZ that logs in to a training node, whatever addresses they have', () => {
    const node: ExampleEvent = {
      kind: 'node_seen', at_ms: 0, node_id: 'gpu-9', values: { node_group: 'training', addresses: ['172.31.7.7'] } }
    expect(raised([...NODES, node, pod(7n, 'inference', 'model-server'), connect(7n, '/usr/bin/ssh', '172.31.7.7 22')]))
      .toEqual(['inference > training critical'])
  })

  it('stay quiet while a job reads its data, by its partition alone', () => {
    const job: ExampleEvent = { kind: 'workload_seen', at_ms: 0, node_id: 'gpu-1',
      values: { cgroup_id: 9n, slurm_job: '4711', slurm_partition: 'train-big', facts_source: 'slurm' } }
    const read = (port: number): ExampleEvent =>
      connect(9n, '/usr/bin/python3.12', `10.50.0.3 ${port}`, { local_addr: '172.31.7.8' }, 'gpu-1')
    expect(raised([...NODES, job, read(2049), read(9000)])).toEqual([])
    expect(raised([...NODES, job, read(22)])).toEqual(['training > storage high'])
  })

  it('let a model server call for updates by name, and nobody call in from there', () => {
    const answer: ExampleEvent = { kind: 'dns_answer', at_ms: 0, node_id: 'inf-1',
      values: { name: 'cdn-lfs.hf.co', addresses: ['203.0.113.80'], ttl_s: 300, server_addr: '10.96.0.10' } }
    const server = [...NODES, pod(7n, 'inference', 'model-server'), answer]
    expect(raised([...server, connect(7n, '/usr/bin/python3.12', '203.0.113.80 443')])).toEqual([])
    expect(raised([...server, connect(7n, '/usr/bin/python3.12', '203.0.113.81 443')]))
      .toEqual(['inference > external medium'])
    const inward = { direction: 'accepted', local_port: 443 }
    expect(raised([...server, connect(7n, '/usr/bin/python3.12', '203.0.113.80 50000', inward)]))
      .toEqual(['model-source > inference medium'])
    expect(raised([...server, connect(7n, '/usr/bin/python3.12', '203.0.113.81 50000', inward)])).toEqual([])
  })

  it('let the loader write, and raise another pod of its namespace', () => {
    const write = (account: string): string[] => raised([...NODES, pod(8n, 'data-pipelines', account),
      connect(8n, '/app/load', '10.50.0.3 9000')])
    expect(write('loader-images')).toEqual([])
    expect(write('default')).toEqual(['pipelines > storage critical'])
  })

  it('stay quiet for the kubelet and for Slurm, which belong to orchestration on every node', () => {
    const unit = (cgroup_path: string, remote: string): ExampleEvent => {
      const event = connect(3n, '/usr/bin/x', remote, { local_addr: '10.20.0.1' }, 'gpu-1')
      return { ...event, process: { ...event.process, cgroup_path } } as ExampleEvent
    }
    expect(raised([...NODES, unit('/system.slice/kubelet.service', '10.40.0.2 6443'),
      unit('/system.slice/slurmd.service', '10.40.0.2 6817')])).toEqual([])
  })

  it('wait for the names of a pod that has just started, with one end or both', () => {
    const early = connect(8n, '/app/load', '10.50.0.3 9000')
    const start = { ...early, process: { ...early.process, workload: 'pod:8' } } as ExampleEvent
    const store: ExampleEvent = { kind: 'connection_open', at_ms: 200, node_id: 'store-1',
      process: { pid: 4, start_time: 1n, exe: '/minio', cgroup_path: '/system.slice/minio.service' },
      values: { local_addr: '10.50.0.3', local_port: 9000, remote_addr: '10.244.1.5', remote_port: 40_000,
        protocol: 'tcp', direction: 'accepted' } }
    for (const both of [[], [store]]) {
      expect(raised([...NODES, start, ...both, pod(8n, 'data-pipelines', 'loader-images', 900)])).toEqual([])
      expect(raised([...NODES, start, ...both, pod(8n, 'data-pipelines', 'default', 900)]))
        .toEqual(['pipelines > storage critical'])
      // Names that never come keep nothing back.
      expect(raised([...NODES, start, ...both])).toEqual(['inference > storage critical'])
    }
  })
})
