import { describe, expect, it } from 'vitest'
import { compilePolicy } from '../../policy/compile.ts'
import { learningPolicy } from '../../policy/learning.ts'
import { KnownFacts } from '../../detect/names/known.ts'
import { parsePolicy } from '../../policy/parse.ts'
import { decodeBatch } from '../../proto/batch.ts'
import { BatchCursor } from '../../proto/batch-cursor.ts'
import { connection, sampleBatch } from '../sample/sample-batches.ts'
import type { SampleEvent } from '../sample/sample-batches.ts'
import { EventZoner } from './event-zones.ts'

const { policy } = parsePolicy(`version: 1
zones:
  - { name: training, exposure: protected, match: { systemd_units: [slurmd.service] } }
  - { name: inference, exposure: public, match: { executables: [/usr/bin/curl] } }
  - { name: storage, exposure: protected, match: { cidrs: [10.0.0.0/24] } }
`)

function zones(events: SampleEvent[], zoner = new EventZoner(compilePolicy(policy!))): unknown[] {
  const found: unknown[] = []
  new BatchCursor().forEach(decodeBatch(sampleBatch(1, events)), (event) => found.push(zoner.zonesOf(event)))
  return found
}

describe('the zones of an event', () => {
  it('are those of the process, and of the address at the other end', () => {
    expect(zones([connection(1, '10.0.0.9', 80), connection(2, '192.0.2.1', 80), connection(1, '127.0.0.1', 80)]))
      .toEqual([
        { zone: 'inference', remote_zone: 'storage' }, { zone: 'inference', remote_zone: 'external' },
        { zone: 'inference', remote_zone: 'inference' },
      ])
  })

  it('are those of the address where the process is in none', () => {
    const other = connection(3, '10.9.9.9', 80)
    expect(zones([{ ...other, process: { pid: 3, exe: '/bin/sh' } } as SampleEvent]))
      .toEqual([{ zone: 'storage', remote_zone: 'external' }])
  })

  it('come from the unit of the cgroup, and are left out where there is no process or no zone', () => {
    const process = { pid: 9, cgroup_path: '/system.slice/slurmd.service/x.service', exe: '/usr/sbin/slurmd' }
    expect(zones([
      { kind: 'process_exec', process }, { kind: 'heartbeat' }, { kind: 'process_exit', process: { pid: 8 } },
    ])).toEqual([{ zone: 'training' }, {}, {}])
  })

  it('are none at all while the policy has no zones', () => {
    expect(zones([connection(1, '10.0.0.9', 80)], new EventZoner(compilePolicy(learningPolicy())))).toEqual([{}])
  })

  it('follow what is known of pods and nodes, as those of incidents do, and name the far end', () => {
    const { policy: named } = parsePolicy(`version: 1
zones:
  - { name: serving, exposure: public, match: { namespaces: [serving] } }
  - { name: training, exposure: protected, match: { node_groups: [gpu] } }
`)
    const known = new KnownFacts()
    const zoner = new EventZoner(compilePolicy(named!), () => known)
    const process = { pid: 1, exe: '/bin/ssh', cgroup_id: 7n }
    const call = { ...connection(1, '10.7.0.9', 22), process } as SampleEvent
    expect(zones([call], zoner)).toEqual([{ zone: 'unzoned', remote_zone: 'external' }])
    learn(known, [
      { kind: 'workload_seen', values: { cgroup_id: 7n, namespace: 'serving', facts_source: 'kubernetes' } },
      { kind: 'address_seen',
        values: { seen_addr: '10.7.0.9', address_kind: 'node', workload: 'node:n9', on_node: 'n9' } },
    ])
    expect(zones([call], zoner))
      .toEqual([{ zone: 'serving', remote_zone: 'unzoned', remote_workload: 'node:n9' }])
    learn(known, [{ kind: 'node_seen', values: { node_group: 'gpu', addresses: ['10.7.0.9'] } }])
    expect(zones([call], zoner)).toMatchObject([{ zone: 'serving', remote_zone: 'training' }])
    const other = { ...call, process: { pid: 2, exe: '/bin/ssh', cgroup_id: 8n } } as SampleEvent
    expect(zones([other], zoner)).toMatchObject([{ zone: 'training', remote_zone: 'training' }])
  })

  it('name no far end that got the address after the event', () => {
    const known = new KnownFacts()
    const zoner = new EventZoner(compilePolicy(learningPolicy()), () => known)
    const pod = (at_ms: number): SampleEvent => ({
      kind: 'address_seen', at_ms,
      values: { seen_addr: '10.7.0.9', address_kind: 'pod', workload: `pod:a/${at_ms}` } })
    learn(known, [pod(1000)])
    expect(zones([connection(1, '10.7.0.9', 22)], zoner)).toEqual([{ remote_workload: 'pod:a/1000' }])
    learn(known, [pod(100_000)])
    expect(zones([connection(1, '10.7.0.9', 22)], zoner)).toEqual([{}])
  })
})

