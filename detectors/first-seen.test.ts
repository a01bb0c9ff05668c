// What the examples of NET-004 do not say: names, and bounds.
import { expect, it } from 'vitest'
import type { ExampleEvent } from '../detect/detector.ts'
import { Engine } from '../detect/engine.ts'
import { batchesOf, eventsOf } from '../detect/example.ts'
import detector from './first-seen.ts'

const policy = 'version: 1\ndetectors:\n  NET-004:\n    thresholds: { learn_ms: 60000, learn_events: 4 }\n'

function open(at_ms: number, address: string, port = 443, exe = '/opt/app', workload = 'app.service'): ExampleEvent {
  return {
    kind: 'connection_open', at_ms, process: { pid: 5, start_time: 1n, uid: 0, exe, workload }, values: {
      local_addr: '10.30.0.7', remote_addr: address, remote_port: port, direction: 'outgoing', protocol: 'tcp',
    },
  }
}
const usual = Array.from({ length: 8 }, (_, i) => open(10_000 * i, '10.40.0.1'))

function run(events: ExampleEvent[]): Engine {
  const engine = new Engine({ detectors: [detector] })
  batchesOf(eventsOf({ policy, events })).forEach((batch, i) => engine.ingest(batch, i))
  return engine
}
const found = (engine: Engine) => engine.incidents().flatMap(({ findings }) => findings)

const pod = (at_ms: number, seen_addr: string, workload: string): ExampleEvent =>
  ({ kind: 'address_seen', at_ms, values: { seen_addr, address_kind: 'pod', workload } })

it('knows a peer by its name, on whatever address, and another one on the same network', () => {
  const names = [pod(0, '10.40.0.1', 'pod:a/db-0'), pod(0, '10.44.7.1', 'pod:a/db-1'),
    pod(0, '10.40.0.9', 'pod:b/vault-0')]
  expect(found(run([...names, ...usual, open(90_000, '10.44.7.1')]))).toEqual([])
  const [finding] = found(run([...names, ...usual, open(90_000, '10.40.0.9')]))
  expect(finding.summary).toContain('talked to 10.40.0.9:443/tcp (pod:b/vault-0)')
  expect(finding.details).toMatchObject({
    peer: '10.40.0.9:443', peer_name: 'pod:b/vault-0', baseline: { events: 9, thin: true },
  })
})

it('takes the services of a domain for one peer, and all of the rest of the Internet for another', () => {
  const answer = (at_ms: number, name: string, address: string): ExampleEvent =>
    ({ kind: 'dns_answer', at_ms, values: { name, addresses: [address], ttl_s: 3600, server_addr: '10.0.0.2' } })
  const asked = [answer(0, 'a.hub.example', '203.0.113.1'), answer(0, 'b.hub.example', '198.51.100.7'),
    answer(0, 'x.evil.example', '203.0.113.66')]
  const learned = [...asked, ...usual, open(80_000, '10.40.0.1')]
  const before = usual.map(({ at_ms }) => open(at_ms + 1, '203.0.113.1'))
  const inOrder = [...learned, ...before].sort((a, b) => a.at_ms - b.at_ms)
  expect(found(run([...inOrder, open(90_000, '198.51.100.7')]))).toEqual([])
  expect(found(run([...inOrder, open(90_000, '203.0.113.66')]))[0].summary).toContain('(x.evil.example)')
})

it('does not judge a workload that talks to everyone, nor one with more programs than it keeps', () => {
  const crawl = Array.from({ length: 300 }, (_, i) => open(i, `10.${100 + (i >> 7)}.${i & 127}.1`))
  expect(found(run([...crawl, ...usual.slice(1), open(90_000, '10.77.0.9', 22)]))).toEqual([])
  const many = Array.from({ length: 80 }, (_, i) => open(i, '10.40.0.1', 443, `/opt/build/${i}`))
  expect(found(run([...many, ...usual.slice(1), open(90_000, '10.77.0.9', 22)]))).toEqual([])
})

it('tells ten new peers a day, and counts the rest', () => {
  const events = Array.from({ length: 40 }, (_, i) => open(90_000 + i, `10.77.${i}.9`))
  const findings = found(run([...usual, ...events]))
  expect(findings).toHaveLength(10)
  expect(findings.at(-1)!.totals).toEqual({ further_edges: 30 })
  const nextDay = Array.from({ length: 3 }, (_, i) => open(90_000_000 + i, `10.78.${i}.9`))
  expect(run([...usual, ...events, ...nextDay]).counters().findings['NET-004']).toBe(13)
})
