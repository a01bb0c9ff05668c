import { describe, expect, it } from 'vitest'
import { parsePolicy } from '../../policy/parse.ts'
import { ACCEPTED } from '../context.ts'
import { defineDetector } from '../detector.ts'
import type { ExampleEvent } from '../detector.ts'
import { Engine } from '../engine.ts'
import { batchesOf } from '../example.ts'
import { wordOf } from './address-names.ts'

const POLICY = `version: 1
resolvers: [10.96.0.10]
zones:
  - { name: serving, exposure: public, match: { namespaces: [serving] } }
  - { name: training, exposure: protected, match: { slurm_partitions: [train], node_groups: [gpu] } }
  - { name: hub, exposure: public, match: { dns_names: ["*.hub.example"] } }
  - { name: storage, exposure: protected, match: { cidrs: [10.50.0.0/16] } }
flows:
  - { from: serving, to: storage, ports: [9000], service_accounts: [serving/llm], reason: weights }
  - { from: training, to: external, ports: [443], to_dns: [pkg.example], reason: packages }
`

/** What the engine says of each connection: `from > to verdict word`. */
function judged(events: ExampleEvent[], eventsMax?: number): string[] {
  const said: string[] = []
  const probe = defineDetector({
    id: 'TST-001', title: 't', severity: 'low', maturity: 'stable', attack: [], atlas: [], blindSpots: [],
    runbook: 'r', needs: ['connection_open', 'datagram_flow'], settings: {},
    state: { initial: () => null, keysMax: 1, idleMs: 1 },
    key: () => 'all',
    evaluate(event, _, context) {
      const accepted = event.columns.direction[event.row] === ACCEPTED
      const [near, far] = [context.nearZone(event), context.farZone(event, null)]
      const [from, to] = accepted ? [far, near] : [near, far]
      const { because } = context.verdict(event, from, to, accepted ? null : context.process, accepted)
      const word = wordOf(context.nameOf(event.columns.remote_addr, 16 * event.row, event.remote_port))
      said.push(`${context.zoneName(from)} > ${context.zoneName(to)} ${because} ${word}`.trim())
    },
    examples: [],
  })
  const engine = new Engine({ detectors: [probe], policy: parsePolicy(POLICY).policy! })
  for (const [position, batch] of batchesOf(events, eventsMax).entries()) engine.ingest(batch, position)
  return said
}

const open = (remote_addr: string, remote_port: number, cgroup_id: bigint, over: object = {}): ExampleEvent => ({
  kind: 'connection_open', at_ms: 10,
  process: { pid: Number(cgroup_id), start_time: 1n, exe: '/bin/x', cgroup_id, cgroup_path: `/c/${cgroup_id}` },
  values: {
    local_addr: '10.9.0.1', remote_addr, remote_port, local_port: 40_000, protocol: 'tcp', direction: 'outgoing',
    ...over,
  },
})
const workload = (cgroup_id: bigint, values: object): ExampleEvent => ({
  kind: 'workload_seen', at_ms: 1, values: { cgroup_id, facts_source: 'kubernetes', ...values },
})
const address = (seen_addr: string, values: object): ExampleEvent => ({
  kind: 'address_seen', at_ms: 1, values: { seen_addr, address_kind: 'pod', ...values },
})

