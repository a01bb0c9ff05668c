// What the examples of STO-007 do not say: one incident with the chain before it, orders, bounds.
import { describe, expect, it } from 'vitest'
import type { ExampleEvent } from '../../detect/detector.ts'
import { Engine } from '../../detect/engine.ts'
import { batchesOf, eventsOf } from '../../detect/example.ts'
import type { Incident } from '../../detect/incident.ts'
import { detectors } from '../index.ts'
import { accepted, beat, closed, exec, opened, started } from '../lateral-sample.ts'
import type { Link } from '../lateral-sample.ts'
import { MIB, onReader, onRelay, policy, read } from './leaving/examples.ts'
import { newCarriers } from './leaving/carriers.ts'
import readThenSend from './read-then-send.ts'

// Through a hole in the model server, by ssh to a training node; the data goes back the same way.
const server = started(100, -60_000, '/usr/bin/python3', null, 990)
const shell = started(101, 20, '/bin/sh', server, 990)
const ssh = started(102, 40, '/usr/bin/ssh', shell, 990)
const master = started(50, -60_000, '/usr/sbin/sshd', null)
const session = started(51, 60, '/usr/sbin/sshd', master)
const bash = started(52, 80, '/bin/bash', session, 1000)
const tar = started(53, 100, '/usr/bin/tar', bash, 1000)
const entry: Link = { from: '203.0.113.9', port: 50_000, to: '10.30.0.7', service: 8000 }
const login: Link = { from: '10.30.0.7', port: 40_000, to: '10.20.0.5', service: 22 }
const enter = accepted(10, 'inf-1', server, entry)
const call = opened(50, 'inf-1', ssh, login)
const called = accepted(55, 'train-1', master, login)

/** By node, each in the order of its node. */
const onInference = [
  enter, exec(20, 'inf-1', shell, 'sh'), exec(40, 'inf-1', ssh, 'ssh', 'train-1', 'tar c /srv/corpus'), call,
  closed(call, 2001, 4000, 64 * MIB), closed(enter, 2010, 63 * MIB, 500),
]
const onTraining = [
  called, exec(60, 'train-1', session, 'sshd', '-R'), exec(80, 'train-1', bash, 'bash'),
  exec(100, 'train-1', tar, 'tar', 'c', '/srv/corpus'), read(140, 'train-1', tar, 'corpus', MIB),
  read(1900, 'train-1', tar, 'corpus', 63 * MIB, 1700), closed(called, 2000, 64 * MIB, 4000),
]

function run(events: readonly ExampleEvent[], of = detectors): Incident[] {
  const engine = new Engine({ detectors: of })
  batchesOf(eventsOf({ policy, events: [...events] })).forEach((batch, i) => engine.ingest(batch, i))
  return engine.incidents()
}

function ofThis(incidents: readonly Incident[]) {
  return incidents.flatMap(({ findings }) => findings).filter(({ detector }) => detector === 'STO-007')
}

/** The two nodes report in turns: so many events of one, so many of the other. */
function turns(one: readonly ExampleEvent[], other: readonly ExampleEvent[], size: number): ExampleEvent[] {
  const rounds = Math.ceil(Math.max(one.length, other.length) / size)
  return Array.from({ length: rounds }, (_, i) => [
    ...one.slice(i * size, (i + 1) * size), ...other.slice(i * size, (i + 1) * size),
  ]).flat()
}

const later = [beat(10_000), beat(20_000)]
const byTime = [...onInference, ...onTraining].sort((a, b) => a.at_ms - b.at_ms)
const orders: [string, ExampleEvent[]][] = [
  ['by time', byTime],
  ['the inference node first', [...onInference, ...onTraining]],
  ['the training node first', [...onTraining, ...onInference]],
  ['in turns of one', turns(onInference, onTraining, 1)],
  ['in turns of two, the training node first', turns(onTraining, onInference, 2)],
]

