// The access patterns of MLPerf Storage raise nothing, over days, in any detector.
import { describe, expect, it } from 'vitest'
import type { ExampleEvent } from '../../detect/detector.ts'
import { Engine } from '../../detect/engine.ts'
import { batchesOf, eventsOf } from '../../detect/example.ts'
import { detectors } from '../../detectors/index.ts'
import { parsePolicy } from '../../policy/parse.ts'
import type { Process } from '../../proto/gen/events.ts'
import { trainings } from './mlperf-storage.ts'
import { DAY_MS, openPolicy, policy, trainingDays } from './training-days.ts'

const DAYS = 30
const training = batchesOf([...trainingDays(DAYS)].flat(), 1000)
const events = training.reduce((sum, { kinds }) => sum + kinds.length, 0)

/** An engine after the days of training, which began again so many times from a snapshot. */
function trained(text: string, interruptions = 0): Engine {
  let engine = new Engine({ detectors })
  const batches = [...batchesOf(eventsOf({ policy: text, events: [] })), ...training]
  const between = Math.ceil(batches.length / (interruptions + 1))
  for (const [position, batch] of batches.entries()) {
    engine.ingest(batch, position)
    if (position % between === between - 1) engine = Engine.restore(engine.snapshot(), { detectors })
  }
  return engine
}

const findingsOf = (engine: Engine) => engine.incidents().flatMap(({ findings }) => findings)

/** What is found in more events after the days of training. */
function after(snapshot: Uint8Array, more: ExampleEvent[]): string[] {
  const engine = Engine.restore(snapshot, { detectors })
  batchesOf(more).forEach((batch, i) => engine.ingest(batch, training.length + i))
  return findingsOf(engine).map(({ detector }) => detector)
}

const tar: Partial<Process> = {
  pid: 7, start_time: 7n, ppid: 1, uid: 1001, exe: '/usr/bin/tar', comm: 'tar', workload: '',
  cgroup_path: '/user.slice/user-1001.slice/session-3.scope',
}
/** A job of the user who trains resnet50. */
const job: Partial<Process> = {
  pid: 8, start_time: 8n, ppid: 1, uid: 2001, exe: '/opt/conda/bin/python3.11', comm: 'python', workload: 'job:9999',
  cgroup_path: '/system.slice/slurmstepd.scope/job_9999/step_0',
}

/** Somebody reads a data set in five minutes, the day after. */
function reading(process: Partial<Process>, gib: number): ExampleEvent[] {
  return Array.from({ length: 60 }, (_, i): ExampleEvent => ({
    kind: 'store_read', at_ms: DAYS * DAY_MS + 3_600_000 + i * 5000, node_id: 'login-1', process, values: {
      store: 'resnet50', mechanism: 'read', bytes: Math.round(gib * 2 ** 30 / 60), files_distinct: 4 * i + 1,
      calls: 900, opens: 5, duration_ns: 5e9, report: i === 0 ? 'first' : 'periodic', path: '/data/resnet50/part-0001',
    },
  }))
}

describe('the policies of the gate', () => {
  it.each([['with readers', policy], ['without', openPolicy]])('%s are policies', (_, text) => {
    const { policy: parsed, problems } = parsePolicy(text)
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([])
    expect(parsed!.stores).toHaveLength(trainings.length + 1)
  })
})

describe('days of training', () => {
  const snapshots = new Map<string, Uint8Array>()
  const snapshotOf = (text: string): Uint8Array => {
    const snapshot = snapshots.get(text) ?? trained(text).snapshot()
    snapshots.set(text, snapshot)
    return snapshot
  }

  it.each([['who may read', policy], ['only where the stores are', openPolicy]])(
    'raise nothing, when the policy says %s', (_, text) => {
      const engine = trained(text)
      expect(findingsOf(engine).map(({ detector, summary }) => `${detector} ${summary}`)).toEqual([])
      expect(events).toBeGreaterThan(80_000)
      const { store_pairs: pairs, events: seen } = engine.counters()
      expect(seen).toBe(events + 1)
      // Each training its data set and, when it keeps any, checkpoints; one packs all files anew; one keeps only.
      const keep = trainings.filter(({ checkpointBytes }) => checkpointBytes > 0).length
      expect(pairs).toBe(trainings.length + keep + trainings.length - 1 + 1)
      snapshots.set(text, engine.snapshot())
    }, 120_000)

  it('leave the same state, byte for byte, however often the engine began again', () => {
    expect(Buffer.compare(trained(openPolicy, 9).snapshot(), snapshotOf(openPolicy))).toBe(0)
  }, 120_000)

  it('do not make usual what a stranger does, who packs up what they train with', () => {
    for (const [text, first] of [[policy, 'STO-004'], [openPolicy, 'STO-001']] as const) {
      const found = after(snapshotOf(text), reading(tar, 2))
      expect(found).toContain(first)
      expect(found.filter((id) => !id.startsWith('STO-'))).toEqual([])
    }
  }, 120_000)

  it('do not hide that one of them reads ten times as much as ever', () => {
    expect(after(snapshotOf(policy), reading(job, 5000))).toEqual(['STO-002'])
    expect(after(snapshotOf(policy), reading(job, 500))).toEqual([])
  }, 120_000)
})
