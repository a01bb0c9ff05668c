import { describe, expect, it } from 'vitest'
import { detectors } from '../detectors/index.ts'
import { parsePolicy } from '../policy/parse.ts'
import { decodeBatch } from '../proto/batch.ts'
import type { ExampleEvent } from './detector.ts'
import { Engine } from './engine.ts'
import { batchesOf, encodeEvents, eventsOf } from './example.ts'
import { SnapshotError } from './state/snapshot.ts'

const { policy } = detectors.find(({ id }) => id === 'NET-001')!.examples[0]
const parsed = (text: string) => parsePolicy(text).policy!

function violation(at_ms: number, options: { node_id?: string; workload?: string; to?: string } = {}): ExampleEvent {
  const { node_id = 'gpu-1', workload = 'vllm.service', to = '10.50.0.9' } = options
  return {
    kind: 'connection_failed', at_ms, node_id,
    process: { pid: 5, start_time: 1n, exe: '/usr/bin/curl', workload },
    values: { local_addr: '10.30.0.7', remote_addr: to, remote_port: 22, protocol: 'tcp', error: 111 },
  }
}

function applied(text: string, at_ms = 0): ExampleEvent {
  return { kind: 'policy_applied', at_ms, node_id: 'correlator', values: { text } }
}

function run(events: ExampleEvent[], options: Partial<ConstructorParameters<typeof Engine>[0]> = {}): Engine {
  const engine = new Engine({ detectors, ...options })
  batchesOf(events).forEach((batch, i) => engine.ingest(batch, i))
  return engine
}

describe('the policy in force', () => {
  it('is the learning one until the log or the caller says otherwise', () => {
    expect(run([violation(0)]).incidents()).toEqual([])
    expect(run([violation(0)], { policy: parsed(policy!) }).incidents()).toHaveLength(1)
  })

  it('is the one that the log says, from that event on', () => {
    const engine = run([violation(0), applied(policy!, 1), violation(2), applied('', 3), violation(4)])
    expect(engine.incidents()).toHaveLength(1)
    expect(engine.incidents()[0].findings[0].count).toBe(1)
  })

  it('stays when the log holds a text that is none, and that is counted', () => {
    const engine = run([applied(policy!), applied('zones: 7', 1), violation(2)])
    expect(engine.counters().policies_refused).toBe(1)
    expect(engine.incidents()).toHaveLength(1)
  })

  it('is that of the caller when it asks what another one would do', () => {
    const engine = run([applied(policy!), violation(2)], { policyOverride: parsed('version: 1\n') })
    expect(engine.incidents()).toEqual([])
    const again = Engine.restore(engine.snapshot(), { detectors, policyOverride: parsed(policy!) })
    expect(again.policySha256).toBe(parsed(policy!).sha256)
  })

  it('changes thresholds', () => {
    const scan = Array.from({ length: 6 }, (_, i) => violation(i, { to: `10.30.1.${i}` }))
    const strict = 'version: 1\ndetectors:\n  NET-003:\n    thresholds:\n      hosts: 5\n'
    expect(run(scan).incidents()).toEqual([])
    expect(run([applied(strict), ...scan]).counters().findings['NET-003']).toBe(1)
  })

  it('gives a process another zone when it changes', () => {
    const moved = policy!.replace('10.30.0.0/16', '10.31.0.0/16')
      .replace('executables: [/usr/sbin/slurmctld]', 'executables: [/usr/bin/curl]')
    const engine = run([applied(policy!), violation(1), applied(moved, 2), violation(3)])
    expect(engine.incidents()[0].zones).toEqual(['inference', 'storage', 'orchestration'])
  })
})

