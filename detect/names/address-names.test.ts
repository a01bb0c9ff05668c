import { describe, expect, it } from 'vitest'
import { parseAddress } from '../../proto/address.ts'
import type { EventViews } from '../../proto/gen/events.ts'
import { newViews } from '../../proto/gen/events.ts'
import type { ExampleEvent } from '../detector.ts'
import { batchesOf } from '../example.ts'
import { AddressNames, NOT_KEPT, wordOf } from './address-names.ts'

/** Tells the table what the events say; each at its own time. */
function tell(names: AddressNames, events: ExampleEvent[]): void {
  const views = newViews()
  for (const batch of batchesOf(events, 1)) {
    const kind = Object.keys(batch.columns)[0] as 'address_seen' | 'node_seen' | 'dns_answer'
    const view = Object.assign(views[kind], { batch, columns: batch.columns[kind], row: 0, index: 0 })
    const nowMs = view.time_ms - START_MS
    if (view.kind === 'address_seen') names.addressSeen(view as EventViews['address_seen'], nowMs)
    if (view.kind === 'node_seen') names.nodeSeen(view as EventViews['node_seen'], nowMs)
    if (view.kind === 'dns_answer') names.dnsAnswer(view as EventViews['dns_answer'], nowMs)
  }
}

const START_MS = 1_893_456_000_000

const pod = (address: string, name: string, over: object = {}, at_ms = 0): ExampleEvent => ({
  kind: 'address_seen', at_ms,
  values: { seen_addr: address, address_kind: 'pod', workload: `pod:${name}`, ...over },
})
const node = (id: string, addresses: string[], over: object = {}, at_ms = 0): ExampleEvent => ({
  kind: 'node_seen', at_ms, node_id: id, values: { addresses, ...over },
})
const answer = (name: string, addresses: string[], ttl_s = 60, at_ms = 0): ExampleEvent => ({
  kind: 'dns_answer', at_ms, values: { name, addresses, ttl_s, server_addr: '10.96.0.10' },
})

const find = (names: AddressNames, address: string, nowMs = 0, port = 0) => {
  return names.find(parseAddress(address), 0, port, nowMs)
}
const word = (names: AddressNames, address: string, nowMs = 0, port = 0): string => {
  return wordOf(find(names, address, nowMs, port))
}

