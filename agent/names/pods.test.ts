import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Client } from '../../kubernetes/request.ts'
import { ApiServer } from '../../kubernetes/sample/api-server.ts'
import { samplePod } from '../../kubernetes/sample/pod.ts'
import type { AddressSeen, WorkloadSeen } from '../../proto/gen/events.ts'
import type { Cgroup } from '../enrich/cgroups.ts'
import { workloadOf } from '../enrich/workload.ts'
import { Pods } from './pods.ts'
import { Workloads } from './workloads.ts'

const uid = '6d83fd9f-b7d4-4808-9784-b6e53db4cbc5'
const path = `/kubepods/burstable/pod${uid}/${'c9'.repeat(32)}`
const cgroup = (id: bigint): Cgroup => ({ id, path, workload: workloadOf(path) })

let server: ApiServer
let close: () => Promise<void>
let seen: Partial<WorkloadSeen>[]
let addresses: Partial<AddressSeen>[]
let workloads: Workloads

beforeEach(async () => {
  server = new ApiServer()
  seen = []
  addresses = []
  workloads = new Workloads({ seen: (one) => { seen.push(one) } })
  const client = new Client({ api: await server.listen() })
  const pods = new Pods({
    client, node: 'gpu-07', workloads, addressSeen: (one) => { addresses.push(one) },
    complain: (error) => { throw error }, recovered: () => undefined,
  })
  pods.start()
  await vi.waitFor(() => expect(server.watchCount).toBe(1))
  close = async () => {
    await pods.stop()
    client.close()
    server.close()
  }
})
afterEach(() => close())

const facts = {
  namespace: 'team-a', pod_name: 'llm-5d9c7b9f4-x2x2x', service_account: 'serving',
  owner: 'Deployment/llm', labels: ['app=llm', 'pod-template-hash=5d9c7b9f4'], facts_source: 'kubernetes',
}

describe('the pods of a node', () => {
  it('name the cgroups that were found before the API told of the pod', async () => {
    workloads.addCgroup(`pod:${uid}`, cgroup(7n))
    expect(seen).toEqual([])
    server.put(uid, samplePod())
    await vi.waitFor(() => expect(seen).toHaveLength(1))
    expect(seen[0]).toMatchObject({
      ...facts, cgroup_id: 7n, cgroup_path: path, workload: `pod:${uid}`, pod_uid: uid,
    })
  })

  it('name the cgroups that come after it, such as that of a second container', async () => {
    server.put(uid, samplePod())
    await vi.waitFor(() => expect(workloads.size).toBe(1))
    workloads.addCgroup(`pod:${uid}`, cgroup(7n))
    workloads.addCgroup(`pod:${uid}`, cgroup(8n))
    workloads.addCgroup(`pod:${uid}`, cgroup(8n))
    expect(seen.map(({ cgroup_id, pod_name }) => [cgroup_id, pod_name]))
      .toEqual([[7n, facts.pod_name], [8n, facts.pod_name]])
  })

  it('tell again when the labels change, and not when something else does', async () => {
    workloads.addCgroup(`pod:${uid}`, cgroup(7n))
    server.put(uid, samplePod())
    server.put(uid, { ...samplePod(), extra: 1 })
    server.put(uid, samplePod({ labels: { app: 'llm', tier: 'dmz' } }))
    await vi.waitFor(() => expect(seen).toHaveLength(2))
    expect(seen[1].labels).toEqual(['app=llm', 'tier=dmz'])
  })

  it('own their addresses until they end or get another one', async () => {
    server.put(uid, samplePod())
    server.put(uid, samplePod({ ip: '10.244.1.99' }))
    server.put(uid, samplePod({ ip: '10.244.1.99', phase: 'Succeeded' }))
    await vi.waitFor(() => expect(addresses).toHaveLength(4))
    expect(addresses.map(({ seen_addr, gone }) => [seen_addr, gone])).toEqual([
      ['10.244.1.17', false], ['10.244.1.17', true], ['10.244.1.99', false], ['10.244.1.99', true],
    ])
    expect(addresses[0]).toMatchObject({
      address_kind: 'pod', workload: 'pod:team-a/llm-5d9c7b9f4-x2x2x', namespace: 'team-a',
      service_account: 'serving', labels: facts.labels, on_node: 'gpu-07',
    })
  })

  it('on the network of their node own no address', async () => {
    server.put(uid, samplePod({ hostNetwork: true }))
    await vi.waitFor(() => expect(workloads.size).toBe(1))
    expect(addresses).toEqual([])
  })
})

describe('workloads', () => {
  it('keep the facts of one that ended for a while, then forget it', () => {
    workloads.setFacts('pod:a', facts)
    workloads.ended('pod:a', 1000)
    workloads.addCgroup('pod:a', cgroup(1n))
    expect(seen).toHaveLength(1)
    workloads.ended('pod:b', 601_001)
    expect(workloads.size).toBe(0)
  })

  it('are bounded: the oldest leaves, and is counted', () => {
    const few = new Workloads({ seen: () => undefined, cgroupsMax: 3 })
    for (let n = 0; n < 10; n++) few.addCgroup(`pod:${n}`, cgroup(BigInt(n)))
    expect([few.size, few.evictions]).toEqual([3, 7])
  })
})