describe('processes', () => {
  it('are in another zone once their cgroup is known', () => {
    const text = policy!.replace('executables: [/usr/sbin/slurmctld]', 'cgroup_paths: [/jobs/**]')
    const process = { pid: 5, start_time: 1n, exe: '/usr/bin/curl', workload: 'w', cgroup_id: 9n }
    const seen: ExampleEvent = {
      kind: 'workload_seen', at_ms: 2, node_id: 'gpu-1', values: { cgroup_id: 9n, cgroup_path: '/jobs/1' },
    }
    const tried = { ...violation(1), process } as ExampleEvent
    const engine = run([applied(text), tried, seen, { ...tried, at_ms: 3 } as ExampleEvent])
    expect(engine.incidents()[0].zones).toEqual(['inference', 'storage', 'orchestration'])
  })

  it('are what the row of each event says, also when a batch goes back to an older row', () => {
    const of = (at: number, uid: number): ExampleEvent => {
      const event = violation(at, { to: `10.50.0.${at}` })
      return { ...event, process: { ...event.process, uid } } as ExampleEvent
    }
    const [batch] = batchesOf([of(1, 0), of(2, 1000), of(3, 7)])
    batch.columns.connection_failed!.process[2] = batch.columns.connection_failed!.process[0]
    const engine = new Engine({ detectors, policy: parsed(policy!) })
    engine.ingest(batch, 1)
    const uids = engine.incidents()[0].findings.map(({ details }) => details['process'])
    expect(uids).toMatchObject([{ uid: 0 }, { uid: 1000 }, { uid: 0 }])
  })
})

describe('the log', () => {
  it('may give a batch again: it is counted and changes nothing', () => {
    const engine = new Engine({ detectors, policy: parsed(policy!) })
    const batches = batchesOf([violation(0), violation(1), violation(2)], 2)
    const updates = [batches[0], batches[0], batches[1], batches[0]].map((batch, i) => engine.ingest(batch, i))
    expect(updates.map(({ length }) => length)).toEqual([1, 0, 0, 0])
    expect(engine.incidents()[0].findings[0].count).toBe(3)
    expect(engine.counters()).toMatchObject({ events: 3, duplicates: 4, holes: 0 })
  })

  it('may give a batch that overlaps the one before: only what is new counts', () => {
    const engine = new Engine({ detectors, policy: parsed(policy!) })
    const events = [violation(0), violation(1), violation(2)]
    engine.ingest(decodeBatch(encodeEvents(events.slice(0, 2), 10, 1)[0]), 1)
    engine.ingest(decodeBatch(encodeEvents(events.slice(1), 10, 2)[0]), 2)
    expect(engine.incidents()[0].findings[0].count).toBe(3)
    expect(engine.counters().duplicates).toBe(1)
  })

  it('may begin anywhere: its first number is no hole', () => {
    const engine = new Engine({ detectors })
    engine.ingest(decodeBatch(encodeEvents([violation(0)], 10, 77_777)[0]), 1)
    expect(engine.counters().holes).toBe(0)
  })

  it('may hold kinds that this build does not know', () => {
    const [batch] = batchesOf([violation(0), violation(1)])
    const kinds = Uint8Array.from([250, ...batch.kinds, 250])
    const envelope = { ...batch.envelope, count: 4 }
    const engine = new Engine({ detectors, policy: parsed(policy!) })
    engine.ingest({ ...batch, kinds, envelope }, 1)
    expect(engine.counters()).toMatchObject({ events: 4, events_unknown: 2 })
    expect(engine.incidents()[0].findings[0].evidence.map(({ seq }) => seq)).toEqual([2, 3])
  })

  it('moves the watermark forward only, and incidents close by it', () => {
    const engine = new Engine({ detectors, policy: parsed(policy!), incidents: { quietMs: 60_000 } })
    const at = (at_ms: number): ExampleEvent => ({ kind: 'heartbeat', at_ms, node_id: 'gpu-1', values: {} })
    const batches = batchesOf([violation(10_000), at(5000), at(69_000), at(70_001)], 1)
    const open = batches.map((batch, i) => {
      engine.ingest(batch, i)
      return engine.openIncidents
    })
    expect(open).toEqual([1, 1, 1, 0])
    expect(engine.watermarkMs).toBe(Date.parse('2030-01-01T00:01:10.001Z'))
  })

  it('with nodes whose clocks are apart still has each of them judged', () => {
    const scan = (node_id: string, at: number) => Array.from({ length: 25 }, (_, i) =>
      violation(at + i, { to: `10.30.1.${i}`, node_id, workload: 'job:7' }))
    const engine = run([...scan('ahead', 3_600_000), ...scan('behind', 0)])
    expect(engine.counters().findings['NET-003']).toBe(1)
    const separate = run([
      violation(7_200_000, { node_id: 'ahead' }),
      ...scan('behind', 0).map((event) => ({ ...event, process: { ...event.process, workload: 'x' } }) as ExampleEvent),
    ])
    expect(separate.counters().findings['NET-003']).toBe(1)
  })
})

