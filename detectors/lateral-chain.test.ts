// What the examples of NET-002 do not say: the facts of the hops, one incident, orders of arrival.
import { describe, expect, it } from 'vitest'
import type { ExampleEvent } from '../detect/detector.ts'
import { Engine } from '../detect/engine.ts'
import { batchesOf, encodeEvents, eventsOf } from '../detect/example.ts'
import { canonicalJson } from '../detect/incident.ts'
import type { Incident } from '../detect/incident.ts'
import { decodeBatch } from '../proto/batch.ts'
import { detectors } from './index.ts'
import lateralChain from './lateral-chain.ts'
import { intrusion } from './lateral-chain.examples.ts'
import { accepted, beat, closed, exec, opened, policy, started } from './lateral-sample.ts'
import type { Link } from './lateral-sample.ts'

const { onInference, onTraining, onStorage } = intrusion
const [, , , ssh] = onInference
const [, , , , curl] = onTraining

function run(events: readonly ExampleEvent[], of = detectors): Incident[] {
  const engine = new Engine({ detectors: of })
  batchesOf(eventsOf({ policy, events: [...events] })).forEach((batch, i) => engine.ingest(batch, i))
  return engine.incidents()
}

/** What the chain says, whatever the order in which it came to be known. */
function way(incidents: readonly Incident[]) {
  return incidents.filter(({ state }) => state === 'open').map(({ hops }) => hops.map(({ from, to, link }) =>
    [from.zone, from.node_id, from.pid, from.uid, to.zone, to.node_id, to.pid, link]))
}

const wholeWay = [[
  ['external', undefined, undefined, undefined, 'inference', 'inf-1', 100, undefined],
  ['inference', 'inf-1', 102, 990, 'training', 'train-1', 50, 'descendant'],
  ['training', 'train-1', 53, 1000, 'storage', 'store-1', 77, 'descendant'],
]]

/** All ways to put lists one after the other that keep the order within each. */
function* merges(lists: readonly ExampleEvent[][]): Generator<ExampleEvent[]> {
  if (lists.every((list) => list.length === 0)) yield []
  for (const [i, list] of lists.entries()) {
    if (list.length === 0) continue
    const rest = lists.map((other, j) => i === j ? other.slice(1) : other)
    for (const tail of merges(rest)) yield [list[0], ...tail]
  }
}