function learn(known: KnownFacts, events: SampleEvent[]): void {
  new BatchCursor().forEach(decodeBatch(sampleBatch(1, events)), (event) => known.learn(event))
}

describe('the store of an event', () => {
  const { policy: keeping } = parsePolicy(`version: 1
stores:
  - name: imagenet
    kind: dataset
    sensitivity: confidential
    paths: [/data]
    readers: { executables: [/opt/train] }
  - { name: vectors, kind: database, sensitivity: internal, endpoints: ["10.0.0.9:6333"] }
`)
  const stores = (events: SampleEvent[], zoner = new EventZoner(compilePolicy(keeping!))): unknown[] => {
    const found: unknown[] = []
    new BatchCursor().forEach(decodeBatch(sampleBatch(1, events)), (event) => found.push(zoner.storesOf(event)))
    return found
  }
  const read = (exe: string, workload = ''): SampleEvent =>
    ({ kind: 'store_read', process: { pid: 4, exe, workload, uid: 7 }, values: { store: 'imagenet' } })

  it('comes with whether the policy lets it be read, and with the class of the reader', () => {
    expect(stores([read('/opt/train', 'job:4711'), read('/bin/tar'),
      { ...read('/bin/tar'), kind: 'store_write' } as SampleEvent])).toEqual([
      { store: 'imagenet', permitted: true, workload_class: 'jobs of uid 7' },
      { store: 'imagenet', permitted: false, workload_class: '/bin/tar' },
      // Nobody is named who may write.
      { store: 'imagenet', workload_class: '/bin/tar' }])
  })

  it('is the one behind the far end of a connection that was opened here', () => {
    const accepted = connection(1, '10.0.0.9', 6333)
    const values = { ...(accepted as { values: object }).values, direction: 'accepted' }
    expect(stores([connection(1, '10.0.0.9', 6333), connection(1, '10.0.0.9', 22),
      { ...accepted, values } as SampleEvent, { kind: 'heartbeat' }]))
      .toEqual([{ store: 'vectors', workload_class: '/usr/bin/curl' }, {}, {}, {}])
  })

  it('is judged by nobody where the policy has no stores', () => {
    expect(stores([read('/bin/tar'), connection(1, '10.0.0.9', 6333)], new EventZoner(compilePolicy(policy!))))
      .toEqual([{ store: 'imagenet', workload_class: '/bin/tar' }, {}])
  })

  it('is in the JSON of the event', () => {
    const zoner = new EventZoner(compilePolicy(keeping!))
    const found: unknown[] = []
    new BatchCursor().forEach(decodeBatch(sampleBatch(1, [read('/bin/tar')])), (event) => found.push(zoner.json(event)))
    expect(found).toMatchObject([{ kind: 'store_read', store: 'imagenet', permitted: false, exe: '/bin/tar' }])
  })
})