describe('bounds', () => {
  it('hold for nodes, boots and processes, and evictions are counted', () => {
    const engine = new Engine({ detectors, lineage: { processesMax: 64 } })
    const events = Array.from({ length: 640 }, (_, i): ExampleEvent => ({
      kind: 'process_exec', at_ms: i, node_id: `n${i % 7}`, process: { pid: i + 1, start_time: 1n }, values: {},
    }))
    batchesOf(events).forEach((batch, i) => engine.ingest(batch, i))
    const { processes, process_evictions: evictions } = engine.counters()
    expect(processes).toBeLessThanOrEqual(64)
    expect(evictions).toBe(640 - processes)
  })

  it('are the same when a process is forgotten and comes back within a batch', () => {
    const events = [1, 2, 3, 4, 1].map((pid, i): ExampleEvent => ({
      kind: 'process_exec', at_ms: i, process: { pid, start_time: 1n }, values: {},
    }))
    const counters = [1, 8192].map((eventsMax) => {
      const engine = new Engine({ detectors, lineage: { processesMax: 2 } })
      for (const batch of batchesOf(events, eventsMax)) {
        const { process } = batch.columns.process_exec!
        if (process.length === 5) process[4] = process[0]
        engine.ingest(batch, 1)
      }
      return engine.counters()
    })
    expect(counters[1]).toEqual(counters[0])
    expect(counters[0].process_evictions).toBe(3)
  })

  it('of a process table that is too small change no incident by how batches are cut', () => {
    const events = Array.from({ length: 300 }, (_, i): ExampleEvent[] => {
      const process = { pid: i % 37 + 1, start_time: BigInt(i % 5), exe: '/bin/x', workload: `w${i % 11}` }
      return [
        { kind: 'process_exec', at_ms: i, node_id: 'gpu-1', process, values: { exe: '/bin/x', args: [`${i}`] } },
        { ...violation(i), process },
      ] as ExampleEvent[]
    }).flat()
    const texts = [1, 2, 7, 50, 8192].map((eventsMax) => {
      const engine = new Engine({
        detectors, lineage: { processesMax: 16 }, incidents: { openMax: 5, closedMax: 3 },
        policy: parsed(policy!),
      })
      batchesOf(events, eventsMax).forEach((batch, i) => engine.ingest(batch, i))
      expect(engine.counters().process_evictions).toBeGreaterThan(50)
      return JSON.stringify(engine.incidents())
    })
    expect(new Set(texts).size).toBe(1)
  })
})

describe('a snapshot', () => {
  it('holds the policy, so that nothing else is needed', () => {
    const engine = run([applied(policy!)])
    const again = Engine.restore(engine.snapshot(), { detectors })
    expect(again.policySha256).toBe(parsed(policy!).sha256)
  })

  it('does not move the moments at which waiting things happen', () => {
    const at = (at_ms: number): ExampleEvent => ({ kind: 'heartbeat', at_ms, node_id: 'gpu-1', values: {} })
    const batches = batchesOf([violation(10_500), at(70_200), at(70_400), at(70_600), at(71_100)], 1)
    const options = { detectors, policy: parsed(policy!), incidents: { quietMs: 60_000 } }
    const plain = new Engine(options)
    let broken = new Engine(options)
    for (const [i, batch] of batches.entries()) {
      plain.ingest(batch, i)
      broken = Engine.restore(broken.snapshot(), options)
      broken.ingest(batch, i)
    }
    expect(plain.incidents()[0].closed_at).toBe('2030-01-01T00:01:10.600Z')
    expect(broken.incidents()).toEqual(plain.incidents())
  })

  it('serves a catalogue with other detectors: the new one starts empty', () => {
    const one = detectors.filter(({ id }) => id === 'NET-001')
    const engine = run(eventsOf({ policy, events: [violation(0)] }), { detectors: one })
    const again = Engine.restore(engine.snapshot(), { detectors: [detectors[1]] })
    expect(again.counters().findings).toEqual({ [detectors[1].id]: 0 })
    expect(again.incidents()).toEqual(engine.incidents())
  })

  it('that is damaged or of another version is refused with a reason', () => {
    const bytes = run([violation(0)]).snapshot()
    for (const damaged of [bytes.subarray(0, bytes.length >> 1), new Uint8Array(0), Buffer.from('x')]) {
      expect(() => Engine.restore(damaged, { detectors })).toThrow(SnapshotError)
    }
    expect(() => Engine.restore(Buffer.from([0x81, 0xa1, 0x61, 1]), { detectors })).toThrow(/replay the log/)
  })
})
