import { describe, expect, it } from 'vitest'
import type { Process, ProcessExecView } from '../proto/gen/events.ts'
import { newViews } from '../proto/gen/events.ts'
import type { ExampleEvent } from './detector.ts'
import { unitOf } from './names/cgroup-table.ts'
import { batchesOf } from './example.ts'
import { Lineage, processIdentity } from './lineage.ts'
import type { LineageProcess } from './lineage.ts'
import { SourceTable } from './names/source-table.ts'

/** The processes of the events, in order, as the engine would find them. */
function follow(lineage: Lineage, events: ExampleEvent[], sources = new SourceTable()) {
  const found: LineageProcess[] = []
  const views = newViews()
  for (const batch of batchesOf(events, 1)) {
    const nowMs = Number(batch.envelope.last_time) / 1e6
    const source = sources.of(batch.envelope, nowMs)
    const kind = Object.keys(batch.columns)[0] as ExampleEvent['kind']
    const view = Object.assign(views[kind], { batch, columns: batch.columns[kind], row: 0, index: 0 })
    if (kind === 'workload_seen') lineage.workloadSeen(source, view as typeof views.workload_seen)
    else {
      const process = lineage.ofRow(source, batch, 0, nowMs)
      lineage.touch(process, nowMs)
      if (kind === 'process_exec') lineage.exec(process, view as ProcessExecView)
      if (kind === 'process_exit') process.exitedMs = nowMs
      found.push(process)
    }
  }
  return found
}

function exec(process: Partial<Process>, args: string[] = [], at_ms = 0): ExampleEvent {
  return { kind: 'process_exec', at_ms, process, values: { exe: process.exe, args } }
}

function exit(process: Partial<Process>, at_ms: number): ExampleEvent {
  return { kind: 'process_exit', at_ms, process, values: {} }
}

const chain = (length: number): Partial<Process>[] => Array.from({ length }, (_, i) => ({
  pid: 100 + i, start_time: BigInt(i + 1), ppid: i === 0 ? 1 : 99 + i,
  parent_start_time: BigInt(i), exe: `/bin/p${i}`, uid: i,
}))

