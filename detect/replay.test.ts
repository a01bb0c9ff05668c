import { describe, expect, it } from 'vitest'
import { detectors } from '../detectors/index.ts'
import { parsePolicy } from '../policy/parse.ts'
import { decodeBatch } from '../proto/batch.ts'
import { Engine } from './engine.ts'
import { encodeEvents, eventsOf } from './example.ts'
import { canonicalJson } from './incident.ts'
import type { Incident, IncidentUpdate } from './incident.ts'
import { diffIncidents, replay } from './replay.ts'

/** A log of all examples with something in them, an hour apart, in small batches. */
const { policy } = detectors.find(({ id }) => id === 'NET-001')!.examples[0]
const events = detectors.flatMap(({ examples }) => examples).flatMap((example, i) =>
  example.events.map((event) => ({ ...event, at_ms: event.at_ms + 3_600_000 * i })))
const frames = encodeEvents(eventsOf({ policy, events }), 5).map((payload, i) => ({ position: i + 1, payload }))

/** What a live engine told, restarted from a snapshot every `restartEvery` batches. */
function live(restartEvery = Infinity) {
  let engine = new Engine({ detectors })
  const updates: IncidentUpdate[] = []
  const snapshots: Uint8Array[] = []
  for (const { position, payload } of frames) {
    updates.push(...engine.ingest(decodeBatch(payload), position))
    if (position % restartEvery !== 0) continue
    snapshots.push(engine.snapshot())
    engine = Engine.restore(snapshots.at(-1)!, { detectors })
  }
  return { updates, snapshots }
}

function lastOf(updates: IncidentUpdate[]): Incident[] {
  return [...new Map(updates.map(({ incident }) => [incident.incident_id, incident])).values()]
}

describe('replay', () => {
  it('tells byte for byte what was told live, restarts or not', () => {
    const told: IncidentUpdate[] = []
    const result = replay(frames, { detectors, onUpdate: (update) => told.push(update) })
    const { updates } = live(29)
    expect(told.length).toBeGreaterThan(10)
    expect(told.map(canonicalJson)).toEqual(updates.map(canonicalJson))
    const diff = diffIncidents(lastOf(updates), result.incidents)
    expect(diff).toMatchObject({ identical: true, same: result.incidents.length })
    expect(result).toMatchObject({ batches: frames.length, events: events.length + 1, malformed: [] })
  })

  it('goes on from a snapshot and tells the same from there on', () => {
    const every = Math.floor(frames.length / 2)
    const { updates, snapshots } = live(every)
    const told: IncidentUpdate[] = []
    replay(frames.slice(every), { detectors, snapshot: snapshots[0], onUpdate: (one) => told.push(one) })
    const after = updates.filter(({ position }) => position > every)
    expect(after.length).toBeGreaterThan(0)
    expect(told.map(canonicalJson)).toEqual(after.map(canonicalJson))
  })

  it('answers what another policy would have done, and the diff says so', () => {
    const { incidents } = replay(frames, { detectors })
    const learning = replay(frames, { detectors, policy: parsePolicy('version: 1\n').policy! })
    expect(learning.counters.findings['NET-001']).toBe(0)
    const diff = diffIncidents(incidents, learning.incidents)
    expect(diff.identical).toBe(false)
    expect(diff.only_live.length + diff.different.length).toBeGreaterThan(0)
  })

  it('gives the incidents of a time range', () => {
    const start = Date.parse('2030-01-01T00:00:00Z')
    const all = replay(frames, { detectors })
    const some = replay(frames, { detectors, fromMs: start + 3_000_000, toMs: start + 4_000_000 })
    expect(some.incidents.length).toBeGreaterThan(0)
    expect(some.incidents.length).toBeLessThan(all.incidents.length)
    expect(some.batches).toBeLessThan(all.batches)
  })

  it('names frames that hold no batch, and goes on', () => {
    const broken = frames.with(1, { position: 2, payload: Buffer.from('not a batch') })
    const result = replay(broken, { detectors })
    expect(result.malformed.map(({ position }) => position)).toEqual([2])
    expect(result.batches).toBe(frames.length - 1)
  })
})

describe('the comparison', () => {
  const [first] = replay(frames, { detectors }).incidents

  it('finds what is on one side only, and which parts differ', () => {
    const changed = { ...first, summary: 'other', zones: ['x'] }
    expect(diffIncidents([first], [changed]).different[0].keys).toEqual(['summary', 'zones'])
    expect(diffIncidents([first], []).only_live).toEqual([first])
    expect(diffIncidents([], [first]).only_replayed).toEqual([first])
    expect(diffIncidents([], []).identical).toBe(true)
  })

  it('takes the last state of each incident', () => {
    expect(diffIncidents([{ ...first, summary: 'before' }, first], [first]).identical).toBe(true)
  })
})
