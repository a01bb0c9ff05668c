// What is learned of the benign gate's log raises nothing on it, and lets no stranger in.
import { describe, expect, it } from 'vitest'
import { learnPolicy } from '../../cli/learn/learn.ts'
import type { ExampleEvent } from '../../detect/detector.ts'
import { Engine } from '../../detect/engine.ts'
import { batchesOf, encodeEvents, eventsOf } from '../../detect/example.ts'
import { detectors } from '../../detectors/index.ts'
import { parsePolicy } from '../../policy/parse.ts'
import type { Process } from '../../proto/gen/events.ts'
import { DAY_MS, openPolicy, policy, trainingDays } from './training-days.ts'

/** Each data set is packed anew twice: once would be no habit. */
const DAYS = 13
const training = [...trainingDays(DAYS)].flat()
const intruder: Partial<Process> = {
  pid: 7, start_time: 7n, ppid: 1, uid: 1001, exe: '/usr/bin/python3.12', comm: 'python3', workload: 'jupyter.service',
  cgroup_path: '/system.slice/jupyter.service',
}
const act = (kind: 'store_read' | 'store_write', values: object): ExampleEvent[] =>
  [0, 5000, 10_000].map((later): ExampleEvent => ({ kind, at_ms: DAYS * DAY_MS + later, node_id: 'gpu-1',
    process: intruder, values: { report: later === 0 ? 'first' : 'periodic', ...values } }))

/** Findings of all detectors in the training and what comes after it. */
function findings(text: string, after: ExampleEvent[] = []): string[] {
  const engine = new Engine({ detectors, policyOverride: parsePolicy(text).policy! })
  batchesOf([...training, ...after], 2000).forEach((batch, i) => engine.ingest(batch, i + 1))
  return engine.incidents().flatMap(({ findings: all }) => all).map(({ detector }) => detector)
}

function learned(base?: string) {
  const events = base === undefined ? eventsOf({ policy: openPolicy, events: training }) : training
  const frames = encodeEvents(events, 2000).map((payload, i) => ({ position: i + 1, payload }))
  return learnPolicy(() => frames, { fromMs: -Infinity, toMs: Infinity, connectionsMin: 2,
    ...base === undefined ? {} : { policy: parsePolicy(base).policy! } })
}

describe('a policy that is learned of days of training', () => {
  const { text, stores } = learned()

  it('has everyone who reads and changes each store, and how much, and leaves nobody out', () => {
    expect(stores.refused).toEqual([])
    expect(text).toContain('Checked: nothing that was done to stores in this range is found by it.')
    const told = parsePolicy(text).policy!.stores.map(({ name, readers, writers, expected }) =>
      [name, [readers, writers].map((one) => [...one?.zones ?? [], ...one?.match.systemd_units ?? []]
        .map((pattern) => pattern.text).join()).join(' / '), expected.bytesPerDay! / 2 ** 30, expected.files])
    expect(told[0]).toEqual(['unet3d', 'slurmstepd,dataset-repack.service / dataset-repack.service', 32_768, 3400])
    expect(told.at(-1)).toEqual(['checkpoints', 'slurmstepd / slurmstepd', 8192, null])
    // The objects of a store behind an endpoint.
    expect(told.find(([name]) => name === 'cosmoflow-objects'))
      .toEqual(['cosmoflow-objects', 'slurmstepd / ', 4096, null])
  }, 300_000)

  it('raises nothing on what it was learned of, and something when a stranger comes', () => {
    expect(findings(text)).toEqual([])
    const read = { store: 'bert', mechanism: 'read', bytes: 2 ** 20, files_distinct: 1, path: '/data/bert/part' }
    expect(findings(text, act('store_read', read))).toContain('STO-004')
    const write = { store: 'checkpoints', operation: 'modify', count: 1, path: '/data/checkpoints/last.pt' }
    expect(findings(text, act('store_write', write))).toContain('STO-009')
  }, 300_000)

  it('is added to a policy, which says what it said before, and nothing where it says all', () => {
    const base = openPolicy.replace('  - name: bert\n', '  # The text of people.\n  - name: bert\n')
    const added = learned(base)
    expect(added.text).toContain('# The text of people.')
    const { policy: whole, problems } = parsePolicy(added.text)
    expect(problems).toEqual([])
    expect(whole!.stores.every(({ readers, expected }) => readers !== null && expected.bytesPerDay !== null)).toBe(true)
    const all = learned(policy.replaceAll(/^( {4}sensitivity: .*)$/gm, '$1\n    expected: { bytes_per_day: 100 TiB }'))
    expect(all.stores.stores.every(({ readers, writers, expected }) =>
      readers.length + writers.length === 0 && expected === null)).toBe(true)
    expect(all.stores.refused).toEqual([])
  }, 300_000)
})
