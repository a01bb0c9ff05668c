// What the examples of reads of stores do not say: one incident, amounts, names that come late, bounds.
import { describe, expect, it } from 'vitest'
import type { Detector, ExampleEvent } from '../../detect/detector.ts'
import { Engine } from '../../detect/engine.ts'
import { batchesOf, eventsOf } from '../../detect/example.ts'
import { unpackState } from '../../detect/state/snapshot.ts'
import type { Process, WorkloadSeen } from '../../proto/gen/events.ts'
import { inJob, inPod } from '../gpu/example-actors.ts'
import { detectors } from '../index.ts'
import { exec, openPolicy, read, storePolicy, write } from './example-stores.ts'

const MIB = 1_048_576

function run(policy: string, events: readonly ExampleEvent[], of: readonly Detector[] = detectors) {
  const engine = new Engine({ detectors: of })
  batchesOf(eventsOf({ policy, events: [...events] })).forEach((batch, i) => engine.ingest(batch, i))
  return engine
}
const only = (...ids: string[]) => detectors.filter(({ id }) => ids.includes(id))
const findingsOf = (engine: Engine) => engine.incidents().flatMap(({ findings }) => findings)

describe('weights that are packed into temporary space for half an hour', () => {
  const tar = inPod(500, '/usr/bin/tar', 'pod:web/front-0')
  const reports = 360
  const events = [exec(0, tar, 'tar -cf /dev/shm/w.tar /data/weights'),
    ...Array.from({ length: reports }, (_, i) => read(5000 * i, tar, 'weights', 40, 1 + i, { report: 'periodic' }))]
  const [incident, ...others] = run(storePolicy, events).incidents()

  it('are one incident, with one finding of each detector and the store', () => {
    expect(others).toEqual([])
    expect(incident.findings.map(({ detector }) => detector).toSorted()).toEqual(['STO-004', 'STO-005', 'STO-006'])
    expect(incident.findings.map(({ count }) => count)).toEqual([1, 1, 1])
    expect(incident.stores).toEqual(['weights'])
    expect(incident.severity).toBe('high')
  })

  it('are told with all that was read, not only until they were noticed', () => {
    const totals = incident.findings.filter(({ detector }) => detector !== 'STO-006').map((one) => one.totals.bytes)
    expect(totals).toEqual([reports * 40 * MIB, reports * 40 * MIB])
  })
})

describe('a copy in another store', () => {
  it('is told with its size once it is read again or deleted', () => {
    const cp = inPod(500, '/usr/bin/cp', 'pod:serve/llm-0')
    const sender = inPod(501, '/usr/bin/curl', 'pod:serve/llm-0')
    const engine = run(openPolicy, [
      read(0, cp, 'weights', 1, 1), write(1, cp, 'scratch'), read(5000, cp, 'weights', 199, 1),
      read(60_000, sender, 'scratch', 100, 1, { inode: 99n }), read(65_000, sender, 'scratch', 98, 1, { inode: 99n }),
      read(70_000, sender, 'scratch', 500, 1, { inode: 98n }),
      write(90_000, sender, 'scratch', { operation: 'delete', inode: 99n, bytes: MIB }),
    ], only('STO-006'))
    const [finding] = findingsOf(engine)
    expect(finding).toMatchObject({
      detector: 'STO-006', totals: { bytes: 200 * MIB }, details: { copy_bytes: 199 * MIB },
    })
    expect(engine.incidents()[0].stores).toEqual(['weights', 'scratch'])
  })
})

describe('a copy in temporary space', () => {
  const tar = inPod(500, '/usr/bin/tar', 'pod:serve/llm-0')
  const wrote = (mib: number) => ({ process_written_known: true, process_written_bytes: mib * MIB })
  const detailsOf = (...reads: ExampleEvent[]) => findingsOf(run(openPolicy,
    [exec(0, tar, 'tar -czf /tmp/.x.tgz /data/weights'), ...reads], only('STO-006')))[0].details

  it('is told with what was read and what was written, which grow until the end of the process', () => {
    expect(detailsOf(read(1, tar, 'weights', 100, 1, wrote(40)), read(5000, tar, 'weights', 100, 2, wrote(120)),
      // After its last read, and by another mechanism, of which the first read came later.
      read(9000, tar, 'weights', 0, 2, { ...wrote(160), report: 'last' }),
      read(9000, tar, 'weights', 0, 2, { ...wrote(20), report: 'last', mechanism: 'mmap' }),
      read(9500, { ...tar, pid: 501 }, 'weights', 0, 2, { ...wrote(900), report: 'last' })))
      .toMatchObject({ read_bytes: 200 * MIB, written_bytes: 160 * MIB, written_percent: 80 })
  })

  it('that nothing was written to, and one of which that is not known, are not the same', () => {
    expect(detailsOf(read(1, tar, 'weights', 100, 1, wrote(0)))).toMatchObject({ written_bytes: 0, written_percent: 0 })
    expect(detailsOf(read(1, tar, 'weights', 100, 1))).toMatchObject({ written_bytes: null, written_percent: null })
  })
})

