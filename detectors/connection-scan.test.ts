// What the examples of NET-003 do not say: counts over the window, and one finding per window.
import { expect, it } from 'vitest'
import type { ExampleEvent } from '../detect/detector.ts'
import { Engine } from '../detect/engine.ts'
import { batchesOf } from '../detect/example.ts'
import detector from './connection-scan.ts'

function failed(at_ms: number, address: string, port = 22): ExampleEvent {
  return {
    kind: 'connection_failed', at_ms,
    process: { pid: 5, start_time: 1n, exe: '/usr/bin/nmap', workload: 'jupyter.service' },
    values: { local_addr: '10.0.0.1', remote_addr: address, remote_port: port, error: 111, protocol: 'tcp' },
  }
}

function run(events: ExampleEvent[]): Engine {
  const engine = new Engine({ detectors: [detector] })
  batchesOf(events).forEach((batch, i) => engine.ingest(batch, i))
  return engine
}

const sweep = (count: number, startMs: number) => Array.from({ length: count }, (_, i) =>
  failed(startMs + i * 10, `10.20.${i >> 8}.${i & 255}`))

it('counts all of the window in one finding, with samples', () => {
  const [{ findings }] = run([...sweep(500, 0), failed(70_000, '10.9.9.9')]).incidents()
  expect(findings).toHaveLength(1)
  expect(findings[0].totals).toEqual({ failures: 500 })
  expect(findings[0].details).toMatchObject({ hosts_distinct: 500, hosts_distinct_at_least: false })
  expect(findings[0].details['targets']).toHaveLength(10)
  expect(findings[0].evidence).toHaveLength(10)
})

it('fires again in the next window when it goes on', () => {
  const engine = run([...sweep(30, 0), ...sweep(30, 61_000), ...sweep(30, 122_000)])
  const [{ findings }] = engine.incidents()
  expect(findings).toHaveLength(1)
  expect(findings[0].count).toBe(3)
})

it('counts a sweep across the edge of two windows', () => {
  const slow = Array.from({ length: 20 }, (_, i) => failed(50_000 + i * 1000, `10.20.0.${i}`))
  expect(run([failed(0, '10.1.1.1'), ...slow]).counters().findings['NET-003']).toBe(1)
})

it('stays bounded when a process tries the whole Internet', () => {
  const engine = run([...sweep(60_000, 0).map((event, i) => ({ ...event, at_ms: i / 1000 }) as ExampleEvent),
    failed(100_000, '10.9.9.9')])
  const [{ findings }] = engine.incidents()
  expect(findings[0].totals).toEqual({ failures: 60_000 })
  expect(findings[0].details).toMatchObject({ hosts_distinct: 1024, hosts_distinct_at_least: true })
})

function reached(at_ms: number, pod: number, host: number): ExampleEvent {
  return {
    kind: 'connection_open', at_ms,
    process: { pid: pod, start_time: 1n, exe: '/usr/bin/agent', workload: `job:${pod}`, uid: 7 },
    values: {
      local_addr: '10.0.0.1', remote_addr: `10.20.${host >> 8}.${host & 255}`, remote_port: 22,
      direction: 'outgoing', protocol: 'tcp',
    },
  }
}
const day = 86_400_000
const lived = Array.from({ length: 120 }, (_, i) => reached(i * 8 * day / 120, 1, i % 3))

it('learns for a class, and judges each of it alone', () => {
  const spread = Array.from({ length: 100 }, (_, i) => reached(8 * day + i, 2 + (i % 10), i))
  expect(run([...lived, ...spread]).incidents()).toEqual([])
  const one = Array.from({ length: 100 }, (_, i) => reached(8 * day + i, 2, i))
  const [incident] = run([...lived, ...one, reached(8 * day + 70_000, 1, 1)]).incidents()
  expect([incident.subject, incident.findings.length]).toEqual(['job:2', 1])
  expect(incident.findings[0]).toMatchObject({
    totals: { contacts: 100 }, details: { hosts_distinct: 100, usual: 0, baseline: { thin: true } },
  })
  expect(incident.findings[0].details['targets']).toHaveLength(10)
})

it('takes what it told once for usual from then on', () => {
  const twice = [8 * day, 8 * day + 120_000, 8 * day + 240_000].flatMap((startMs) =>
    Array.from({ length: 50 }, (_, i) => reached(startMs + i, 2, i)))
  expect(run([...lived, ...twice]).counters().findings['NET-003']).toBe(1)
})