describe('NET-002', () => {
  it('says what has passed so far while connections are open', () => {
    const soFar = closed(curl, 200, 91, 3_000_000, 'connection_totals')
    const [incident] = run([...onInference, ...onTraining, ...onStorage, soFar], [lateralChain])
    expect(incident.hops.map(({ bytes_received }) => bytes_received)).toEqual([undefined, undefined, 3_000_000])
  })

  it('names every hop with its process, user, node, bytes, and what was run in between', () => {
    const [incident] = run([
      ...onInference, ...onTraining, ...onStorage,
      closed(curl, 200, 91, 3_000_000), closed(onStorage[0], 201, 3_000_000, 91), closed(ssh, 210, 3700, 3600),
    ], [lateralChain])
    expect(way([incident])).toEqual(wholeWay)
    expect(incident.hops.map(({ bytes_sent, bytes_received }) => [bytes_sent, bytes_received]))
      .toEqual([[undefined, undefined], [3700, 3600], [91, 3_000_000]])
    expect(incident.hops[1].via?.map(({ exe, pid, args }) => [exe, pid, args[0]]))
      .toEqual([['/bin/sh', 101, 'sh'], ['/usr/bin/ssh', 102, 'ssh']])
    expect(incident.hops[2].via?.map(({ exe, uid }) => [exe, uid]))
      .toEqual([['/usr/sbin/sshd', 0], ['/bin/bash', 1000], ['/usr/bin/curl', 1000]])
    expect(incident.hops.map(({ evidence }) => evidence?.map(({ node_id, seq }) => `${node_id}/${seq}`)))
      .toEqual([['inf-1/1'], ['inf-1/4', 'train-1/1'], ['train-1/5', 'store-1/1']])
    expect([incident.severity, incident.nodes, incident.zones]).toEqual(['critical',
      ['inf-1', 'train-1', 'store-1'], ['external', 'inference', 'training', 'storage']])
    const [{ details }] = incident.findings
    expect(details['score']).toBeGreaterThanOrEqual(100)
    expect(details['score_reasons']).toEqual(expect.arrayContaining([
      '/usr/bin/python3 started a shell, /bin/sh',
      'no flow allows inference to reach training like this',
      'the user changes from uid 990 to uid 1000',
    ]))
  })

  it('is one incident with what the other detectors find on the way', () => {
    const events = [...onInference, ...onTraining, ...onStorage, beat(9000)]
    const open = run(events).filter(({ state }) => state === 'open')
    expect(open).toHaveLength(1)
    const found = open[0].findings.map(({ detector }) => detector)
    expect(found).toEqual(expect.arrayContaining(['NET-001', 'NET-002']))
    expect(way(open)).toEqual(wholeWay)
  })

  it('says the same in whatever order the nodes report', () => {
    const lists = [onInference.slice(0, 4), onTraining.slice(0, 5), onStorage]
    let orders = 0
    for (const events of merges(lists)) {
      if (orders++ % 97 !== 0) continue
      expect(way(run(events, [lateralChain]))).toEqual(wholeWay)
    }
    expect(orders).toBe(1260)
  })

  it('raises one incident, not one that goes into another, whoever is heard first', () => {
    const addresses = Object.entries({ 'inf-1': '10.30.0.7', 'train-1': '10.20.0.5', 'store-1': '10.50.0.9' })
    const nodes = addresses.map(([node_id, address]): ExampleEvent =>
      ({ kind: 'node_seen', at_ms: 0, node_id, values: { addresses: [address] } }))
    const shell: ExampleEvent = {
      kind: 'process_stdio', at_ms: 31, node_id: 'inf-1', process: onInference[1].process, values: {
        local_addr: '10.30.0.7', local_port: 50_000, remote_addr: '203.0.113.9', remote_port: 4444,
        protocol: 'tcp', descriptors: 7,
      },
    }
    const lists = [[...onInference.slice(0, 2), shell, onInference[3]], onTraining.slice(0, 5), onStorage]
    let orders = 0
    for (const events of merges(lists)) {
      if (orders++ % 37 !== 0) continue
      const engine = new Engine({ detectors })
      const batches = batchesOf(eventsOf({ policy, events: [...nodes, ...events, beat(3000), beat(9000)] }))
      const told = batches.flatMap((batch, i) => engine.ingest(batch, i)).map(({ incident }) => incident)
      expect(new Set(told.map(({ incident_id: id }) => id)).size).toBe(1)
      expect(told.at(-1)?.findings.map(({ detector }) => detector))
        .toEqual(expect.arrayContaining(['NET-001', 'NET-002', 'NET-006']))
    }
  })

  it('takes in what is found later about a process that it led to, but nobody else there', () => {
    const bash = onTraining[2].process!
    const streams = (process: ExampleEvent['process']): ExampleEvent => ({
      kind: 'process_stdio', at_ms: 500, node_id: 'train-1', process, values: {
        local_addr: '10.20.0.5', local_port: 50_000 + process!.pid!, remote_addr: '203.0.113.9',
        remote_port: 4444, protocol: 'tcp', descriptors: 7,
      },
    })
    const shell = started(60, 400, '/bin/sh', bash, 1000)
    const cron = started(61, 400, '/bin/sh', started(5, -9000, '/usr/sbin/cron', null))
    const incidents = run([...onInference, ...onTraining.slice(0, 4), beat(1400, 'train-1'),
      exec(1450, 'train-1', shell, 'sh'), streams(shell), streams(cron), beat(9000)])
    expect(incidents.map(({ findings }) => findings.map(({ detector }) => detector))).toEqual([
      expect.arrayContaining(['NET-002', 'NET-006']), ['NET-006'],
    ])
  })

  it('weighs more where a workload had not talked there before', () => {
    const learning = `${policy}detectors:
  NET-004:
    thresholds: { learn_ms: 60000, learn_events: 3 }
`
    const other = started(30, -99_000, '/usr/bin/curl', null, 1000)
    const before = (to: string) => [-90_000, -50_000, -2000, -1000].map((at, i) => opened(at, 'train-1', other,
      { from: '10.20.0.5', port: 30_000 + i, to, service: 9000 }))
    const judged = (events: ExampleEvent[]) => {
      const engine = new Engine({ detectors })
      batchesOf(eventsOf({ policy: learning, events })).forEach((batch, i) => engine.ingest(batch, i))
      const chain = engine.incidents().flatMap(({ findings }) => findings).find((one) => one.detector === 'NET-002')!
      return chain.details as { score: number; score_reasons: string[] }
    }
    const usual = judged([...before('10.50.0.9'), ...onInference, ...onTraining, ...onStorage])
    const fresh = judged([...before('10.20.0.9'), ...onInference, ...onTraining, ...onStorage])
    const late = judged([...before('10.20.0.9'), ...onStorage, ...onTraining, ...onInference, beat(3000)])
    const why = 'the workload of /usr/bin/curl had not talked to 10.50.0.9:9000 before'
    expect(fresh.score_reasons).toContain(why)
    expect(usual.score_reasons).not.toContain(why)
    expect([fresh.score, late.score]).toEqual([usual.score + 10, usual.score + 10])
  })

  it('says nothing twice when batches are sent again', () => {
    const engine = new Engine({ detectors })
    const encoded = encodeEvents(eventsOf({ policy, events: [...onInference, ...onTraining, ...onStorage] }), 2)
    for (const bytes of encoded) for (let i = 0; i < 3; i++) engine.ingest(decodeBatch(bytes), 1)
    expect(way(engine.incidents())).toEqual(wholeWay)
  })

  it('does not wait: the last hop is told with the event of its far end, without any later one', () => {
    const engine = new Engine({ detectors: [lateralChain] })
    const batches = batchesOf(eventsOf({ policy, events: [...onInference, ...onTraining, ...onStorage] }))
    const told = batches.map((batch, i) => engine.ingest(batch, i)).at(-1)!
    expect(told.at(-1)?.incident.hops).toHaveLength(3)
  })

  it('raises at the first protected zone, and goes on in the same finding', () => {
    const engine = new Engine({ detectors: [lateralChain] })
    const updates = batchesOf(eventsOf({ policy, events: [...onInference, ...onTraining, ...onStorage] }), 1)
      .flatMap((batch, i) => engine.ingest(batch, i))
    expect(updates[0]).toMatchObject({ change: 'opened', incident: { hops: [{}, {}] } })
    expect(new Set(updates.map(({ incident }) => incident.incident_id)).size).toBe(1)
    expect(engine.incidents()[0].findings).toHaveLength(1)
  })

  it('finds the one of fifty clients of a login server that it was', () => {
    const master = started(50, -60_000, '/usr/sbin/sshd', null)
    const logins = Array.from({ length: 50 }, (_, i) => {
      const link: Link = { from: `10.40.0.${i + 10}`, port: 41_000 + i, to: '10.20.0.5', service: 22 }
      const session = started(1000 + i, i + 0.5, '/usr/sbin/sshd', master)
      return [accepted(i, 'train-1', master, link), exec(i + 0.6, 'train-1', session, 'sshd', '-R')]
    }).flat()
    const [incident] = run([...logins, ...onInference, ...onTraining, ...onStorage], [lateralChain])
    expect(way([incident])).toEqual(wholeWay)
    expect(incident.hops[2].link_of).toBeUndefined()
  })

  it('goes on when a parent that only forked is known late', () => {
    const session = onTraining[1].process!
    const forked = started(511, 70, '/usr/sbin/sshd', session, 1000)
    const bash = started(52, 80, '/bin/bash', forked, 1000)
    const late: ExampleEvent[] = [
      ...onTraining.slice(0, 2), exec(80, 'train-1', bash, 'bash'), ...onTraining.slice(3), ...onStorage,
      beat(5000, 'train-1'),
      { kind: 'process_exit', at_ms: 6000, node_id: 'train-1', process: forked, values: {} },
    ]
    expect(way(run([...onInference, ...late.slice(0, -1)], [lateralChain]))[0]).toHaveLength(2)
    expect(way(run([...onInference, ...late], [lateralChain]))).toEqual(wholeWay)
  })

  it('counts the same step once, and stays bounded when it is taken thousands of times', () => {
    const shell = onInference[1].process!
    const again = Array.from({ length: 3000 }, (_, i) => opened(300 + i, 'inf-1', shell, {
      from: '10.30.0.7', port: 10_000 + i, to: `10.20.${i % 250}.${1 + i % 200}`, service: 22,
    }))
    const [incident] = run([...onInference, ...onTraining, ...onStorage, ...again, beat(9000)], [lateralChain])
    expect(incident.findings).toHaveLength(1)
    expect(incident.hops.length).toBeLessThanOrEqual(64)
    expect(incident.findings[0].details['hops_unlisted']).toBeGreaterThanOrEqual(1000)
    const alike = Array.from({ length: 100 }, (_, i) => opened(300 + i, 'train-1', curl.process!, {
      from: '10.20.0.5', port: 20_000 + i, to: '10.50.0.9', service: 9000,
    }))
    const [same] = run([...onInference, ...onTraining, ...onStorage, ...alike, beat(9000)], [lateralChain])
    expect(same.hops).toHaveLength(3)
  })

  it('begins anew after its incident has closed, and tells the whole way again', () => {
    const later = opened(2_000_000, 'train-1', curl.process!, {
      from: '10.20.0.5', port: 20_000, to: '10.50.0.10', service: 9000,
    })
    const incidents = run([...onInference, ...onTraining, ...onStorage, beat(1_900_000), later, beat(2_005_000)],
      [lateralChain])
    expect(incidents.map(({ state }) => state)).toEqual(['closed', 'open'])
    expect(incidents[1].hops).toHaveLength(4)
  })

  it('gives the same bytes wherever batches are cut and after restarts', () => {
    const events = eventsOf({ policy, events: [...onStorage, ...onTraining, beat(61_000, 'store-1'), ...onInference] })
    const results = [1, 2, 100].map((eventsMax) => {
      let engine = new Engine({ detectors })
      batchesOf(events, eventsMax).forEach((batch, i) => {
        engine.ingest(batch, i)
        engine = Engine.restore(engine.snapshot(), { detectors })
      })
      return canonicalJson(engine.incidents())
    })
    expect(results[1]).toBe(results[0])
    expect(results[2]).toBe(results[0])
  })
})
