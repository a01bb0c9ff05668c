import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openProbes } from '../../agent/probes.ts'
import { kindInfos, recordHeader } from '../../proto/gen/events.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import { everydayAnd } from './tables.ts'
import { Watch, whyNot } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: ${reason}\n`)

const kindNumbers = new Map(kindInfos.map(({ kind, number }) => [number, kind]))

describe.skipIf(reason)(`what is counted and what is left out ${reason}`, () => {
  let cgroup: ScopeCgroup
  beforeAll(() => { cgroup = new ScopeCgroup() })
  afterAll(() => cgroup.remove())

  it('a process outside of the scope gives nothing, whatever it does', async () => {
    const watch = new Watch(cgroup)
    const outside = await cgroup.startActor(true)
    const peer = await cgroup.startActor(true)
    const { port } = await peer.ask({ do: 'listen', host: '127.0.0.1' })
    await outside.ask({ do: 'connect', host: '127.0.0.1', port: port! })
    await peer.ask({ do: 'accept' })
    await outside.ask({ do: 'finish' })
    await outside.ask({ do: 'gone' })
    await outside.ask({ do: 'connect', host: '127.0.0.1', port: 1 })
    await outside.ended()
    await peer.ended()
    await watch.settle(cgroup)
    const own = watch.events.filter((event) => event['cgroup_id'] !== cgroup.id.toString())
    expect(own).toEqual([])
    expect(watch.events.map((event) => event['kind'])).toEqual(['process_exec', 'process_exit'])
    expect(watch.object.counters().reduce((sum, { produced }) => sum + produced, 0)).toBe(2)
    watch.close()
  })

  it('of a connection across the border of the scope, only the end inside is seen', async () => {
    const watch = new Watch(cgroup)
    const inside = await cgroup.startActor()
    const outside = await cgroup.startActor(true)
    const { port } = await inside.ask({ do: 'listen', host: '127.0.0.1' })
    const called = await outside.ask({ do: 'connect', host: '127.0.0.1', port: port! })
    await inside.ask({ do: 'accept' })
    await outside.ask({ do: 'finish' })
    await inside.ask({ do: 'gone' })
    const other = await outside.ask({ do: 'listen', host: '127.0.0.1' })
    const calling = await inside.ask({ do: 'connect', host: '127.0.0.1', port: other.port! })
    await outside.ask({ do: 'accept' })
    await inside.ask({ do: 'finish' })
    await inside.ask({ do: 'gone' })
    await watch.atLeast(2, 'connection_close')
    await watch.settle(cgroup)
    const opened = watch.seen('connection_open').map((event) => {
      return { pid: event['pid'], from: event['direction'], port: event['local_port'] }
    })
    expect(opened).toEqual([
      { pid: inside.pid, from: 'accepted', port: port! },
      { pid: inside.pid, from: 'outgoing', port: calling.local_port },
    ])
    expect(watch.seen('connection_close')).toHaveLength(2)
    expect(watch.seen('connection_open', { local_port: called.local_port! })).toEqual([])
    await inside.ended()
    await outside.ended()
    watch.close()
  })

  it('a cgroup below that of the scope is in it', async () => {
    const watch = new Watch(cgroup)
    const script = 'mkdir "$0/below" && echo $$ > "$0/below/cgroup.procs" && /bin/true; ' +
      'echo $$ > "$0/cgroup.procs"; rmdir "$0/below"'
    const shell = cgroup.start('/bin/sh', '-c', script, cgroup.path)
    await watch.first('process_exit', { pid: shell.pid })
    const below = await watch.first('process_exec', { ppid: shell.pid, comm: 'true' })
    expect(below['cgroup_id']).not.toBe(cgroup.id.toString())
    watch.close()
  })

  it('records that do not fit the ring are counted: produced = received + lost', async () => {
    const { object } = openProbes({
      ring_bytes: 4096, sockets_max: 16,
      scope_cgroup_id: cgroup.id, scope_cgroup_level: cgroup.level,
    }, undefined, everydayAnd())
    const script = 'i=0; while [ $i -lt 50 ]; do /bin/true; i=$((i+1)); done'
    await cgroup.start('/bin/sh', '-c', script).ended()
    const received = new Map<string, number>()
    const buffer = new ArrayBuffer(65_536)
    const header = new Uint16Array(buffer)
    const bytes = object!.readRing(buffer)
    for (let at = 0; at < bytes; at += header[(at + recordHeader.size) >> 1]) {
      const kind = kindNumbers.get(header[(at + recordHeader.kind) >> 1])!
      received.set(kind, (received.get(kind) ?? 0) + 1)
    }
    const counted = object!.counters().map(({ kind, produced, lost }) => {
      return { kind: kindNumbers.get(kind)!, produced, lost }
    })
    object!.close()
    expect(counted).toEqual([
      { kind: 'process_exec', produced: 51, lost: 51 - received.get('process_exec')! },
      { kind: 'process_exit', produced: 51, lost: 51 - received.get('process_exit')! },
    ])
    expect(received.get('process_exec')).toBeGreaterThan(0)
    expect(counted[0].lost).toBeGreaterThan(0)
  })

  it('as many connections as were asked for fit the table', async () => {
    const connections = 500
    const { object } = openProbes({
      ring_bytes: 2 ** 20, sockets_max: 2 * connections,
      scope_cgroup_id: cgroup.id, scope_cgroup_level: cgroup.level,
    }, undefined, everydayAnd())
    // All at once, and then the same again: what was left of the first must be gone.
    const script = 'use Socket; socket(S, PF_INET, SOCK_STREAM, 0); listen(S, 1024); ' +
      `for my $round (1, 2) { my @keep; for (1 .. ${connections}) { ` +
      'socket(my $c, PF_INET, SOCK_STREAM, 0); connect($c, getsockname S) or die; ' +
      'accept(my $s, S) or die; push @keep, $c, $s } }'
    await cgroup.start('perl', '-e', script).ended()
    const faults = object!.faults()
    const opens = object!.counters().find(({ kind }) =>
      kindNumbers.get(kind) === 'connection_open')
    object!.close()
    expect(faults).toMatchObject({ sockets_full: 0, sockets_busy: 0, socket_stale: 0 })
    expect(opens).toMatchObject({ produced: 4 * connections, lost: 0 })
  })

  it('connections that do not fit the table are reported without a process, and counted',
    async () => {
      const { object } = openProbes({
        ring_bytes: 2 ** 20, sockets_max: 1,
        scope_cgroup_id: cgroup.id, scope_cgroup_level: cgroup.level,
      }, undefined, everydayAnd())
      // Ten connections at once to a listener of its own, then all ends.
      const script = 'use Socket; socket(S, PF_INET, SOCK_STREAM, 0); listen(S, 64); ' +
        'for (1 .. 10) { socket(my $c, PF_INET, SOCK_STREAM, 0); ' +
        'connect($c, getsockname S) or die; push @keep, $c }'
      await cgroup.start('perl', '-e', script).ended()
      const faults = object!.faults()
      const closes = object!.counters().find(({ kind }) =>
        kindNumbers.get(kind) === 'connection_close')
      object!.close()
      expect(faults['sockets_full']).toBeGreaterThanOrEqual(10)
      expect(closes).toMatchObject({ produced: 20, lost: 0 })
    })
})
