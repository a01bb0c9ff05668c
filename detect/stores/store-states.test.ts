// What the engine knows of stores, asked by detectors as they would.
import { describe, expect, it } from 'vitest'
import { defineDetector } from '../detector.ts'
import type { ExampleEvent } from '../detector.ts'
import { Engine } from '../engine.ts'
import { batchesOf } from '../example.ts'
import { bytesSince } from './process-reads.ts'
import type { ReadTotals } from './process-reads.ts'
import type { StoreReading } from './store-states.ts'
import type { Usual } from '../../stores/usual.ts'

const DAY_MS = 86_400_000
const MIB = 2 ** 20

interface Seen {
  reading: StoreReading | null
  usual: Usual | null
  own: readonly ReadTotals[]
  around: readonly ReadTotals[]
  kind: string
}

/** Notes what it could ask for at each event. */
function asking(seen: Seen[]) {
  return defineDetector({
    id: 'TST-001', title: 'asks', severity: 'low', maturity: 'experimental', attack: [], atlas: [],
    blindSpots: [], runbook: '', settings: {}, examples: [],
    needs: ['store_read', 'connection_open', 'connection_close', 'connection_totals', 'connection_repeat'],
    state: { initial: () => null, keysMax: 1, idleMs: 1 },
    key: () => 'one',
    evaluate(event, _, context) {
      const { stores, process } = context
      const { current } = stores
      seen.push({
        kind: event.kind, reading: current && { ...current },
        usual: current && stores.usualOf(current.workloadClass, current.store),
        own: process === null ? [] : structuredClone(stores.readsAround(process, 0)),
        around: process === null ? [] : structuredClone(stores.readsAround(process)),
      })
    },
  })
}

function run(events: ExampleEvent[], interrupted = false): Seen[] {
  const seen: Seen[] = []
  const detectors = [asking(seen)]
  let engine = new Engine({ detectors })
  batchesOf(events, 1).forEach((batch, i) => {
    engine.ingest(batch, i)
    if (interrupted) engine = Engine.restore(engine.snapshot(), { detectors })
  })
  return seen
}

interface Of { pid?: number; ppid?: number; workload?: string; cgroup_path?: string; uid?: number; exe?: string }

function processOf({ pid = 500, ppid = 0, ...of }: Of) {
  return {
    pid, start_time: 1n, ppid, parent_start_time: ppid === 0 ? 0n : 1n, uid: 1000, comm: 'python',
    exe: '/usr/bin/python3', workload: 'train.service', cgroup_path: '/system.slice/train.service', ...of,
  }
}

function read(at_ms: number, bytes: number, of: Of = {}, store = 'imagenet'): ExampleEvent {
  return {
    kind: 'store_read', at_ms, node_id: 'gpu-1', process: processOf(of),
    values: { store, bytes, calls: 1, files_distinct: 10, mechanism: 'read', report: 'periodic', duration_ns: 5e9 },
  }
}

function open(at_ms: number, of: Of): ExampleEvent {
  return { kind: 'connection_open', at_ms, node_id: 'gpu-1', process: processOf(of), values: { direction: 'outgoing' } }
}

describe('what is usual', () => {
  const days = Array.from({ length: 10 }, (_, day) => read(day * DAY_MS, 100 * MIB))

  it('is of the days before, while what is read now is of today', () => {
    const last = run([...days, read(10 * DAY_MS, 5000 * MIB)]).at(-1)!
    expect(last.usual).toMatchObject({
      days: 10, reports: 11, bytesPerDay: 128 * MIB, bytesToday: 5000 * MIB, bytes: 1000 * MIB, files: 16,
    })
    expect(last.reading).toMatchObject({ store: 'imagenet', isFirst: false, isNewProgram: false, mechanism: 'read' })
  })

  it('is shared by the jobs of one user, and by nobody else', () => {
    const seen = run([
      read(0, MIB, { workload: 'job:1' }), read(DAY_MS, MIB, { workload: 'job:2', pid: 9 }),
      read(DAY_MS, MIB, { workload: 'job:3', uid: 7, pid: 10 }),
    ])
    expect(seen.map(({ reading }) => reading?.isFirst)).toEqual([true, false, true])
    expect(seen.map(({ usual }) => usual?.days)).toEqual([0, 1, 0])
  })

  it('tells the first read of a class, and the first by a program', () => {
    const seen = run([read(0, 1), read(1, 1), read(2, 1, { exe: '/usr/bin/tar' }), read(3, 1, {}, 'weights')])
    expect(seen.map(({ reading }) => [reading?.isFirst, reading?.isNewProgram])).toEqual(
      [[true, true], [false, false], [false, true], [true, true]])
  })

  it('is not changed by snapshots, and an event without a store reads nothing', () => {
    const events = [...days, open(9.5 * DAY_MS, {}), read(10 * DAY_MS, MIB)]
    const seen = run(events)
    expect(run(events, true)).toEqual(seen)
    expect(seen[10]).toMatchObject({ kind: 'connection_open', reading: null })
    const nameless = run([read(0, MIB, {}, '')])
    expect(nameless).toMatchObject([{ reading: null, own: [] }])
  })
})

