// Invariant 2: a lost range is seen in every incident whose window it touches.
import { describe, expect, it } from 'vitest'
import { detectors } from '../detectors/index.ts'
import { decodeBatch } from '../proto/batch.ts'
import type { Gap, ProbeState } from '../proto/gen/events.ts'
import type { ExampleEvent } from './detector.ts'
import { Engine } from './engine.ts'
import { batchesOf, encodeEvents, eventsOf } from './example.ts'
import type { IncidentUpdate } from './incident.ts'

const { policy } = detectors.find(({ id }) => id === 'NET-001')!.examples[0]
/** Time since boot when examples start. */
const START_NS = 3_600_000_000_000n
const second = 1_000_000_000n

/** A connection from node gpu-1 that the policy does not allow. */
function violation(at_ms: number, node_id = 'gpu-1'): ExampleEvent {
  return {
    kind: 'connection_failed', at_ms, node_id,
    process: { pid: 5, start_time: 1n, exe: '/usr/bin/curl', workload: 'vllm.service' },
    values: {
      local_addr: '10.30.0.7', remote_addr: '10.50.0.9', remote_port: 22, protocol: 'tcp', error: 111,
    },
  }
}

function beat(at_ms: number, node_id = 'gpu-1'): ExampleEvent {
  return { kind: 'heartbeat', at_ms, node_id, values: {} }
}

/** Events from `from` to `to` seconds after the start were lost; told at `at_ms`. */
function gap(at_ms: number, from: number, to: number, values: Partial<Gap> = {}): ExampleEvent {
  return {
    kind: 'gap', at_ms, node_id: 'gpu-1', values: {
      event_kind: 'connection_open', count: 12, stage: 'ring', reason: 'the ring was full',
      from_time: START_NS + BigInt(from) * second, to_time: START_NS + BigInt(to) * second, ...values,
    },
  }
}

function probe(at_ms: number, values: Partial<ProbeState>): ExampleEvent {
  return { kind: 'probe_state', at_ms, node_id: 'gpu-1', values: { probe: 'connection_open', ...values } }
}

function beats(from: number, to: number): ExampleEvent[] {
  return Array.from({ length: Math.ceil((to - from) / 5000) }, (_, i) => beat(from + 5000 * i))
}

function run(events: ExampleEvent[], eventsMax?: number) {
  const engine = new Engine({ detectors })
  const updates: IncidentUpdate[] = []
  batchesOf(eventsOf({ policy, events }), eventsMax).forEach((batch, i) => {
    updates.push(...engine.ingest(batch, i))
  })
  return { engine, updates, incident: engine.incidents()[0], node: engine.incidents()[0].coverage.nodes[0] }
}