describe('zones of connections', () => {
  it('follow what is known of the pod of the process, from when it is known', () => {
    const llm = { namespace: 'serving', service_account: 'llm', pod_uid: 'u' }
    expect(judged([open('10.50.0.1', 9000, 7n), workload(7n, llm),
      open('10.50.0.1', 9000, 7n), workload(7n, { namespace: 'serving', service_account: 'web' }),
      open('10.50.0.1', 9000, 7n)])).toEqual([
      'unzoned > storage no_flow', 'serving > storage flow', 'serving > storage no_flow'])
  })

  it('follow the pod behind the far address, whatever range it is in', () => {
    expect(judged([open('10.50.0.9', 80, 7n),
      address('10.50.0.9', { workload: 'pod:serving/llm-0', namespace: 'serving' }),
      open('10.50.0.9', 80, 7n), address('10.50.0.9', { workload: 'pod:x/y', namespace: 'x' }),
      open('10.50.0.9', 80, 7n)])).toEqual([
      'unzoned > storage no_flow', 'unzoned > serving no_flow pod:serving/llm-0', 'unzoned > storage no_flow pod:x/y'])
  })

  it('of an opener that is known by its address alone include its service account', () => {
    const from = (account: string): ExampleEvent[] => [
      address('10.9.0.77', { workload: 'pod:serving/a', namespace: 'serving', service_account: account }),
      open('10.9.0.77', 40_001, 8n, { local_addr: '10.50.0.1', local_port: 9000, direction: 'accepted' })]
    expect(judged(from('llm'))).toEqual(['serving > storage flow pod:serving/a'])
    expect(judged(from('web'))).toEqual(['serving > storage no_flow pod:serving/a'])
    expect(judged(from(''))).toEqual(['serving > storage flow pod:serving/a'])
  })

  it('follow the node of a process, also when its group changes', () => {
    const node = (node_group: string): ExampleEvent => ({
      kind: 'node_seen', at_ms: 1, values: { node_group, addresses: ['10.9.0.1'] } })
    expect(judged([open('10.50.0.1', 1, 7n), node('gpu'), open('10.50.0.1', 1, 7n), node('cpu'),
      open('10.50.0.1', 1, 7n)])).toEqual([
      'unzoned > storage no_flow', 'training > storage no_flow', 'unzoned > storage no_flow'])
  })

  it('of an address of a node are those of its processes', () => {
    const events: ExampleEvent[] = [
      { kind: 'node_seen', at_ms: 1, node_id: 'gpu-1', values: { node_group: 'gpu', addresses: ['10.50.0.8'] } },
      open('10.50.0.8', 22, 7n)]
    expect(judged(events)).toEqual(['unzoned > training no_flow node:gpu-1'])
  })

  it('go by names only as far as the name server is believed, and while they last', () => {
    const answer = (server_addr: string, at_ms: number): ExampleEvent => ({
      kind: 'dns_answer', at_ms,
      values: { name: 'cdn.hub.example', addresses: ['203.0.113.5', '10.50.0.1'], ttl_s: 60, server_addr } })
    expect(judged([answer('6.6.6.6', 1), open('203.0.113.5', 443, 7n)]))
      .toEqual(['unzoned > external outside_policy cdn.hub.example'])
    const later = { ...open('203.0.113.5', 443, 7n), at_ms: 3_700_000 } as ExampleEvent
    expect(judged([answer('10.96.0.10', 1), open('203.0.113.5', 443, 7n), open('10.50.0.1', 443, 7n),
      later])).toEqual([
      'unzoned > hub no_flow cdn.hub.example', 'unzoned > storage no_flow cdn.hub.example',
      'unzoned > external outside_policy'])
  })

  it('let a flow to names pass only to addresses that have them', () => {
    const job = workload(7n, { facts_source: 'slurm', slurm_partition: 'train', slurm_job: '5' })
    const answer = (name: string): ExampleEvent => ({
      kind: 'dns_answer', at_ms: 1,
      values: { name, addresses: ['203.0.113.6'], ttl_s: 60, server_addr: '10.96.0.10' } })
    expect(judged([job, open('203.0.113.6', 443, 7n), answer('pkg.example'), open('203.0.113.6', 443, 7n)]))
      .toEqual(['training > external no_flow', 'training > external flow pkg.example'])
  })

  it('are the same wherever the log was cut into batches', () => {
    const events = [open('10.50.0.9', 80, 7n), address('10.50.0.9', { workload: 'pod:s/l', namespace: 'serving' }),
      open('10.50.0.9', 80, 7n), workload(7n, { namespace: 'serving' }), open('10.50.0.9', 80, 7n)]
    expect(judged(events, 1)).toEqual(judged(events))
  })

  it('of flows without connections are found in the same way', () => {
    const flow = { ...open('10.50.0.9', 53, 7n), kind: 'datagram_flow' } as ExampleEvent
    expect(judged([address('10.50.0.9', { workload: 'pod:s/l', namespace: 'serving' }), flow]))
      .toEqual(['unzoned > serving no_flow pod:s/l'])
  })
})

it('what is known of a process is the same object until something of it changes', () => {
  const seen: [object, object][] = []
  const probe = defineDetector({
    id: 'TST-001', title: 't', severity: 'low', maturity: 'stable', attack: [], atlas: [], blindSpots: [],
    runbook: 'r', needs: ['connection_open'], settings: {},
    state: { initial: () => null, keysMax: 1, idleMs: 1 },
    key: () => 'all',
    evaluate(_, __, { zones, process }) {
      seen.push([zones.factsOfProcess(process!), zones.programOfProcess(process!)])
    },
    examples: [],
  })
  const engine = new Engine({ detectors: [probe], policy: parsePolicy(POLICY).policy! })
  const connect = open('10.50.0.1', 9000, 7n)
  const process = { ...connect.process!, exe: '/bin/y' }
  const events: ExampleEvent[] = [
    connect, connect,
    { kind: 'process_exec', at_ms: 10, process, values: { exe: '/bin/y', args: [] } },
    { ...connect, process },
    { ...workload(7n, { namespace: 'serving', pod_name: 'a' }), at_ms: 10 },
    { ...connect, process },
  ]
  for (const [position, batch] of batchesOf(events).entries()) engine.ingest(batch, position)
  expect(seen[1][0]).toBe(seen[0][0])
  expect(seen.map(([facts]) => facts)).toMatchObject([
    { exe: '/bin/x' }, { exe: '/bin/x' }, { exe: '/bin/y', cgroup_path: '/c/7' },
    { exe: '/bin/y', namespace: 'serving' },
  ])
  expect(seen.map(([, program]) => program)).toEqual(
    ['/bin/x', '/bin/x', '/bin/y', '/bin/y'].map((exe) => ({ exe, systemd_unit: null })))
})
