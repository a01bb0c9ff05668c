import { describe, expect, it } from 'vitest'
import { batchesOf } from '../../detect/example.ts'
import type { ExampleEvent } from '../../detect/detector.ts'
import { BatchCursor } from '../../proto/batch-cursor.ts'
import { CensusTaker } from './census.ts'
import type { Census, CensusOptions } from './census.ts'
import { proposeZones } from './zones.ts'

function taken(events: ExampleEvent[], options?: CensusOptions, inRange = true): Census {
  const taker = new CensusTaker(options)
  const cursor = new BatchCursor()
  for (const batch of batchesOf(events)) cursor.forEach(batch, (event) => taker.take(event, inRange))
  return taker.finish()
}

const open = (values: object, process: object = {}): ExampleEvent => ({
  kind: 'connection_open', at_ms: 0, process: {
    pid: 7, start_time: 7n, exe: '/usr/bin/app', cgroup_id: 5n, cgroup_path: '/a', ...process,
  },
  values: {
    local_addr: '10.0.0.1', local_port: 40_000, remote_addr: '10.0.0.2', remote_port: 443,
    protocol: 'tcp', direction: 'outgoing', ...values,
  },
})

describe('the census', () => {
  it('knows who talks from where, and what the others serve and ask for', () => {
    const census = taken([
      open({}),
      open({ direction: 'accepted', local_port: 80, remote_addr: '10.0.0.3', remote_port: 50_000 }),
    ])
    expect(census.members).toMatchObject([
      { node_id: 'node-1', exe: '/usr/bin/app', cgroup_path: '/a', addresses: new Set(['10.0.0.1']) }])
    expect([...census.remotes]).toEqual([
      ['10.0.0.2', { serves: new Set(['443/tcp']), asks: new Set() }],
      ['10.0.0.3', { serves: new Set(), asks: new Set(['80/tcp']) }],
    ])
    expect([...census.own]).toEqual(['10.0.0.1'])
  })

  it('takes flows and repeats as it does connections', () => {
    const { values, process } = open({ protocol: 'udp', remote_port: 53 }) as {
      values: object, process: object }
    const census = taken([
      { kind: 'datagram_flow', at_ms: 0, values, process },
      { kind: 'connection_repeat', at_ms: 1, process,
        values: { ...values, protocol: 'tcp', remote_port: 8080, local_port: 0 } },
    ])
    expect(census.remotes.get('10.0.0.2')!.serves).toEqual(new Set(['53/udp', '8080/tcp']))
  })

  it('learns facts that come after the connections, or before the range', () => {
    const seen: ExampleEvent = { kind: 'workload_seen', at_ms: 5, values: {
      cgroup_id: 5n, namespace: 'team-a', labels: ['app=x'], service_account: 'default' } }
    const group: ExampleEvent = { kind: 'node_seen', at_ms: 5, values: {
      node_group: 'gpu', addresses: ['10.0.0.1', '10.7.0.1'] } }
    const names: ExampleEvent = { kind: 'dns_answer', at_ms: 5, values: {
      name: 'hub.example.com', addresses: ['192.0.2.1'] } }
    expect(taken([open({}), seen, group]).members)
      .toMatchObject([{ namespace: 'team-a', labels: ['app=x'], node_group: 'gpu' }])
    const before = taken([open({}), seen, group, names], {}, false)
    expect(before.members).toEqual([])
    expect(before.own).toEqual(new Set(['10.0.0.1', '10.7.0.1']))
    expect(before.names).toEqual(new Map([['192.0.2.1', ['hub.example.com']]]))
  })

  it('does not believe the partition that a job says itself to be in', () => {
    const seen = (facts_source: string): ExampleEvent => ({ kind: 'workload_seen', at_ms: 5,
      values: { cgroup_id: 5n, slurm_partition: 'gpu', facts_source } })
    expect(taken([open({}), seen('environment')]).members[0].slurm_partition).toBe('')
    expect(taken([open({}), seen('slurm')]).members[0].slurm_partition).toBe('gpu')
    const node = (slurm_partitions: string[]): ExampleEvent =>
      ({ kind: 'node_seen', at_ms: 6, values: { slurm_partitions } })
    const partitionOn = (partitions: string[]): string =>
      taken([open({}), seen('environment'), node(partitions)]).members[0].slurm_partition
    expect(partitionOn(['a100'])).toBe('a100')
    expect(partitionOn(['a100', 'debug'])).toBe('')
  })

  it('passes over loopback and drills', () => {
    const census = taken([
      open({ local_addr: '127.0.0.1', remote_addr: '127.0.0.1' }),
      open({ local_addr: '192.0.2.1', remote_addr: '198.51.100.1' }),
    ])
    expect(census).toMatchObject({ members: [], ends: 0 })
  })

  it('keeps no more than its bounds, and counts what did not fit', () => {
    const events = Array.from({ length: 50 }, (_, i) =>
      open({ remote_addr: `10.1.0.${i}` }, { exe: `/usr/bin/app${i}` }))
    const census = taken(events, { membersMax: 20, addressesMax: 30 })
    expect(census.members).toHaveLength(20)
    expect(census.remotes.size).toBe(30)
    expect(census.unlisted).toBe(30 + 20)
  })

  it('passes over what a node calls its address and is none', () => {
    const addresses = ['junk', '10.0.0.9', 'fe80::1%eth0', '2001:DB8:0::1', '']
    const census = taken([{ kind: 'node_seen', at_ms: 0, values: { addresses } }, open({})])
    expect([...census.own]).toEqual(['10.0.0.9', '2001:db8::1', '10.0.0.1'])
    expect(() => proposeZones(census)).not.toThrow()
  })

  it('takes no name that a policy cannot hold', () => {
    const names = ['*.example.com', 'a b', 'x"y.com', 'local'].map((name): ExampleEvent =>
      ({ kind: 'dns_answer', at_ms: 0, values: { name, addresses: ['192.0.2.1'] } }))
    expect(taken(names).names.size).toBe(0)
  })
})