describe('STO-007', () => {
  it.each(orders)('makes one incident of the way in and of the data that leaves: %s', (_, events) => {
    const told = run([...events, ...later]).filter(({ state }) => state === 'open')
    expect(told.map(({ title }) => title)).toHaveLength(1)
    const [incident] = told
    expect(incident.findings.map(({ detector }) => detector)).toEqual(expect.arrayContaining(['NET-002', 'STO-007']))
    expect([incident.stores, incident.severity]).toEqual([['corpus'], 'critical'])
    expect(incident.title).toBe('Data of a store was read, then sent away')
    expect(incident.hops.map(({ from, to }) => [from.zone, to.zone]))
      .toEqual([['external', 'inference'], ['inference', 'training']])
    const [out] = ofThis(told).filter(({ summary }) => summary.includes('203.0.113.9'))
    expect(out.totals).toEqual({ bytes_in: 64 * MIB, bytes_out: 63 * MIB })
    expect(out.details['path']).toEqual(['store corpus', expect.stringContaining('/usr/bin/tar (pid 53'),
      expect.stringContaining('on inf-1)'), '203.0.113.9:50000/tcp in zone external'])
    expect(out.summary).toContain('but an intruder is at their beginning')
  })
  it('makes one incident of a pull by a relay and what the relay sends out, with the bytes of both', () => {
    const [incident, ...others] = run([...onReader, ...onRelay, ...later]).filter(({ state }) => state === 'open')
    expect(others).toEqual([])
    expect(incident.hops.map(({ from, to, bytes_sent, bytes_received }) =>
      [from.address, to.address, bytes_sent, bytes_received])).toEqual([
      ['10.30.0.7', '10.20.0.5', 4000, 64 * MIB], ['10.30.0.7', '203.0.113.9', 64 * MIB, 500]])
    expect(ofThis([incident]).map(({ totals }) => totals)).toEqual([
      { bytes_in: 64 * MIB, bytes_out: 64 * MIB }, { bytes_in: 64 * MIB, bytes_out: 64 * MIB }])
    expect([...incident.nodes].sort()).toEqual(['inf-1', 'train-1'])
  })

  it('counts what was read when that is told after all connections have ended', () => {
    const late = onReader.filter((event) => event.kind !== 'store_read')
    const reads = onReader.filter(({ kind }) => kind === 'store_read')
    const events = [...late.slice(0, -1), reads[0], ...onRelay, ...late.slice(-1), { ...reads[1], at_ms: 4000 }]
    expect(ofThis(run([...events, ...later], [readThenSend])).map(({ totals }) => totals)).toEqual([
      { bytes_in: 64 * MIB, bytes_out: 64 * MIB }, { bytes_in: 64 * MIB, bytes_out: 64 * MIB }])
  })

  it('tells how much of it left: of what a tree had in hand, and over ssh of what was read at the beginning', () => {
    // Packed on the way: a fourth of what was read goes to the relay, and all of that out.
    const quarter = (event: ExampleEvent): ExampleEvent => event.kind !== 'connection_close' ? event : {
      ...event, values: { ...event.values, bytes_sent: (event.values.bytes_sent ?? 0) / 4,
        bytes_received: (event.values.bytes_received ?? 0) / 4 } }
    const [reader, relay] = ofThis(run([...onReader.map(quarter), ...onRelay.map(quarter), ...later], [readThenSend]))
    expect(reader.summary).toContain('then 16.0 MiB, 25% of what it had in hand, went to 10.30.0.7:42000/tcp')
    expect(reader.details).toMatchObject({ ratio_percent: 25, ratio_read_percent: 25 })
    expect(relay.summary).toContain(
      'then 16.0 MiB, 100% of what it had in hand (25% of what was read), went to 203.0.113.9:443/tcp')
    expect(relay.details).toMatchObject({ ratio_percent: 100, ratio_read_percent: 25 })
  })

  it('finds a relay that is a server which read weights itself before', () => {
    const loaded = read(-300_000, 'inf-1', started(80, -10_000, '/bin/sh', null, 990), 'weights', 1024 * MIB)
    const [, relay] = ofThis(run([loaded, ...onReader, ...onRelay], [readThenSend]))
    expect(relay.summary).toContain('/usr/bin/tar (pid 53, uid 1000 on train-1) read 64.0 MiB of store corpus')
    expect(relay.totals).toEqual({ bytes_in: 64 * MIB, bytes_out: 64 * MIB })
  })

  it('does not take for data of the store what peers send back and forth', () => {
    const ranks = ['train-1', 'train-2', 'train-3'].map((node, i) => ({
      node, address: `10.20.0.${5 + i}`, process: started(300 + i, -9000, '/usr/bin/python3', null, 1002),
    }))
    const between = ranks.flatMap((one) => ranks.filter((other) => other !== one).flatMap((other, i) => {
      const link: Link = { from: one.address, port: 45_000 + i, to: other.address, service: 29_500 }
      return [opened(200, one.node, one.process, link), accepted(201, other.node, other.process, link)]
    }))
    const rounds = Array.from({ length: 50 }, (_, i) => between.map((end) =>
      closed(end, 300 + 10 * i, 512 * i * MIB, 0, 'connection_totals')).filter(({ values }) =>
      (values as { direction: string }).direction === 'outgoing')).flat()
    const [first] = ranks
    const away = opened(1000, first.node, first.process,
      { from: first.address, port: 46_000, to: '203.0.113.9', service: 443 })
    const [{ totals, details }] = ofThis(run([
      ...ranks.map(({ node, process }) => read(100, node, process, 'corpus', 64 * MIB)), ...between, ...rounds,
      ...ranks.map(({ node, process }) => read(900, node, process, 'corpus', 64 * MIB)),
      away, closed(away, 2000, 128 * MIB, 0),
    ], [readThenSend]))
    expect(totals).toEqual({ bytes_in: 128 * MIB, bytes_out: 128 * MIB })
    expect(details['stores']).toEqual({ corpus: 128 * MIB })
  })

  it('adds up what goes on to leave', () => {
    const link: Link = { from: '10.20.0.5', port: 41_000, to: '203.0.113.9', service: 443 }
    const out = opened(200, 'train-1', tar, link)
    const parts = [10, 11, 12, 40, 41, 64].map((mib, i) => closed(out, 300 + i, mib * MIB, 0, 'connection_totals'))
    const [{ totals, count, summary }] = ofThis(run([
      read(140, 'train-1', tar, 'corpus', 32 * MIB), out, ...parts, read(400, 'train-1', tar, 'corpus', 48 * MIB),
      closed(out, 500, 65 * MIB, 0),
    ], [readThenSend]))
    expect([totals, count]).toEqual([{ bytes_in: 80 * MIB, bytes_out: 65 * MIB }, 1])
    expect(summary).toContain('65.0 MiB, 81% of what it had in hand')
  })

  it('takes an outlet that a flow allows for what it is while nobody came over a chain', () => {
    const events = [
      enter, read(100, 'inf-1', server, 'corpus', 64 * MIB),
      closed(enter, 2010, 63 * MIB, 500), ...later,
    ]
    expect(ofThis(run(events))).toEqual([])
  })

  it('forgets the trees and connections that nothing was heard of, and counts the trees', () => {
    const state = newCarriers()
    const watched = { ...readThenSend, state: { ...readThenSend.state, initial: () => state } }
    const events = Array.from({ length: 2500 }, (_, i): ExampleEvent[] => {
      const reader = started(1000 + i, 0, '/usr/bin/cat', null)
      const sender = started(10_000 + i, 0, '/usr/bin/curl', null)
      const out = opened(i, 'train-1', sender,
        { from: '10.20.0.5', port: 20_000 + i, to: '203.0.113.9', service: 443 })
      return [read(i, 'train-1', reader, 'corpus', MIB), out, closed(out, i, 2 * MIB, 0)]
    }).flat()
    const engine = new Engine({ detectors: [watched] })
    batchesOf(eventsOf({ policy, events })).forEach((batch, i) => engine.ingest(batch, i))
    expect([state.carriers.size, state.forgotten, state.early.size]).toEqual([2048, 452, 2048])
  })
})