describe('names of addresses', () => {
  it('are those of pods, and say nothing of other addresses', () => {
    const names = new AddressNames()
    expect(find(names, '10.0.0.1')).toBeNull()
    tell(names, [pod('10.0.0.1', 'a/b',
      { namespace: 'a', labels: ['app=x'], service_account: 's', on_node: 'n1' })])
    expect(find(names, '10.0.0.1')).toMatchObject({
      kind: 'pod', workload: 'pod:a/b', namespace: 'a', labels: ['app=x'], service_account: 's',
      on_node: 'n1' })
    expect(find(names, '10.0.0.2')).toBeNull()
    expect(names.find(new Uint8Array([9, ...parseAddress('10.0.0.1')]), 1, 0, 0)?.workload).toBe('pod:a/b')
  })

  it('outlive a pod a while, for events that lag, and then are gone', () => {
    const names = new AddressNames()
    tell(names, [pod('10.0.0.1', 'a/b'), pod('10.0.0.1', 'a/b', { gone: true }, 1000)])
    expect(word(names, '10.0.0.1', 121_000)).toBe('pod:a/b')
    expect(find(names, '10.0.0.1', 121_001)).toBeNull()
  })

  it('are those of the new pod when the end of the old one is told late', () => {
    const names = new AddressNames()
    tell(names, [pod('10.0.0.1', 'a/old'), pod('10.0.0.1', 'a/new', {}, 10),
      pod('10.0.0.1', 'a/old', { gone: true }, 20)])
    expect(word(names, '10.0.0.1', 1e9)).toBe('pod:a/new')
  })

  it('of one port say more than those of all ports', () => {
    const names = new AddressNames()
    tell(names, [pod('10.0.0.1', 'a/b'),
      pod('10.0.0.1', '', { workload: 'service:a/web', address_kind: 'service', port: 80, translated: true })])
    expect(word(names, '10.0.0.1', 0, 80)).toBe('service:a/web')
    expect(word(names, '10.0.0.1', 0, 81)).toBe('pod:a/b')
    tell(names, [pod('10.0.0.1', '', { workload: 'service:a/web', port: 80, gone: true }, 5)])
    expect(word(names, '10.0.0.1', 1e6, 80)).toBe('pod:a/b')
  })

  it('are those of a node only while it alone has the address', () => {
    const names = new AddressNames()
    tell(names, [node('n1', ['10.9.0.1', '172.17.0.1', '127.0.0.1', 'junk']), node('n2', ['10.9.0.2', '172.17.0.1'])])
    expect(find(names, '10.9.0.1')).toMatchObject({ kind: 'node', workload: 'node:n1', on_node: 'n1' })
    expect(find(names, '172.17.0.1')).toBeNull()
    expect(find(names, '127.0.0.1')).toBeNull()
    tell(names, [node('n2', ['10.9.0.2'], {}, 5)])
    expect(word(names, '172.17.0.1')).toBe('node:n1')
    tell(names, [node('n1', ['10.9.0.3'], {}, 6)])
    expect(find(names, '10.9.0.1')).toBeNull()
  })

  it('know what is new of a node from what is not', () => {
    const names = new AddressNames()
    const views = newViews()
    const said = (event: ExampleEvent): boolean => {
      const [batch] = batchesOf([event])
      return names.nodeSeen(Object.assign(views.node_seen, { batch, columns: batch.columns.node_seen, row: 0 }), 0)
    }
    expect(said(node('n1', ['10.0.0.1'], { node_group: 'gpu' }))).toBe(true)
    expect(said(node('n1', ['10.0.0.1'], { node_group: 'gpu' }))).toBe(false)
    expect(said(node('n1', ['10.0.0.1'], { node_group: 'gpu', labels: ['a=b'] }))).toBe(true)
    expect(names.nodes.get('n1')?.labels).toEqual(['a=b'])
  })

  it('by DNS last for their time to live and an hour, however long a stranger wants them to', () => {
    const names = new AddressNames()
    tell(names, [answer('a.example', ['203.0.113.1'], 60), answer('b.example', ['203.0.113.2'], 4e9)])
    expect(find(names, '203.0.113.1')).toMatchObject({ kind: '', workload: '' })
    expect(word(names, '203.0.113.1', 3_660_000)).toBe('a.example')
    expect(find(names, '203.0.113.1', 3_660_001)).toBeNull()
    expect(find(names, '203.0.113.2', 25 * 3_600_000 + 1)).toBeNull()
  })

  it('by DNS are at most four, the newest first, beside the workload', () => {
    const names = new AddressNames()
    tell(names, [...'abcdef'].map((letter, i) => answer(`${letter}.example`, ['10.0.0.1', 'x', '0.0.0.0'], 60, i)))
    tell(names, [answer('d.example', ['10.0.0.1'], 60, 9)])
    expect(find(names, '10.0.0.1')?.dns.map(({ name }) => name))
      .toEqual(['d.example', 'f.example', 'e.example', 'c.example'])
    tell(names, [pod('10.0.0.1', 'a/b', {}, 10)])
    expect(word(names, '10.0.0.1')).toBe('pod:a/b')
    expect(find(names, '10.0.0.1')?.dns).toHaveLength(4)
  })

  it('of failed answers are none', () => {
    const names = new AddressNames()
    tell(names, [{ kind: 'dns_answer', at_ms: 0, values: { name: 'x', response_code: 3, addresses: ['203.0.113.1'] } }])
    expect(names.size).toBe(0)
  })

  it('stay bounded; a flood of answers forgets answers, and no pod or node', () => {
    const names = new AddressNames(64)
    tell(names, [pod('10.0.0.1', 'a/b'), node('n1', ['10.9.0.1'])])
    tell(names, Array.from({ length: 300 }, (_, i) => answer('x.example', [`203.0.${i >> 8}.${i & 255}`], 60, i)))
    expect(names.size).toBeLessThanOrEqual(64)
    expect(names.evictions).toBeGreaterThan(200)
    expect(word(names, '10.0.0.1', 300)).toBe('pod:a/b')
    expect(word(names, '10.9.0.1', 300)).toBe('node:n1')
    expect(word(names, '203.0.1.43', 300)).toBe('x.example')
  })

  it('on many ports of one address stay bounded', () => {
    const names = new AddressNames()
    tell(names, Array.from({ length: 100 }, (_, i) =>
      pod('10.0.0.1', '', { workload: `service:s/${i}`, port: i + 1 })))
    expect(word(names, '10.0.0.1', 0, 100)).toBe('service:s/99')
    expect(find(names, '10.0.0.1', 0, 1)).toBeNull()
    expect(names.evictions).toBe(36)
  })

  it('are all found while the table grows', () => {
    const names = new AddressNames()
    tell(names, Array.from({ length: 3000 }, (_, i) => pod(`10.1.${i >> 8}.${i & 255}`, `a/${i}`)))
    expect([names.size, names.evictions]).toEqual([3000, 0])
    for (let i = 0; i < 3000; i += 7) expect(word(names, `10.1.${i >> 8}.${i & 255}`)).toBe(`pod:a/${i}`)
  })

  it('keep a zone until it is stale: by the policy, by what is known, by time, and never per port', () => {
    const names = new AddressNames()
    let asked = 0
    const bytes = parseAddress('10.0.0.1')
    const zone = (policyNumber: number, nowMs = 0, port = 0): number => {
      const kept = names.keptZone(bytes, 0, nowMs, policyNumber, -1)
      if (kept !== NOT_KEPT) return kept
      const name = names.find(bytes, 0, port, nowMs)
      const found = name === null ? -1 : ++asked
      names.keepZone(bytes, 0, name, policyNumber, found)
      return found
    }
    expect(zone(0)).toBe(-1)
    tell(names, [pod('10.0.0.1', 'a/b')])
    expect([zone(0), zone(0), zone(1), zone(1)]).toEqual([1, 1, 2, 2])
    tell(names, [pod('10.0.0.1', 'a/b', { gone: true })])
    expect([zone(1), zone(1, 120_000), zone(1, 120_001)]).toEqual([3, 3, -1])
    tell(names, [pod('10.0.0.1', 's', { port: 80 })])
    expect([zone(1, 0, 80), zone(1, 0, 80)]).toEqual([4, 5])
  })

  it('go through a snapshot unchanged', () => {
    const names = new AddressNames(8)
    tell(names, [pod('10.0.0.1', 'a/b'), pod('fd00::1', 'a/c'), node('n1', ['10.9.0.1'], { node_group: 'gpu' }),
      answer('x.example', ['203.0.113.1', 'fd00::1'])])
    const copy = new AddressNames(8)
    copy.restore(structuredClone(names.snapshot()))
    const rest = Array.from({ length: 20 }, (_, i) => answer('y.example', [`203.0.114.${i}`], 60, 10 + i))
    tell(names, rest)
    tell(copy, rest)
    expect(copy.snapshot()).toEqual(names.snapshot())
    expect(find(copy, 'fd00::1')).toEqual(find(names, 'fd00::1'))
    expect(copy.nodes.get('n1')?.group).toBe('gpu')
  })
})