describe('coverage of an incident', () => {
  it('is complete when nothing is known to be missing', () => {
    const { incident } = run([beat(0), violation(10), beat(5000)])
    expect(incident.coverage).toEqual({
      complete: true, nodes: [{
        node_id: 'gpu-1', complete: true, gaps: [], probes_degraded: [], holes: [], silences: [], unwatched: [],
        unlisted: 0,
      }],
    })
  })

  it('names the cgroup that alone lost events, and keeps it apart from others', () => {
    const flood = (at_ms: number, cgroup_id: bigint) =>
      gap(at_ms, 2, 3, { stage: 'quota', reason: 'over its quota', cgroup_id })
    const seen = { kind: 'workload_seen', at_ms: 1, node_id: 'gpu-1', values: {
      cgroup_id: 77n, cgroup_path: '/jobs/loud', workload: 'loud',
    } } as const
    const { node } = run([
      beat(0), seen, flood(3000, 77n), flood(3500, 78n), flood(4000, 77n), violation(10_000),
    ])
    expect(node.gaps.map(({ stage, cgroup, count }) => [stage, cgroup, count])).toEqual([
      ['quota', '/jobs/loud', 24], ['quota', 'cgroup 78', 12],
    ])
  })

  it('names a gap before it, with kind, count, range, stage and reason', () => {
    const { incident, node } = run([beat(0), gap(9000, 3, 8), violation(10_000)])
    expect(incident.coverage.complete).toBe(false)
    expect(node.gaps).toEqual([{
      event_kind: 'connection_open', count: 12, stage: 'ring', reason: 'the ring was full',
      from: '2030-01-01T00:00:03.000Z', to: '2030-01-01T00:00:08.000Z',
    }])
    expect(incident.summary).toContain('Not everything was seen on 1 node')
  })

  it('changes when a gap becomes known later, also after it has closed', () => {
    const { updates, node, incident } = run([
      beat(0), violation(100), ...beats(5000, 1_000_000), gap(1_000_000, 1, 2),
    ], 1)
    expect(updates.map(({ change }) => change)).toEqual(['opened', 'closed', 'updated'])
    expect(incident.state).toBe('closed')
    expect(node.gaps).toHaveLength(1)
    expect(updates[1].incident.coverage.complete).toBe(true)
    expect(updates[2].incident.coverage.complete).toBe(false)
  })

  it('does not name a gap of another time or another node', () => {
    const far = run([beat(0), gap(9000, 3, 8), ...beats(10_000, 200_000), violation(200_000)])
    expect(far.incident.coverage.complete).toBe(true)
    const other = run([beat(0), { ...gap(9000, 3, 8), node_id: 'gpu-2' }, violation(10_000)])
    expect(other.incident.coverage.complete).toBe(true)
  })

  it('adds up gaps of one kind and cause, and keeps others apart', () => {
    const { node } = run([
      beat(0), violation(10), gap(2000, 1, 2), gap(3000, 2, 3), gap(4000, 3, 4, { stage: 'spool' }),
      gap(5000, 3, 4, { event_kind: 'process_exec' }),
    ])
    expect(node.gaps.map(({ stage, event_kind, count }) => [stage, event_kind, count])).toEqual([
      ['ring', 'connection_open', 24], ['spool', 'connection_open', 12], ['ring', 'process_exec', 12],
    ])
  })

  it('says which probes see less, and until when', () => {
    const { node } = run([
      probe(0, { state: 'degraded', reason: 'fentry refused', lost: 'io_uring' }),
      probe(0, { probe: 'rdma_connection', state: 'waiting', reason: 'no ib_core', lost: '' }),
      probe(1, { probe: 'process_exec', state: 'attached' }), violation(10),
      probe(5000, { state: 'missing', reason: 'detached', lost: 'all of them' }),
      probe(9000, { state: 'attached' }),
    ])
    expect(node.probes_degraded).toEqual([
      { probe: 'connection_open', state: 'degraded', reason: 'fentry refused', lost: 'io_uring',
        from: '2030-01-01T00:00:00.000Z', to: '2030-01-01T00:00:05.000Z' },
      { probe: 'connection_open', state: 'missing', reason: 'detached', lost: 'all of them',
        from: '2030-01-01T00:00:05.000Z', to: '2030-01-01T00:00:09.000Z' },
    ])
  })

  it('says when a node falls silent, and takes it back when its events were only late', () => {
    const others = [10_000, 20_000, 30_000, 40_000].map((at) => beat(at, 'gpu-2'))
    const silent = run([beat(0), violation(100), ...others], 1)
    expect(silent.node.silences).toEqual([{ from: '2030-01-01T00:00:00.100Z' }])
    expect(silent.updates.at(-1)?.incident.coverage.complete).toBe(false)
    const late = run([beat(0), violation(100), ...others, ...beats(5000, 40_000)], 1)
    expect(late.incident.coverage.complete).toBe(true)
    expect(late.updates.at(-1)?.incident.coverage.complete).toBe(true)
    const back = run([beat(0), violation(100), ...others, beat(50_000)], 1)
    expect(back.node.silences)
      .toEqual([{ from: '2030-01-01T00:00:00.100Z', to: '2030-01-01T00:00:50.000Z' }])
  })

  it('names numbers that are missing in the log, and a spool that was replaced', () => {
    const engine = new Engine({ detectors })
    const ingest = (events: ExampleEvent[], firstSeq: number): void => {
      for (const bytes of encodeEvents(events, 100, firstSeq)) engine.ingest(decodeBatch(bytes), firstSeq)
    }
    ingest(eventsOf({ policy, events: [] }), 1)
    ingest([beat(0), violation(10)], 41)
    ingest([beat(3000)], 50)
    ingest([{ kind: 'agent_start', at_ms: 4000, node_id: 'gpu-1', values: { first_seq: 9000 } }], 9000)
    const [node] = engine.incidents()[0].coverage.nodes
    expect(node.holes.map(({ after_seq: after, before_seq: before }) => [after, before]))
      .toEqual([[42, 50], [50, 9000]])
    expect(node.holes[1].reason).toContain('new spool')
    expect(engine.counters().holes).toBe(2)
  })

  it('says from when to when no agent ran, and why', () => {
    const engine = new Engine({ detectors })
    const ingest = (events: ExampleEvent[], firstSeq: number): void => {
      for (const bytes of encodeEvents(events, 100, firstSeq)) engine.ingest(decodeBatch(bytes), firstSeq)
    }
    const begin = (at: number, previous_run: string): ExampleEvent =>
      ({ kind: 'agent_start', at_ms: at, node_id: 'gpu-1', values: { previous_run } })
    ingest(eventsOf({ policy, events: [] }), 1)
    ingest([begin(0, 'none'), violation(10), beat(2000)], 41)
    expect(engine.incidents()[0].coverage.complete).toBe(true)
    ingest([begin(3500, 'unclean'), beat(3600)], 44)
    const [node] = engine.incidents()[0].coverage.nodes
    expect(node.unwatched).toEqual([{
      from: '2030-01-01T00:00:02.000Z', to: '2030-01-01T00:00:03.500Z',
      reason: 'the agent was killed or crashed: what it had not stored is lost',
    }])
    expect(node.holes).toEqual([])
  })

  it('forgets the oldest faults when there are too many, and says that it did', () => {
    const events = Array.from({ length: 1000 }, (_, i) =>
      gap(1000 + i, 1, 2, { reason: `reason ${i}` }))
    const { node, engine } = run([violation(0), ...events])
    expect(node.gaps).toHaveLength(10)
    expect(node.unlisted).toBe(990)
    expect(engine.snapshot().length).toBeLessThan(100_000)
  })
})
