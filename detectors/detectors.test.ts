// Runs every example of every detector, and what all detectors must hold to.
import { describe, expect, it } from 'vitest'
import type { Detector, Example, ExampleEvent } from '../detect/detector.ts'
import { Engine } from '../detect/engine.ts'
import { batchesOf, eventsOf } from '../detect/example.ts'
import { canonicalJson } from '../detect/incident.ts'
import type { Incident, IncidentUpdate } from '../detect/incident.ts'
import { kindInfos } from '../proto/gen/events.ts'
import { detectors } from './index.ts'

const kinds = new Set(kindInfos.map(({ kind }) => kind))

function run(of: readonly Detector[], events: readonly ExampleEvent[], eventsMax?: number): Engine {
  const engine = new Engine({ detectors: of })
  batchesOf(events, eventsMax).forEach((batch, i) => engine.ingest(batch, i))
  return engine
}

function findingsOf(incidents: readonly Incident[], detector: Detector) {
  return incidents.flatMap(({ findings }) => findings).filter((one) => one.detector === detector.id)
}

/** Many copies of an example, in which everything that could be a key is different. */
function copies(events: readonly ExampleEvent[], count: number): ExampleEvent[] {
  return Array.from({ length: count }, (_, i) => events.map((event) => {
    const values = { ...event.values } as Record<string, unknown>
    for (const name of ['local_port', 'remote_port']) {
      // The port of a service stays, the port of a client does not.
      if (typeof values[name] === 'number' && values[name] >= 40_000) values[name] += i
    }
    const process = event.process && {
      ...event.process, pid: (event.process.pid ?? 0) + 10_000 * i,
      workload: `${event.process.workload ?? ''}-${i}`,
    }
    return { ...event, values, process, at_ms: event.at_ms + i } as ExampleEvent
  })).flat().sort((a, b) => a.at_ms - b.at_ms)
}

it('gives every detector an id of its own, in order', () => {
  const ids = detectors.map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
  expect(ids.toSorted()).toEqual(ids)
})

const byId = detectors.map((detector) => [detector.id, detector] as const)

describe.each(byId)('%s', (_, detector) => {
  const fires = detector.examples.filter((example) => example.fires.length > 0)
  const quiet = detector.examples.filter((example) => example.fires.length === 0)

  it('says what it is, what it cannot see, and what to do', () => {
    expect(detector.id).toMatch(/^[A-Z]{3}-\d{3}$/)
    for (const text of [detector.title, detector.runbook]) expect(text.length).toBeGreaterThan(10)
    expect(detector.blindSpots.length).toBeGreaterThan(0)
    for (const technique of detector.attack) expect(technique).toMatch(/^T\d{4}(\.\d{3})?$/)
    for (const technique of detector.atlas) expect(technique).toMatch(/^AML\.TA?\d{4}(\.\d{3})?$/)
    for (const name of Object.keys(detector.settings)) expect(name).toMatch(/^[a-z0-9_]+$/)
  })

  it('needs kinds that exist', () => {
    expect(detector.needs.length).toBeGreaterThan(0)
    for (const kind of detector.needs) expect(kinds).toContain(kind)
  })

  it('has examples of both sides', () => {
    expect(fires.length).toBeGreaterThan(0)
    expect(quiet.length).toBeGreaterThan(0)
  })

  it.each(detector.examples.map((example) => [example.name, example] as const))(
    'example: %s', (_name, example) => {
      const found = findingsOf(run([detector], eventsOf(example)).incidents(), detector)
      expect(found.map(({ summary }) => summary)).toHaveLength(example.fires.length)
      example.fires.forEach((part, i) => expect(found[i].summary).toContain(part))
      for (const { evidence } of found) expect(evidence.length).toBeGreaterThan(0)
    })

  it.each(detector.examples.map((example) => [example.name, example] as const))(
    'a snapshot after every event changes nothing: %s', (_name, example) => {
      const events = eventsOf(example)
      const straight: IncidentUpdate[] = []
      const plain = new Engine({ detectors })
      let broken = new Engine({ detectors })
      const interrupted: IncidentUpdate[] = []
      batchesOf(events, 1).forEach((batch, i) => {
        straight.push(...plain.ingest(batch, i))
        broken = Engine.restore(broken.snapshot(), { detectors })
        interrupted.push(...broken.ingest(batch, i))
      })
      expect(interrupted.map(canonicalJson)).toEqual(straight.map(canonicalJson))
      expect(canonicalJson(broken.incidents())).toBe(canonicalJson(plain.incidents()))
      expect(broken.counters()).toEqual(plain.counters())
    })

  it.each(detector.examples.map((example) => [example.name, example] as const))(
    'where batches are cut changes nothing: %s', (_name, example) => {
      const events = eventsOf(example)
      const whole = canonicalJson(run([detector], events).incidents())
      for (const eventsMax of [1, 2, 3, 7]) {
        expect(canonicalJson(run([detector], events, eventsMax).incidents())).toBe(whole)
      }
    })

  it.each(fires.map((example) => [example.name, example] as const))(
    'ten times too many keys stay within bounds and are counted: %s', (_name, example) => {
      const keysMax = 20
      const small: Detector = { ...detector, state: { ...detector.state, keysMax } }
      const engine = new Engine({
        detectors: [small], lineage: { processesMax: 50 }, incidents: { openMax: 10, closedMax: 5 },
        connections: { connectionsMax: 16 },
      })
      const batches = batchesOf(eventsOf({ ...example, events: copies(example.events, 200) }))
      for (const [i, batch] of batches.entries()) {
        engine.ingest(batch, i)
        const { keys, processes, incidents_open: open } = engine.counters()
        expect(keys[detector.id]).toBeLessThanOrEqual(keysMax)
        expect(processes).toBeLessThanOrEqual(50)
        expect(open).toBeLessThanOrEqual(10)
        expect(engine.incidents().length).toBeLessThanOrEqual(15)
      }
    })

  it.each(fires.map((example) => [example.name, example] as const))(
    'a mute counts and does not raise: %s', (_name, example) => {
      const muted = mute(example, detector.id, '2030-06-01T00:00:00Z')
      const engine = run([detector], eventsOf(muted))
      expect(engine.incidents()).toEqual([])
      expect(engine.counters().muted[detector.id]).toBeGreaterThan(0)
      const over = run([detector], eventsOf(mute(example, detector.id, '2029-12-31T00:00:00Z')))
      expect(over.counters().muted[detector.id]).toBe(0)
      expect(over.incidents().length).toBeGreaterThan(0)
    })
})

function mute(example: Example, id: string, until: string): Example {
  const { policy = 'version: 1\n' } = example
  const setting = `    mute: { reason: the test says so, until: ${until} }\n`
  const [section, own] = ['detectors:\n', `  ${id}:\n`]
  const at = policy.includes(own) ? own : section
  const text = policy.includes(own) ? `${own}${setting}` : `${section}${own}${setting}`
  return { ...example, policy: policy.includes(at) ? policy.replace(at, text) : policy + text }
}
