// The access patterns of MLPerf Storage raise nothing, over days, in any detector.
import { describe, expect, it } from 'vitest'
import type { ExampleEvent } from '../../detect/detector.ts'
import { Engine } from '../../detect/engine.ts'
import { batchesOf, eventsOf } from '../../detect/example.ts'
import { detectors } from '../../detectors/index.ts'
import { parsePolicy } from '../../policy/parse.ts'
import { trainings } from './mlperf-storage.ts'
import { DAY_MS, openPolicy, policy, trainingDays } from './training-days.ts'

const DAYS = 30

/** Runs days of training, and then more events, through all detectors. */
function run(text: string, after: ExampleEvent[] = [], days = DAYS) {
  const engine = new Engine({ detectors })
  const events = [...eventsOf({ policy: text, events: [] }), ...[...trainingDays(days)].flat(), ...after]
  batchesOf(events).forEach((batch, position) => engine.ingest(batch, position))
  const told = engine.incidents().flatMap(({ findings }) => findings)
    .map(({ detector, time, summary }) => `${detector} ${time} ${summary}`)
  return { engine, events: events.length, told }
}

/** Somebody packs up a store, and takes his time. */
function packing(store: string, gib: number): ExampleEvent[] {
  const process = {
    pid: 7, start_time: 7n, ppid: 1, uid: 1001, exe: '/usr/bin/tar', comm: 'tar', workload: 'ssh.service',
    cgroup_path: '/user.slice/user-1001.slice/session-3.scope',
  }
  return Array.from({ length: 60 }, (_, i): ExampleEvent => ({
    kind: 'store_read', at_ms: DAYS * DAY_MS + 3_600_000 + i * 5000, node_id: 'login-1', process, values: {
      store, mechanism: 'read', bytes: Math.round(gib * 2 ** 30 / 60), files_distinct: 5 * i + 1, calls: 900, opens: 5,
      duration_ns: 5e9, report: i === 0 ? 'first' : 'periodic', path: `/data/${store}/part-0001`,
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
  it.each([['who may read', policy], ['only where the stores are', openPolicy]])(
    'raise nothing, when the policy says %s', (_, text) => {
      const { engine, events, told } = run(text)
      expect(told).toEqual([])
      expect(events).toBeGreaterThan(20_000)
      const { store_pairs: pairs, events: seen } = engine.counters()
      expect(seen).toBe(events)
      // Each training its data set and, when it keeps any, checkpoints; one packs all files anew; one keeps only.
      const keep = trainings.filter(({ checkpointBytes }) => checkpointBytes > 0).length
      expect(pairs).toBe(trainings.length + keep + trainings.length - 1 + 1)
    }, 120_000)

  it('do not make a stranger usual, who packs up what they train with', () => {
    const { told } = run(policy, packing('resnet50', 200))
    expect(told).not.toEqual([])
    expect(told.filter((line) => !line.startsWith('STO-'))).toEqual([])
  }, 120_000)
})
