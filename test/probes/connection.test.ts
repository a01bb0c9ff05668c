import { readlinkSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { probeTable } from '../../agent/probes/table.ts'
import type { EventJson } from '../../proto/event-json.ts'
import type { ActorCommand } from './actor.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import type { Actor } from './scope-cgroup.ts'
import { Watch, whyNot } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: ${reason}\n`)

const loopbacks = [{ host: '127.0.0.1' }, { host: '::1' }]

/** More connections are not accepted: listens with a queue for one, and prints its port. */
const deafListener = `
use Socket;
socket(S, PF_INET, SOCK_STREAM, 0); bind(S, pack_sockaddr_in(0, INADDR_LOOPBACK)) or die;
listen(S, 0); $| = 1; print((unpack_sockaddr_in(getsockname S))[0], "\\n"); <STDIN>`

/** Limits that nobody reaches here, but that a kernel checks the code of. */
const asAgentsDo = { connection_repeats_per_s: 1_000_000, cgroup_quota_per_s: 1_000_000 }

describe.skipIf(reason)(`connection probes ${reason}`, () => {
  let cgroup: ScopeCgroup
  let watch: Watch
  let client: Actor
  let server: Actor

  beforeAll(async () => {
    cgroup = new ScopeCgroup()
    watch = new Watch(cgroup, probeTable, asAgentsDo)
    ;[client, server] = await Promise.all([cgroup.startActor(), cgroup.startActor()])
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
  })

  it('nothing is lost because a program is refused for what it does', () => {
    const refused = watch.states.filter(({ lost, reason }) =>
      lost !== '' && /load failed/.test(reason))
    expect(refused).toEqual([])
  })

  /** A connection from client to server; what the kernel calls its two ends. */
  async function connect(
    host: string, listen: Partial<ActorCommand> = {}, dial = host,
  ): Promise<{ port: number, callerPort: number, opened: EventJson, accepted: EventJson }> {
    const { port } = await server.ask({ do: 'listen', host, ...listen } as ActorCommand)
    const answer = await client.ask({ do: 'connect', host: dial, port: port! })
    await server.ask({ do: 'accept' })
    const callerPort = answer.local_port!
    const opened = await watch.first('connection_open', {
      direction: 'outgoing', local_port: callerPort, remote_port: port!,
    })
    const accepted = await watch.first('connection_open', {
      direction: 'accepted', local_port: port!, remote_port: callerPort,
    })
    return { port: port!, callerPort, opened, accepted }
  }

  /** The two connection_close events of a connection. */
  async function closes(opened: EventJson, accepted: EventJson): Promise<EventJson[]> {
    return Promise.all([opened, accepted].map((event) =>
      watch.first('connection_close', { connection_id: event['connection_id'] })))
  }

  async function endBoth(): Promise<void> {
    await client.ask({ do: 'finish' })
    await client.ask({ do: 'gone' })
    await server.ask({ do: 'gone' })
  }

  it.each(loopbacks)('an outgoing connection names its process and both ends ($host)',
    async ({ host }) => {
      const { port, callerPort, opened } = await connect(host)
      const exec = await watch.first('process_exec', { pid: client.pid })
      const netns = /\d+/.exec(readlinkSync(`/proc/${client.pid}/ns/net`))![0]
      expect(opened).toMatchObject({
        pid: client.pid, process_id: exec['process_id'], ppid: process.pid, uid: 0,
        cgroup_id: cgroup.id.toString(), protocol: 'tcp', process_source: 'caller',
        local_addr: host, local_port: callerPort, remote_addr: host, remote_port: port,
        netns: Number(netns),
      })
      await endBoth()
    })

  it.each(loopbacks)('an accepted connection names its process and both ends ($host)',
    async ({ host }) => {
      const { port, callerPort, accepted } = await connect(host)
      expect(accepted).toMatchObject({
        pid: server.pid, protocol: 'tcp',
        process_source: watch.sees('connection_accept') ? 'caller' : 'listener',
        local_addr: host, local_port: port, remote_addr: host, remote_port: callerPort,
      })
      await endBoth()
    })

  it('a mapped IPv4 address is shown as IPv4 at both ends', async () => {
    const { opened, accepted } = await connect('::', {}, '::ffff:127.0.0.1')
    expect(opened).toMatchObject({ local_addr: '127.0.0.1', remote_addr: '127.0.0.1' })
    expect(accepted).toMatchObject({ local_addr: '127.0.0.1', remote_addr: '127.0.0.1' })
    await endBoth()
  })

  it.each([
    { host: '127.0.0.1', sent: 0, answered: 0 },
    { host: '127.0.0.1', sent: 1, answered: 0 },
    { host: '127.0.0.1', sent: 0, answered: 1000 },
    { host: '::1', sent: 65_537, answered: 1 },
    { host: '127.0.0.1', sent: 3_000_000, answered: 2_000_001 },
  ])('bytes are exact at both ends: $sent there, $answered back ($host)',
    async ({ host, sent, answered }) => {
      const { opened, accepted } = await connect(host)
      if (sent) await client.ask({ do: 'send', bytes: sent })
      await server.ask({ do: 'receive', bytes: sent })
      if (answered) await server.ask({ do: 'send', bytes: answered })
      await client.ask({ do: 'receive', bytes: answered })
      await endBoth()
      const [mine, theirs] = await closes(opened, accepted)
      expect(mine).toMatchObject({ bytes_sent: sent, bytes_received: answered, error: 0 })
      expect(theirs).toMatchObject({ bytes_sent: answered, bytes_received: sent, error: 0 })
    })

  it('the side that closes second has exact bytes, too', async () => {
    const { opened, accepted } = await connect('127.0.0.1')
    await client.ask({ do: 'send', bytes: 777 })
    await server.ask({ do: 'receive', bytes: 777 })
    await server.ask({ do: 'finish' })
    await server.ask({ do: 'gone' })
    await client.ask({ do: 'gone' })
    const [mine, theirs] = await closes(opened, accepted)
    expect(mine).toMatchObject({ bytes_sent: 777, bytes_received: 0 })
    expect(theirs).toMatchObject({ bytes_sent: 0, bytes_received: 777 })
  })

  it('a reset gives exact bytes, and its error to the side that was cut off', async () => {
    const { opened, accepted } = await connect('127.0.0.1')
    await client.ask({ do: 'send', bytes: 5000 })
    await server.ask({ do: 'receive', bytes: 5000 })
    await client.ask({ do: 'reset' })
    await server.ask({ do: 'gone' })
    const [mine, theirs] = await closes(opened, accepted)
    expect(mine).toMatchObject({ bytes_sent: 5000, bytes_received: 0 })
    expect(theirs).toMatchObject({ bytes_sent: 0, bytes_received: 5000, error: 104 })
  })

  it('data that nobody read is counted when the reader closes', async () => {
    const { opened, accepted } = await connect('127.0.0.1', { read: false })
    await client.ask({ do: 'send', bytes: 1234 })
    await server.ask({ do: 'destroy' })
    await client.ask({ do: 'gone' })
    const [mine, theirs] = await closes(opened, accepted)
    expect(mine).toMatchObject({ bytes_sent: 1234, bytes_received: 0, error: 104 })
    expect(theirs).toMatchObject({ bytes_sent: 0, bytes_received: 1234 })
  })

  it('open and close of one end agree, and each happens once', async () => {
    const { opened, accepted } = await connect('127.0.0.1')
    await endBoth()
    const ends = [opened, accepted]
    const closed = await closes(opened, accepted)
    await watch.settle(cgroup)
    const same = ['pid', 'process_id', 'local_addr', 'local_port', 'remote_addr', 'remote_port',
      'netns', 'direction', 'process_source', 'cgroup_id']
    for (const [index, close] of closed.entries()) {
      for (const key of same) expect(close[key], key).toBe(ends[index][key])
      const id = { connection_id: close['connection_id'] }
      expect(watch.seen('connection_open', id)).toHaveLength(1)
      expect(watch.seen('connection_close', id)).toHaveLength(1)
      expect(close['duration_ns']).toBeGreaterThan(0)
      expect(close['rtt_us']).toBeGreaterThan(0)
    }
    expect(opened['connection_id']).not.toBe(accepted['connection_id'])
  })

  it('a server that ends takes its connections down with it, in its name', async () => {
    const other = await cgroup.startActor()
    const { port } = await other.ask({ do: 'listen', host: '127.0.0.1' })
    await client.ask({ do: 'connect', host: '127.0.0.1', port: port! })
    await other.ask({ do: 'accept' })
    other.kill('SIGKILL')
    await client.ask({ do: 'gone' })
    const close = await watch.first('connection_close', { local_port: port! })
    expect(close).toMatchObject({ pid: other.pid, direction: 'accepted' })
  })

  it.each(loopbacks)('a refused connection fails with 111 ($host)', async ({ host }) => {
    const { port } = await server.ask({ do: 'listen', host })
    await server.ask({ do: 'listen', host })
    const answer = await client.ask({ do: 'connect', host, port: port! })
    expect(answer.error).toBe('ECONNREFUSED')
    const failed = await watch.first('connection_failed', { remote_port: port! })
    expect(failed).toMatchObject({
      pid: client.pid, error: 111, local_addr: host, remote_addr: host, protocol: 'tcp',
    })
    expect(failed['local_port']).toBeGreaterThan(0)
    expect(failed['duration_ns']).toBeGreaterThan(0)
    await watch.settle(cgroup)
    expect(watch.seen('connection_failed', { remote_port: port! })).toHaveLength(1)
    expect(watch.seen('connection_open', { remote_port: port! })).toEqual([])
    expect(watch.seen('connection_close', { remote_port: port! })).toEqual([])
  })

  it('a caller that gives up fails with 0; who waits to be accepted is shown at the end',
    async () => {
      const listener = cgroup.start('perl', '-e', deafListener)
      const port = Number(await listener.line())
      const waits = await client.ask({ do: 'connect', host: '127.0.0.1', port })
      const dialler = await cgroup.startActor()
      await dialler.ask({ do: 'connect_without_waiting', host: '127.0.0.1', port })
      await dialler.ask({ do: 'destroy' })
      const failed = await watch.first('connection_failed', { remote_port: port })
      expect(failed).toMatchObject({ pid: dialler.pid, error: 0 })
      await dialler.ended()
      await listener.ended()
      const accepted = { local_port: port, remote_port: waits.local_port!, direction: 'accepted' }
      const open = await watch.first('connection_open', accepted)
      expect(open).toMatchObject({ pid: listener.pid, process_source: 'listener' })
      const close = await watch.first('connection_close', accepted)
      expect(close).toMatchObject({ pid: listener.pid, process_source: 'listener' })
    })

  it('a call that the node itself refuses is seen once where a probe can, and else not',
    async () => {
      const script = 'use Socket qw(:DEFAULT inet_pton); sub dial { ' +
        'socket(my $s, shift, SOCK_STREAM, 0); connect($s, shift); print $! + 0, "\\n" } ' +
        'dial(PF_INET, pack_sockaddr_in(4444, inet_aton("203.0.113.7"))); ' +
        'for ("2001:db8::7", "::ffff:203.0.113.8") ' +
        '{ dial(PF_INET6, pack_sockaddr_in6(4444, inet_pton(AF_INET6, $_))) }'
      const program = cgroup.start('unshare', '--net', 'perl', '-e', script)
      const errors: number[] = []
      for (let line = await program.line(); line; line = await program.line()) {
        errors.push(Number(line))
      }
      expect(errors).toHaveLength(3)
      expect(errors[0]).toBe(101)
      await watch.first('process_exit', { pid: program.pid })
      const failed = watch.seen('connection_failed', { pid: program.pid })
      if (!watch.sees('connection_refused_locally')) return expect(failed).toEqual([])
      expect(failed.map((event) => event['remote_addr'])).toEqual(
        ['203.0.113.7', '2001:db8::7', '203.0.113.8'])
      expect(failed.map((event) => event['error'])).toEqual(errors)
      for (const event of failed) expect(event).toMatchObject({ remote_port: 4444, comm: 'perl' })
    })

  it('a local port that is taken gives one failure inside connect, with 99', async () => {
    const { port } = await server.ask({ do: 'listen', host: '127.0.0.1' })
    // The same four numbers twice: the second socket reaches SYN_SENT and is refused.
    const script = 'use Socket; my $port = shift; my $to = pack_sockaddr_in($port, ' +
      'INADDR_LOOPBACK); my $from; for my $s (1, 2) { socket(my $f, PF_INET, SOCK_STREAM, 0); ' +
      'setsockopt($f, SOL_SOCKET, SO_REUSEADDR, 1); ' +
      'bind($f, $from // pack_sockaddr_in(0, INADDR_LOOPBACK)) or die; $from = getsockname $f; ' +
      'connect($f, $to) or print $! + 0, "\\n"; push @keep, $f }'
    const program = cgroup.start('perl', '-e', script, String(port))
    expect(await program.line()).toBe('99')
    await watch.first('process_exit', { pid: program.pid })
    await watch.settle(cgroup)
    const failed = watch.seen('connection_failed', { pid: program.pid })
    expect(failed).toHaveLength(1)
    expect(failed[0]).toMatchObject({
      remote_port: port!, error: watch.sees('connection_refused_locally') ? 99 : 0,
    })
  })

  it('a socket used for a second connection gives a second pair of events', async () => {
    const { port } = await server.ask({ do: 'listen', host: '127.0.0.1' })
    // connect to AF_UNSPEC dissolves a connection; the socket can then connect again.
    const script = 'use Socket; my $port = shift; my $to = pack_sockaddr_in($port, ' +
      'INADDR_LOOPBACK); socket(S, PF_INET, SOCK_STREAM, 0); ' +
      'for (1, 2) { connect(S, $to) or die $!; connect(S, "\\0" x 16); }'
    const program = cgroup.start('perl', '-e', script, String(port))
    await watch.first('process_exit', { pid: program.pid })
    expect(watch.seen('connection_open', { pid: program.pid })).toHaveLength(2)
    expect(watch.seen('connection_close', { pid: program.pid })).toHaveLength(2)
  })

  it('a socket that connects to itself gives one connection, with its bytes', async () => {
    // A simultaneous open: SYN_SENT goes to SYN_RECV, as a socket does that was called.
    const script = 'use Socket; socket(S, PF_INET, SOCK_STREAM, 0); ' +
      'bind(S, pack_sockaddr_in(0, INADDR_LOOPBACK)); connect(S, getsockname S) or die $!; ' +
      'syswrite S, "four" and sysread S, my $got, 4 or die; print $got, "\\n"'
    const program = cgroup.start('perl', '-e', script)
    expect(await program.line()).toBe('four')
    await watch.first('process_exit', { pid: program.pid })
    await watch.settle(cgroup)
    const [opened, ...more] = watch.seen('connection_open', { pid: program.pid })
    expect(more).toEqual([])
    expect(opened).toMatchObject({ direction: 'outgoing', process_source: 'caller' })
    expect(opened['local_port']).toBe(opened['remote_port'])
    const closed = watch.seen('connection_close', { pid: program.pid })
    expect(closed).toHaveLength(1)
    expect(closed[0]).toMatchObject({ bytes_sent: 4, bytes_received: 4 })
  })

  it('TCP fast open, where data comes before the handshake ends, changes nothing', async () => {
    // 23 is TCP_FASTOPEN, 0x20000000 MSG_FASTOPEN. The first call only fetches the cookie.
    const script = 'use Socket; open(F, ">/proc/sys/net/ipv4/tcp_fastopen"); print F 3; close F; ' +
      'socket(S, PF_INET, SOCK_STREAM, 0); bind(S, pack_sockaddr_in(7000, INADDR_LOOPBACK)); ' +
      'setsockopt(S, 6, 23, pack("i", 8)) or die; listen(S, 8); ' +
      'unless (fork) { for (1, 2) { accept(C, S); while (sysread C, my $b, 99) {} close C } exit } ' +
      'for (1, 2) { socket(D, PF_INET, SOCK_STREAM, 0); send(D, "five!", 0x20000000, ' +
      'pack_sockaddr_in(7000, INADDR_LOOPBACK)) or die $!; shutdown(D, 1); sysread D, $b, 1; ' +
      'close D } wait'
    const enter = 'ip link set lo up && exec perl -e "$0"'
    const program = cgroup.start('unshare', '--net', '/bin/sh', '-c', enter, script)
    expect(await program.ended()).toEqual({ code: 0, signal: null })
    const opened = await watch.atLeast(4, 'connection_open', { netns: await ownNetns() })
    const closed = await watch.atLeast(4, 'connection_close', { netns: opened[0]['netns'] })
    const told = (events: EventJson[]) => events.map((event) =>
      `${event['direction']} ${event['pid'] === program.pid}`).sort()
    const expected = ['accepted false', 'accepted false', 'outgoing true', 'outgoing true']
    if (!watch.sees('connection_accept')) expected.splice(0, 2, 'accepted true', 'accepted true')
    expect(told(opened)).toEqual(expected.sort())
    expect(told(closed)).toEqual(expected.sort())
    for (const close of closed) {
      const outgoing = close['direction'] === 'outgoing'
      expect(close).toMatchObject(outgoing
        ? { bytes_sent: 5, bytes_received: 0 } : { bytes_sent: 0, bytes_received: 5 })
    }

    /** The network namespace that was made for it, by its first connection. */
    async function ownNetns(): Promise<number> {
      return Number((await watch.first('connection_open', { pid: program.pid }))['netns'])
    }
  })

  it('nothing was missed, guessed or left over on the way', async () => {
    await watch.settle(cgroup)
    expect(watch.events.filter((event) => event['kind'] !== 'process_exec' &&
      Number(event['pid']) === 0)).toEqual([])
    // Skipped runs are the kernel's doing, and can happen at any time.
    const faults = Object.entries(watch.object.faults())
      .filter(([name, count]) => name !== 'runs_missed' && count > 0)
    expect(faults).toEqual([])
  })
})