describe('lineage', () => {
  it('tells where a process comes from, up to sixteen levels', () => {
    const lineage = new Lineage()
    const all = follow(lineage, chain(30).map((process) => exec(process, ['p', '-x'])))
    expect(lineage.ancestry(all[3]).map(({ exe }) => exe)).toEqual(['/bin/p2', '/bin/p1', '/bin/p0'])
    expect(lineage.ancestry(all[29])).toHaveLength(16)
    expect(all[3].args).toBe('p\0-x')
  })

  it('does not run in circles when events name each other as parents', () => {
    const lineage = new Lineage()
    const [a] = follow(lineage, [
      exec({ pid: 5, start_time: 1n, ppid: 6, parent_start_time: 2n }),
      exec({ pid: 6, start_time: 2n, ppid: 5, parent_start_time: 1n }),
      exec({ pid: 7, start_time: 3n, ppid: 7, parent_start_time: 3n }),
    ])
    expect(lineage.ancestry(a).map(({ pid }) => pid)).toEqual([6])
  })

  it('keeps the first parent, which the kernel forgets when it ends', () => {
    const lineage = new Lineage()
    const [first] = follow(lineage, [
      exec({ pid: 9, start_time: 4n, ppid: 8, parent_start_time: 3n }),
      exec({ pid: 9, start_time: 4n, ppid: 1, parent_start_time: 1n }),
    ])
    expect(first.ppid).toBe(8)
  })

  it('tells two processes with the same pid apart, by start, node and boot', () => {
    const lineage = new Lineage()
    const found = follow(lineage, [
      exec({ pid: 9, start_time: 4n, exe: '/a' }), exec({ pid: 9, start_time: 5n, exe: '/b' }),
      { ...exec({ pid: 9, start_time: 4n, exe: '/c' }), node_id: 'other' },
      exec({ pid: 9, start_time: 4n }),
    ])
    expect(found.map(({ exe }) => exe)).toEqual(['/a', '/b', '/c', '/a'])
    expect(found[3]).toBe(found[0])
    expect(lineage.size).toBe(3)
    expect(processIdentity(found[1])).toBe('9:5')
  })

  it('follows an exec, and what later batches say', () => {
    const lineage = new Lineage()
    const process = { pid: 9, start_time: 4n, exe: '/bin/sh', uid: 1000 }
    const [found] = follow(lineage, [
      exec(process), { ...exec(process), values: { exe: '/bin/id', args: ['id'] } } as ExampleEvent,
    ])
    expect(found.exe).toBe('/bin/id')
    // A batch that still has the program before does not bring it back.
    follow(lineage, [exit({ ...process, uid: 0 }, 5)])
    expect([found.exe, found.uid]).toEqual(['/bin/id', 0])
    follow(lineage, [exit({ ...process, exe: '/bin/other' }, 6)])
    expect(found.exe).toBe('/bin/other')
  })

  it('calls a pod by its name once that is known, and keeps it one subject', () => {
    const lineage = new Lineage()
    const pod = (pid: number): ExampleEvent => exec({
      pid, start_time: 4n, cgroup_id: 77n, exe: '/x', workload: 'pod:0a1b' })
    const [before] = follow(lineage, [pod(9)])
    expect(lineage.subjectOf(before)).toBe('pod:0a1b')
    const [after] = follow(lineage, [pod(10),
      { kind: 'workload_seen', at_ms: 1, values: { cgroup_id: 77n, workload: 'pod:team-a/llm-0', pod_uid: '0a1b' } }])
    for (const process of [before, after]) {
      expect(lineage.workloadOf(process)).toBe('pod:team-a/llm-0')
      expect(lineage.subjectOf(process)).toBe('pod:0a1b')
    }
  })

  it('learns the workload of a cgroup late, for all of its processes', () => {
    const lineage = new Lineage()
    const [process, other] = follow(lineage, [
      exec({ pid: 9, start_time: 4n, cgroup_id: 77n, exe: '/x' }),
      exec({ pid: 10, start_time: 4n, cgroup_id: 78n, exe: '/y' }),
      { kind: 'workload_seen', at_ms: 1,
        values: { cgroup_id: 77n, cgroup_path: '/kubepods/pod1', workload: 'pod:1' } },
    ])
    expect(lineage.workloadOf(process)).toBe('pod:1')
    expect(process.cgroup.path).toBe('/kubepods/pod1')
    expect(lineage.subjectOf(process)).toBe('pod:1')
    expect(lineage.workloadOf(other)).toBe('/y')
  })

  it('names who acts by pod or job across nodes, by unit on its node, else by process tree', () => {
    const lineage = new Lineage()
    const subjectOf = (process: Partial<Process>): string => {
      const [found] = follow(lineage, [exec({ start_time: 1n, ...process })])
      return lineage.subjectOf(found)
    }
    expect(subjectOf({ pid: 20, workload: 'job:12' })).toBe('job:12')
    expect(subjectOf({ pid: 21, workload: 'ssh.service' })).toBe('ssh.service on node-1')
    follow(lineage, chain(3).map((process) => exec(process)))
    expect(subjectOf({ pid: 22, ppid: 102, parent_start_time: 3n, workload: '/bin/x' }))
      .toBe('process 100:1 on node-1')
  })

  it('forgets exited processes first, then those that were seen least recently', () => {
    const lineage = new Lineage({ processesMax: 4, exitGraceMs: 100 })
    const of = (pid: number) => ({ pid, start_time: 1n })
    follow(lineage, [
      exec(of(1), [], 0), exec(of(2), [], 1), exec(of(3), [], 2), exec(of(4), [], 3),
      exit(of(3), 10), exec(of(1), [], 300), exec(of(5), [], 301), exec(of(6), [], 302),
    ])
    const left = lineage.snapshot().processes.filter((_, i) => i % 22 === 2)
    expect(left).toEqual([1, 4, 5, 6])
    expect(lineage.evictions).toBe(2)
  })

  it('stays bounded under a fork bomb', () => {
    const lineage = new Lineage({ processesMax: 100 })
    const events = Array.from({ length: 1000 }, (_, i) => exec({ pid: i + 1, start_time: 1n }, [], i))
    follow(lineage, events)
    expect(lineage.size).toBeLessThanOrEqual(100)
    expect(lineage.evictions).toBe(1000 - lineage.size)
  })

  it('goes on from a snapshot, with cgroups and parents', () => {
    const lineage = new Lineage()
    const sources = new SourceTable()
    follow(lineage, chain(3).map((process) => exec({ ...process, cgroup_id: 5n })), sources)
    const second = new Lineage()
    second.restore(structuredClone(lineage.snapshot()))
    expect(second.snapshot()).toEqual(lineage.snapshot())
    const [process] = follow(second, [
      exec({ ...chain(3)[2], cgroup_id: 5n }),
      { kind: 'workload_seen', at_ms: 1, values: { cgroup_id: 5n, workload: 'job:1' } },
    ], sources)
    expect(second.ancestry(process).map(({ pid }) => pid)).toEqual([101, 100])
    expect(second.workloadOf(second.get(1)!)).toBe('job:1')
  })
})

it('takes the outermost unit of a cgroup path: a workload can name the inner ones', () => {
  expect(unitOf('/system.slice/vllm.service')).toBe('vllm.service')
  expect(unitOf('/user.slice/user@1000.service/app.slice/slurmctld.service'))
    .toBe('user@1000.service')
  expect(unitOf('/kubepods.slice/x')).toBeNull()
  expect(unitOf('/a.service.d/b.scope.mount/c.service')).toBe('b.scope.mount')
})