describe('a pod whose names come after its first reads', () => {
  const policy = storePolicy.replace('readers: { workloads: ["job:*"] }', 'readers: { namespaces: [train-*] }')
  const pod: Partial<Process> = { ...inPod(500, '/usr/bin/python3', 'pod:0123abcd'), cgroup_id: 9n }
  const seen = (at_ms: number, namespace: string): ExampleEvent => ({
    kind: 'workload_seen', at_ms, values: {
      cgroup_id: 9n, cgroup_path: '/kubepods/500', workload: `pod:${namespace}/trainer-0`, namespace,
      pod_name: 'trainer-0', owner: 'Job/trainer', pod_uid: '0123abcd', facts_source: 'kubernetes',
    } satisfies Partial<WorkloadSeen>,
  })
  const reads = [0, 5000, 10_000].map((at) => read(at, pod, 'imagenet', 10, 5))

  it('is no stranger when they say that it may read', () => {
    const engine = run(policy, [reads[0], seen(2000, 'train-a'), ...reads.slice(1)], only('STO-004', 'STO-001'))
    expect(findingsOf(engine)).toEqual([])
  })

  it('is one when they say otherwise, or do not come', () => {
    const told = findingsOf(run(policy, [reads[0], seen(2000, 'web'), ...reads.slice(1)], only('STO-004')))
    expect(told).toMatchObject([{ detector: 'STO-004', count: 1, totals: { bytes: 30 * MIB } }])
    expect(told[0].summary).toContain('workload pod:web/trainer-0')
    expect(findingsOf(run(policy, reads, only('STO-004')))).toHaveLength(1)
  })
})

describe('a service account that the policy does not name, beside one that it does', () => {
  const policy = storePolicy.replace('readers: { workloads: ["job:*"] }',
    'readers: { service_accounts: [eval/scorer] }')
  const told = (account: string) => {
    const pod: Partial<Process> = { ...inPod(500, '/usr/bin/python3', 'pod:eval/run-0'), cgroup_id: 9n }
    return findingsOf(run(policy, [{ kind: 'workload_seen', at_ms: 0, values: {
      cgroup_id: 9n, cgroup_path: '/kubepods/500', workload: 'pod:eval/run-0', namespace: 'eval', pod_name: 'run-0',
      pod_uid: '0123abcd', facts_source: 'kubernetes', service_account: account,
    } satisfies Partial<WorkloadSeen> }, read(1000, pod, 'imagenet', 10, 5)], only('STO-004')))
  }

  it('is told with its name', () => {
    expect(told('scorer')).toEqual([])
    const [finding] = told('default')
    expect(finding.summary).toContain('It is in no zone as the service account eval/default, and the policy')
    expect(finding.details).toMatchObject({ service_account: 'eval/default', namespace: 'eval' })
  })
})

describe('very many workloads on one store', () => {
  it('take no more room than the most that is kept of it', () => {
    const events = Array.from({ length: 3000 }, (_, i) => {
      const job = { ...inJob(10 + i, '/usr/bin/python3', `job:${i}`), uid: i + 1 }
      return read(1000 * i, job, 'imagenet', 10, 20)
    })
    const sizes = [1000, 3000].map((jobs) => {
      const state = unpackState(run(openPolicy, events.slice(0, jobs), only('STO-003', 'STO-008')).snapshot())
      return JSON.stringify(state.detectors, (_, value: unknown) =>
        value instanceof Map ? [...value] : value).length
    })
    expect(sizes[0]).toBeGreaterThan(100_000)
    expect(sizes[1]).toBeLessThan(1.05 * sizes[0])
  })
})
