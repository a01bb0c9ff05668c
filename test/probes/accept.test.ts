import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { ScopeCgroup } from './scope-cgroup.ts'
import type { Actor } from './scope-cgroup.ts'
import { Watch, whyNot } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: ${reason}\n`)

/** What every perl server below begins with: a listener on a port, given or chosen. */
const listening = `use Socket; my $port = shift || 0; $| = 1;
socket(S, PF_INET, SOCK_STREAM, 0); setsockopt(S, SOL_SOCKET, 15, 1);
bind(S, pack_sockaddr_in($port, INADDR_LOOPBACK)) or die; listen(S, 16);
sub say_port { print((unpack_sockaddr_in(getsockname S))[0], "\\n") }
sub serve { while (accept(my $c, S)) { print "$$\\n"; close $c } }
`
/** Listens, forks a worker that accepts, and prints the worker's pid when it did. */
const preforking = `${listening} unless ($worker = fork) { serve; exit } say_port; waitpid $worker, 0`
/** Accepts and prints its own pid; several share one port by SO_REUSEPORT (15). */
const accepting = `${listening} say_port; serve`
/** Accepts nothing. Ends with its input. */
const idling = `${listening} say_port; <STDIN>`

describe.skipIf(reason)(`who accepts ${reason}`, () => {
  let cgroup: ScopeCgroup
  let client: Actor
  let watch: Watch

  beforeAll(async () => {
    cgroup = new ScopeCgroup()
    client = await cgroup.startActor()
  })
  afterEach(() => watch.close())
  afterAll(() => cgroup.remove())

  /** Local port of a new connection from the client. */
  async function call(port: number): Promise<number> {
    const answer = await client.ask({ do: 'connect', host: '127.0.0.1', port })
    return answer.local_port!
  }

  it('a pre-forking server names its worker where accept is visible, else its listener',
    async () => {
      watch = new Watch(cgroup)
      const server = cgroup.start('perl', '-e', preforking)
      const port = Number(await server.line())
      const callerPort = await call(port)
      const worker = Number(await server.line())
      expect(worker).not.toBe(server.pid)
      const opened = await watch.first('connection_open', {
        direction: 'accepted', local_port: port, remote_port: callerPort,
      })
      const visible = watch.sees('connection_accept')
      expect(opened).toMatchObject(visible
        ? { pid: worker, ppid: server.pid, process_source: 'caller' }
        : { pid: server.pid, process_source: 'listener' })
      const close = await watch.first('connection_close', {
        connection_id: opened['connection_id'],
      })
      expect(close).toMatchObject({ pid: opened['pid'], process_source: opened['process_source'] })
    })

  it('several servers on one port are told apart, connection by connection', async () => {
    watch = new Watch(cgroup)
    const one = cgroup.start('perl', '-e', accepting)
    const port = Number(await one.line())
    const two = cgroup.start('perl', '-e', accepting, String(port))
    expect(Number(await two.line())).toBe(port)
    const servers = [one, two].map((program) => ({ program, next: program.line() }))
    const said = new Map<number, number>()
    while (new Set(said.values()).size < 2 || said.size < 8) {
      const callerPort = await call(port)
      const answer = await Promise.race(servers.map(async (server) => {
        return { server, pid: Number(await server.next) }
      }))
      said.set(callerPort, answer.pid)
      answer.server.next = answer.server.program.line()
    }
    for (const [callerPort, pid] of said) {
      const opened = await watch.first('connection_open', {
        direction: 'accepted', local_port: port, remote_port: callerPort,
      })
      expect(opened['pid']).toBe(pid)
    }
  })

  it('a listener that was there before the start is known', async () => {
    const server = cgroup.start('perl', '-e', idling)
    const port = Number(await server.line())
    watch = new Watch(cgroup)
    const callerPort = await call(port)
    await server.ended()
    const values = { direction: 'accepted', local_port: port, remote_port: callerPort }
    const opened = await watch.first('connection_open', values)
    expect(opened).toMatchObject({ pid: server.pid, process_source: 'listener', comm: 'perl' })
    await watch.first('connection_close', { ...values, pid: server.pid })
  })

  it('of several processes that hold an older listener, the oldest is named', async () => {
    const script = `${listening} unless (fork) { sleep 60; exit } say_port; <STDIN>`
    const server = cgroup.start('perl', '-e', script)
    const port = Number(await server.line())
    watch = new Watch(cgroup)
    await call(port)
    await client.ask({ do: 'reset' })
    const values = { direction: 'accepted', local_port: port }
    expect(await watch.first('connection_open', values)).toMatchObject({ pid: server.pid })
  })

  it('a connection that was there before the start is told, and ends in the name of its process',
    async () => {
      const server = cgroup.start('perl', '-e', `${listening} say_port; accept(C, S); <STDIN>`)
      const port = Number(await server.line())
      const callerPort = await call(port)
      await client.ask({ do: 'send', bytes: 100 })
      watch = new Watch(cgroup)
      const mine = await watch.first('connection_open', { local_port: callerPort })
      expect(mine).toMatchObject({
        pid: client.pid, at_start: true, direction: 'outgoing', remote_port: port,
        local_addr: '127.0.0.1', remote_addr: '127.0.0.1', process_source: 'caller',
      })
      const theirs = await watch.first('connection_open', { local_port: port })
      expect(theirs).toMatchObject({
        pid: server.pid, at_start: true, direction: 'accepted', remote_port: callerPort,
      })
      await watch.first('listen', { local_port: port, pid: server.pid, at_start: true })
      await client.ask({ do: 'finish' })
      await server.ended()
      await client.ask({ do: 'gone' })
      expect(await watch.first('connection_close', { local_port: callerPort })).toMatchObject({
        pid: client.pid, bytes_sent: 100, direction: 'outgoing',
        connection_id: mine['connection_id'],
      })
      expect(await watch.first('connection_close', { local_port: port })).toMatchObject({
        pid: server.pid, bytes_received: 100, direction: 'accepted',
        connection_id: theirs['connection_id'],
      })
      await watch.settle(cgroup)
      expect(watch.seen('connection_open', { local_port: callerPort })).toHaveLength(1)
    })

  it('of several processes that hold an older connection, the oldest is named, once', async () => {
    const script = `${listening} say_port; accept(C, S); unless (fork) { sleep 60; exit } ` +
      'print "forked\\n"; <STDIN>'
    const server = cgroup.start('perl', '-e', script)
    const port = Number(await server.line())
    await call(port)
    expect(await server.line()).toBe('forked')
    watch = new Watch(cgroup)
    await watch.settle(cgroup)
    expect(watch.seen('connection_open', { local_port: port })).toMatchObject([
      { pid: server.pid, direction: 'accepted', at_start: true },
    ])
    expect(watch.seen('listen', { local_port: port })).toMatchObject([
      { pid: server.pid, at_start: true },
    ])
  })

  it('processes that were there before the start are shown once, with their executable',
    async () => {
      const server = cgroup.start('perl', '-e', idling)
      await server.line()
      watch = new Watch(cgroup)
      const exec = await watch.first('process_exec', { pid: server.pid })
      expect(exec).toMatchObject({ at_start: true, comm: 'perl', args: [], ppid: process.pid })
      expect(exec['exe']).toMatch(/\/perl/)
      for (const pid of [client.pid, server.pid]) {
        expect(watch.seen('process_exec', { pid })).toHaveLength(1)
      }
      await server.ended()
      const exit = await watch.first('process_exit', { pid: server.pid })
      expect(exit['process_id']).toBe(exec['process_id'])
    })
})