describe('what a process has read', () => {
  const shell = { pid: 600, cgroup_path: '/s/a', workload: 'a' }
  const tar = { ...shell, pid: 601, ppid: 600 }
  const ssh = { ...shell, pid: 602, ppid: 600 }

  it('counts for those that it descends from, and is found from its sibling', () => {
    const seen = run([open(0, shell), read(1000, 64 * MIB, tar), read(2000, 36 * MIB, tar), open(3000, ssh)])
    const { own, around } = seen.at(-1)!
    expect(own).toEqual([])
    expect(around).toMatchObject([{ store: 'imagenet', bytes: 100 * MIB }])
    expect(seen[2].own).toMatchObject([{ bytes: 100 * MIB }])
    expect(around[0].lastMs - around[0].firstMs).toBe(1000)
  })

  it('is of no one in another cgroup', () => {
    const other = { ...ssh, cgroup_path: '/s/b', workload: 'b' }
    expect(run([open(0, shell), read(1000, MIB, tar), open(2000, other)]).at(-1)!.around).toEqual([])
  })

  it('can be asked for lately, to five minutes', () => {
    const seen = run([
      read(0, MIB), read(20 * 60_000, 2 * MIB), read(21 * 60_000, 4 * MIB), read(40 * 60_000, 8 * MIB),
      read(21 * 60_000, 16 * MIB), read(5 * 3_600_000, 32 * MIB),
    ])
    const since = (i: number, minutes: number) =>
      bytesSince(seen[i].own[0], Date.parse('2030-01-01T00:00:00Z') + minutes * 60_000) / MIB
    expect([0, 20, 21, 25, 40, 45].map((minutes) => since(4, minutes))).toEqual([31, 30, 30, 8, 8, 0])
    expect([0, 299, 300].map((minutes) => since(5, minutes))).toEqual([32, 32, 32])
    expect(seen[5].own[0].bytes).toBe(63 * MIB)
  })
})

describe('a store behind an endpoint', () => {
  const policy = `version: 1
stores:
  - name: vectors
    kind: database
    sensitivity: confidential
    endpoints: ["10.50.0.7:5432"]
`
  const amounts = (
    kind: 'connection_close' | 'connection_totals' | 'connection_repeat', at_ms: number, bytes_received: number,
    values: object = {},
  ) => ({
    kind, at_ms, node_id: 'gpu-1', process: processOf({}), values: {
      local_addr: '10.0.0.1', remote_addr: '10.50.0.7', remote_port: 5432, direction: 'outgoing', connection_id: 7n,
      bytes_received, bytes_sent: 99 * MIB, duration_ns: 10e9, protocol: 'tcp', ...values,
    },
  }) as ExampleEvent
  const applied: ExampleEvent = { kind: 'policy_applied', at_ms: 0, node_id: 'correlator', values: { text: policy } }
  const bytesOf = (seen: Seen[]) => seen.map(({ reading }) => reading?.bytes)

  it('is read by what comes over connections, each byte once', () => {
    const events = [
      applied, amounts('connection_totals', 10, 4 * MIB), amounts('connection_totals', 5010, 10 * MIB),
      amounts('connection_close', 9000, 11 * MIB), amounts('connection_close', 9001, 2 * MIB, { connection_id: 8n }),
      amounts('connection_repeat', 9002, 5 * MIB, { connection_id: undefined }),
    ]
    const seen = run(events)
    expect(bytesOf(seen)).toEqual([4, 6, 1, 2, 5].map((mib) => mib * MIB))
    expect(seen.at(-1)!.usual!.bytesToday).toBe(18 * MIB)
    expect(seen[0].reading).toMatchObject({ store: 'vectors', mechanism: 'network', files: 0, isFirst: true })
    expect(run(events, true)).toEqual(seen)
  })

  it('is not read by what comes from elsewhere, to its own side, or not at all', () => {
    expect(bytesOf(run([
      applied, amounts('connection_close', 1, MIB, { remote_addr: '10.50.0.8' }),
      amounts('connection_close', 2, MIB, { remote_port: 22 }),
      amounts('connection_close', 3, MIB, { direction: 'accepted' }), amounts('connection_totals', 4, 0),
    ]))).toEqual([undefined, undefined, undefined, undefined])
    expect(bytesOf(run([amounts('connection_close', 1, MIB)]))).toEqual([undefined])
  })
})

describe('bounds', () => {
  it('hold for pairs and processes, and what is forgotten is counted', () => {
    const engine = new Engine({ detectors: [], stores: { pairsMax: 64 } })
    const events = Array.from({ length: 640 }, (_, i) =>
      read(i * 1000, 1, { pid: 1000 + i, workload: `w${i}.service`, cgroup_path: `/w${i}` }))
    batchesOf(events).forEach((batch, i) => engine.ingest(batch, i))
    const { store_pairs: pairs, store_evictions: evictions } = engine.counters()
    expect(pairs).toBeLessThanOrEqual(64)
    expect(pairs).toBeGreaterThan(50)
    expect(evictions).toBe(640 - pairs)
  })

  it('hold for processes that read, and for the stores of one', () => {
    const engine = new Engine({ detectors: [], stores: { readersMax: 64 } })
    const events = Array.from({ length: 640 }, (_, i) => read(i * 1000, 1, { pid: 1000 + i }))
    batchesOf(events).forEach((batch, i) => engine.ingest(batch, i))
    const { store_evictions: evictions, store_pairs: pairs } = engine.counters()
    expect(pairs).toBe(1)
    expect(evictions).toBe(640 - 64)

    const stores = (count: number) => Array.from({ length: count }, (_, i) => read(i * 1000, i + 1, {}, `s${i}`))
    const own = run(stores(12)).at(-1)!.own
    expect(own.map(({ store }) => store)).toEqual(['s4', 's5', 's6', 's7', 's8', 's9', 's10', 's11'])
  })

  it('let go what was read a day ago', () => {
    const seen = run([read(0, MIB), open(25 * 3_600_000, {})])
    expect([seen[0].own.length, seen[1].own.length]).toEqual([1, 0])
  })
})
