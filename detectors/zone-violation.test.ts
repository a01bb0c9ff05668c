// What the examples of NET-001 do not say: the facts in the finding, in every order of arrival.
import { describe, expect, it } from 'vitest'
import type { ExampleEvent } from '../detect/detector.ts'
import { Engine } from '../detect/engine.ts'
import { batchesOf, eventsOf } from '../detect/example.ts'
import { parsePolicy } from '../policy/parse.ts'
import { detectors } from './index.ts'

const detector = detectors.find(({ id }) => id === 'NET-001')!
const { policy, events } = detector.examples[0]

function run(of: readonly ExampleEvent[], text = policy): Engine {
  const engine = new Engine({ detectors })
  batchesOf(eventsOf({ policy: text, events: [...of] })).forEach((batch, i) => engine.ingest(batch, i))
  return engine
}

const [, , clientOpen, serverOpen, clientClose, serverClose] = events
const beat = (at_ms: number): ExampleEvent => ({ kind: 'heartbeat', at_ms, node_id: 'gpu-1', values: {} })

describe('NET-001', () => {
  it('tells process, arguments, ancestry, user, zones, addresses and bytes', () => {
    const [incident] = run(events).incidents()
    const [{ details, totals, evidence }] = incident.findings
    expect(details).toMatchObject({
      from_zone: 'inference', to_zone: 'storage', protocol: 'tcp', established: true,
      client: '10.30.0.7:40000', server: '10.50.0.9:9000',
      process: {
        node_id: 'gpu-1', pid: 501, process_id: '501:2000000', uid: 1000, exe: '/usr/bin/curl',
        args: ['curl', 'http://10.50.0.9:9000/weights'], workload: 'vllm.service',
        ancestry: [{ pid: 500, exe: '/bin/bash' }],
      },
      accepting_process: { node_id: 'store-1', pid: 77, exe: '/usr/bin/minio' },
    })
    expect(totals).toEqual({ bytes_sent: 100, bytes_received: 7_000_000 })
    expect(evidence.map(({ node_id, seq }) => [node_id, seq]))
      .toEqual([['gpu-1', 3], ['store-1', 1], ['gpu-1', 4]])
    expect([incident.nodes, incident.zones, incident.severity])
      .toEqual([['gpu-1', 'store-1'], ['inference', 'storage'], 'critical'])
    expect(incident.hops).toMatchObject([{
      from: { zone: 'inference', address: '10.30.0.7', pid: 501 },
      to: { zone: 'storage', address: '10.50.0.9', port: 9000, pid: 77 }, established: true,
    }])
  })

  it('names the rule that was missing, and with that rule stays quiet', () => {
    const rule = run(events).incidents()[0].findings[0].details['missing_rule'] as string
    const allowed = `${policy}${rule}`
    expect(parsePolicy(allowed).problems).toEqual([])
    expect(run(events, allowed).incidents()).toEqual([])
  })

  it('says the same whatever the order in which the ends report', () => {
    const orders = [
      [clientOpen, serverOpen, clientClose, serverClose], [serverOpen, clientOpen, serverClose, clientClose],
      [clientOpen, clientClose, serverOpen, serverClose], [serverOpen, serverClose, clientOpen, clientClose],
    ]
    for (const order of orders) {
      const incidents = run([...events.slice(0, 2), ...order, beat(60_000)]).incidents()
      expect(incidents.flatMap(({ findings }) => findings)).toHaveLength(1)
      expect(incidents[0].subject).toBe('vllm.service on gpu-1')
      expect(incidents[0].findings[0].totals).toEqual({ bytes_sent: 100, bytes_received: 7_000_000 })
      expect(incidents[0].findings[0].details['accepting_process']).toMatchObject({ pid: 77 })
    }
  })

  it('counts bytes of a connection that closed before its other end could report', () => {
    const [incident] = run([clientOpen, clientClose, beat(10_000)]).incidents()
    expect(incident.findings[0].totals).toEqual({ bytes_sent: 100, bytes_received: 7_000_000 })
  })

  it('completes the finding when the other end comes after the wait', () => {
    const late = run([serverOpen, beat(30_000), { ...clientOpen, at_ms: 31_000 } as ExampleEvent])
    const incidents = late.incidents()
    expect(incidents).toHaveLength(1)
    expect(incidents[0].summary).toContain('/usr/bin/curl (pid 501')
    expect(incidents[0].nodes.toSorted()).toEqual(['gpu-1', 'store-1'])
    // What else the client does is the same story, though it was known by its address only.
    const other = { ...clientOpen, at_ms: 32_000, values: { ...clientOpen.values, local_port: 999 } } as ExampleEvent
    expect(run([serverOpen, beat(30_000), { ...clientOpen, at_ms: 31_000 } as ExampleEvent, other, beat(60_000)])
      .incidents()).toHaveLength(1)
  })

  it('makes one finding of the same connection made again and again', () => {
    const again = Array.from({ length: 50 }, (_, i) => [clientOpen, serverOpen, clientClose, serverClose]
      .map((event) => ({ ...event, at_ms: event.at_ms + 1000 * i }) as ExampleEvent)).flat()
    const [incident] = run(again).incidents()
    expect(incident.findings).toHaveLength(1)
    expect(incident.findings[0]).toMatchObject({ count: 50, totals: { bytes_sent: 5000 } })
  })

  it('keeps nothing of connections that are over, nor of those that are allowed', () => {
    expect(run([...events, beat(60_000)]).counters().keys['NET-001']).toBe(0)
    const allowed = [clientOpen, serverOpen].map((event) => ({
      ...event, process: { ...event.process, exe: '/opt/vllm/bin/serve' },
    }) as ExampleEvent)
    expect(run(allowed).counters().keys['NET-001']).toBe(0)
  })

  it('counts datagrams by what was added since the report before, of one end', () => {
    const flow = (at_ms: number, of: ExampleEvent, report: string, sent: number, received: number) => ({
      ...of, kind: 'datagram_flow', at_ms,
      values: { ...of.values, protocol: 'udp', report, bytes_sent: sent, bytes_received: received },
    }) as ExampleEvent
    const told = [flow(0, clientOpen, 'first', 10, 0), flow(1, serverOpen, 'first', 0, 10),
      flow(10_000, clientOpen, 'periodic', 500, 7), flow(10_001, serverOpen, 'periodic', 7, 500),
      flow(20_000, clientOpen, 'periodic', 800, 7), flow(30_000, clientOpen, 'last', 900, 9),
      flow(30_001, serverOpen, 'last', 9, 900), beat(60_000)]
    const engine = run(told)
    const [{ findings }] = engine.incidents()
    expect(findings).toHaveLength(1)
    expect(findings[0]).toMatchObject({ count: 1, totals: { bytes_sent: 900, bytes_received: 9 } })
    expect(engine.counters().keys['NET-001']).toBe(0)
  })

  it('adds what was counted of many short connections to those that were told', () => {
    const name = 'many short connections that are counted join those that are told'
    const [incident] = run(detector.examples.find((one) => one.name === name)!.events).incidents()
    expect(incident.findings).toHaveLength(1)
    expect(incident.findings[0]).toMatchObject({
      count: 3, totals: { connections_counted: 1800, bytes_sent: 180, bytes_received: 18_000 },
    })
  })

  it('counts a flood from the Internet at the end that takes it, under the address', () => {
    const flood = {
      kind: 'connection_repeat', at_ms: 5, process: serverOpen.process, node_id: 'store-1', values: {
        ...serverOpen.values, remote_addr: '203.0.113.5', remote_port: 0, opened: 7, bytes_received: 70,
      },
    } as ExampleEvent
    const [incident] = run([flood]).incidents()
    expect(incident.subject).toBe('address 203.0.113.5')
    expect(incident.findings[0].totals).toMatchObject({ connections_counted: 7, bytes_sent: 70 })
    const inside = { ...flood, values: { ...flood.values, remote_addr: '10.30.0.7' } } as ExampleEvent
    expect(run([inside]).incidents()).toEqual([])
  })

  it('can be asked beside another detector that looks for the other end too', () => {
    const engine = new Engine({ detectors: [detector, { ...detector, id: 'NET-901' }] })
    const loopback = detector.examples.find(({ name }) => name.includes('on loopback two processes'))!
    batchesOf(eventsOf(loopback)).forEach((batch, i) => engine.ingest(batch, i))
    const accepting = engine.incidents()[0].findings.map(({ details }) => details['accepting_process'])
    expect(accepting).toMatchObject([{ pid: 78 }, { pid: 78 }])
  })

  it('does not take the loopback connections of two nodes for one', () => {
    const text = policy!.replace('[10.30.0.0/16]', '[10.30.0.0/16]\n      executables: [/usr/bin/curl]')
    const loopback = { local_addr: '127.0.0.1', remote_addr: '127.0.0.1', netns: 1 }
    const ends = [clientOpen, serverOpen].map((event) => ({
      ...event, values: { ...event.values, ...loopback },
      process: event === clientOpen ? event.process : { ...event.process, exe: '/usr/sbin/slurmctld' },
    }) as ExampleEvent)
    expect(run([...ends, beat(9000)], text).incidents()).toEqual([])
    const oneNode = ends.map((event) => ({ ...event, node_id: 'gpu-1' }) as ExampleEvent)
    expect(run([...oneNode, beat(9000)], text).incidents()).toHaveLength(1)
  })

  it('shows hostile names of a process without their power over a screen', () => {
    const evil = { ...clientOpen, process: { pid: 5, exe: '/tmp/\u001b[31mx\n{}', start_time: 1n } } as ExampleEvent
    const [{ summary, findings }] = run([evil, serverOpen]).incidents()
    expect(summary).toContain('/tmp/\\u{1b}[31mx\\u{a}{}')
    expect(summary).not.toMatch(/[\u0000-\u001f]/)
    expect(findings[0].details['missing_rule']).not.toContain('executables')
  })
})
