// Ways around a monitor that looks at system calls or at who holds a descriptor now: each is seen
// with the right process, or a probe says what is lost.

import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compiled } from './compiled.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import type { Actor, Program } from './scope-cgroup.ts'
import { datagramNames, everydayAnd } from './tables.ts'
import { Watch, whyNot } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: ${reason}\n`)

/** What every python program below begins with. Each command is one line of input. */
const python = `
import ctypes, os, socket, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
def call(port, family=socket.AF_INET):
    own = socket.socket(family, socket.SOCK_STREAM)
    own.connect(('127.0.0.1' if family == socket.AF_INET else '::1', port))
    return own
def say(*words): print(*words, flush=True)
`
/** Opens a connection and passes it over a Unix socket; keeps it. */
const passes = `${python}
own = call(int(sys.argv[1]))
over = socket.socket(socket.AF_UNIX); over.connect(sys.argv[2])
socket.send_fds(over, [b'x'], [own.fileno()])
say(own.getsockname()[1]); sys.stdin.read()`
/** Gets a descriptor and sends 5 bytes on it. */
const receives = `${python}
door = socket.socket(socket.AF_UNIX); door.bind(sys.argv[1]); door.listen(); say('ready')
over, _ = door.accept()
_, fds, _, _ = socket.recv_fds(over, 1, 1)
got = socket.socket(fileno=fds[0])
got.send(b'stole')
say('done'); sys.stdin.read()`
/** Sends on a UDP socket and passes it on. */
const passesDatagrams = `${python}
peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); peer.bind(('127.0.0.1', 0))
own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); own.connect(peer.getsockname())
own.send(b'x')
over = socket.socket(socket.AF_UNIX); over.connect(sys.argv[1])
socket.send_fds(over, [b'x'], [own.fileno()])
say(own.getsockname()[1], own.getpeername()[1]); sys.stdin.read()`
/** Takes descriptor FD of process PID and sends 5 bytes on it. */
const takes = `${python}
pidfd = libc.syscall(434, int(sys.argv[1]), 0)
fd = libc.syscall(438, pidfd, int(sys.argv[2]), 0)
if fd < 0: raise OSError(ctypes.get_errno(), 'pidfd_getfd')
got = socket.socket(fileno=fd); got.send(b'stole')
say('done'); sys.stdin.read()`
/** Opens a connection, and leaves the sending to a child. */
const inherits = `${python}
own = call(int(sys.argv[1])); port = own.getsockname()[1]
child = os.fork()
if child == 0:
    own.send(b'child'); os._exit(0)
os.waitpid(child, 0); say(port, child); sys.stdin.read()`
const threads = `${python}
done = []
thread = threading.Thread(target=lambda: done.append(call(int(sys.argv[1]))))
thread.start(); thread.join(); say(done[0].getsockname()[1], thread.native_id); sys.stdin.read()`
/** Two listeners on one IPv6 port in two processes. */
const shares = `${python}
door = socket.socket(socket.AF_INET6)
door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
door.bind(('::1', int(sys.argv[1]))); door.listen(); say(door.getsockname()[1])
while True:
    accepted, peer = door.accept(); say(peer[1])`
/** A socket that connects to itself: both ends call at the same moment. */
const selfish = `${python}
own = socket.socket(); own.bind(('127.0.0.1', 0)); own.connect(own.getsockname())
own.send(b'hello me'); own.recv(100); say(own.getsockname()[1]); sys.stdin.read()`

describe.skipIf(reason)(`ways around a monitor ${reason}`, () => {
  let cgroup: ScopeCgroup
  let watch: Watch
  let server: Actor
  let folder: string

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vedette-evasion-'))
    cgroup = new ScopeCgroup()
    watch = new Watch(cgroup, everydayAnd('socket_received', ...datagramNames))
    server = await cgroup.startActor()
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
    rmSync(folder, { recursive: true })
  })

  async function listen(host = '127.0.0.1'): Promise<number> {
    return (await server.ask({ do: 'listen', host })).port!
  }

  function run(script: string, ...words: string[]): Program {
    return cgroup.start('python3', '-c', script, ...words)
  }

  /** How a descriptor that another process opened is seen here; '' when it is not. */
  function wayOfReceived(): string {
    const state = watch.states.find(({ probe }) => probe === 'socket_received')!
    if (state.state !== 'missing') return state.attach_type
    expect(state.lost).toContain('descriptor')
    return ''
  }

  it.each([{ how: 'in its own call', flags: '0' }, { how: 'in a worker', flags: '16' }])(
    'a connection through io_uring names its process ($how)', async ({ flags }) => {
      const program = join(folder, `uring-${flags}`)
      copyFileSync(compiled('uring.c'), program)
      const port = await listen()
      const caller = cgroup.start(program, String(port), flags)
      expect(await caller.line()).toBe('0')
      const opened = await watch.first('connection_open', {
        direction: 'outgoing', remote_port: port,
      })
      expect(opened).toMatchObject({
        pid: caller.pid, process_source: 'caller', comm: `uring-${flags}`,
      })
      await caller.ended()
      expect(await watch.first('connection_close', { connection_id: opened['connection_id'] }))
        .toMatchObject({ pid: caller.pid, bytes_sent: 'through the ring'.length })
      expect(watch.seen('socket_received', { pid: caller.pid })).toEqual([])
    })

  it('a connection from a thread names the process, not the thread', async () => {
    const port = await listen()
    const caller = run(threads, String(port))
    const [local, thread] = (await caller.line())!.split(' ').map(Number)
    expect(thread).not.toBe(caller.pid)
    const opened = await watch.first('connection_open', { local_port: local })
    const exec = await watch.first('process_exec', { pid: caller.pid, comm: 'python3' })
    expect(opened).toMatchObject({ pid: caller.pid, process_id: exec['process_id'] })
    await caller.ended()
  })

  it('what a child sends on an inherited connection is counted for the parent, and no more is said',
    async () => {
      const port = await listen()
      const caller = run(inherits, String(port))
      const [local, child] = (await caller.line())!.split(' ').map(Number)
      const opened = await watch.first('connection_open', { local_port: local })
      expect(opened['pid']).toBe(caller.pid)
      await caller.ended()
      expect(await watch.first('connection_close', { local_port: local }))
        .toMatchObject({ pid: caller.pid, bytes_sent: 5 })
      // The child has its ancestry: that is how the two are joined.
      expect(await watch.first('process_exit', { pid: child })).toMatchObject({ ppid: caller.pid })
      expect(watch.seen('socket_received', { pid: child })).toEqual([])
    })

  it('a connection passed over a Unix socket is told with who got it and whose it was', async () => {
    const port = await listen()
    const door = join(folder, 'door')
    const receiver = run(receives, door)
    expect(await receiver.line()).toBe('ready')
    const opener = run(passes, String(port), door)
    const local = Number(await opener.line())
    expect(await receiver.line()).toBe('done')
    const opened = await watch.first('connection_open', { local_port: local })
    expect(opened['pid']).toBe(opener.pid)
    const way = wayOfReceived()
    if (way) {
      expect(await watch.first('socket_received', { pid: receiver.pid })).toMatchObject({
        connection_id: opened['connection_id'], owner_pid: opener.pid, local_port: local,
        remote_port: port, local_addr: '127.0.0.1', remote_addr: '127.0.0.1', protocol: 'tcp',
        ...(way === 'tp_btf' ? {} : { mechanism: 'scm_rights' }),
      })
    }
    await opener.ended()
    await receiver.ended()
    expect(watch.seen('socket_received', { pid: opener.pid })).toEqual([])
  })

  it('a UDP socket passed over a Unix socket is told where descriptors can be watched', async () => {
    const door = join(folder, 'udp-door')
    const receiver = run(receives, door)
    expect(await receiver.line()).toBe('ready')
    const opener = run(passesDatagrams, door)
    const [local, remote] = (await opener.line())!.split(' ').map(Number)
    expect(await receiver.line()).toBe('done')
    const way = wayOfReceived()
    if (way === 'fentry') {
      expect(await watch.first('socket_received', { pid: receiver.pid })).toMatchObject({
        protocol: 'udp', local_port: local, remote_port: remote, mechanism: 'scm_rights',
        owner_pid: watch.sees('datagram_flow') ? opener.pid : 0,
      })
    } else if (way === 'tp_btf') {
      const state = watch.states.find(({ probe }) => probe === 'socket_received')!
      expect([state.state, state.lost]).toEqual(['degraded', expect.stringContaining('UDP sockets')])
    }
    await opener.ended()
    await receiver.ended()
  })

  it('a connection taken with pidfd_getfd is told with who took it and whose it was', async () => {
    const port = await listen()
    const victim = run(threads, String(port))
    const [local] = (await victim.line())!.split(' ').map(Number)
    const opened = await watch.first('connection_open', { local_port: local })
    // Descriptor 3 is the first that python opens.
    const thief = run(takes, String(victim.pid), '3')
    expect(await thief.line()).toBe('done')
    const way = wayOfReceived()
    if (way) {
      expect(await watch.first('socket_received', { pid: thief.pid })).toMatchObject({
        connection_id: opened['connection_id'], owner_pid: victim.pid, remote_port: port,
        ...(way === 'tp_btf' ? {} : { mechanism: 'pidfd_getfd' }),
      })
    }
    await thief.ended()
    await victim.ended()
  })

  it('of two servers on one IPv6 port, each connection names the one that has it', async () => {
    const one = run(shares, '0')
    const port = Number(await one.line())
    const two = run(shares, String(port))
    expect(Number(await two.line())).toBe(port)
    const said = new Map<number, number>()
    const next = (program: Program) => program.line().then((line) => ({ program, line }))
    const waiting = new Map([one, two].map((program) => [program, next(program)]))
    const client = await cgroup.startActor()
    while (new Set(said.values()).size < 2 || said.size < 6) {
      await client.ask({ do: 'connect', host: '::1', port })
      const { program, line } = await Promise.race(waiting.values())
      waiting.set(program, next(program))
      said.set(Number(line), program.pid)
    }
    for (const [remotePort, pid] of said) {
      expect(await watch.first('connection_open', {
        direction: 'accepted', local_port: port, remote_port: remotePort,
      })).toMatchObject({ pid, local_addr: '::1' })
    }
    await client.ended()
  })

  it('two ends that close at the same moment both tell their bytes', async () => {
    const client = await cgroup.startActor()
    const port = await listen()
    const { local_port: local } = await client.ask({ do: 'connect', host: '127.0.0.1', port })
    await server.ask({ do: 'accept' })
    await Promise.all([client.ask({ do: 'send', bytes: 70 }), server.ask({ do: 'send', bytes: 7 })])
    await client.ask({ do: 'receive', bytes: 7 })
    await server.ask({ do: 'receive', bytes: 70 })
    await Promise.all([client.ask({ do: 'finish' }), server.ask({ do: 'finish' })])
    expect(await watch.first('connection_close', { local_port: local! }))
      .toMatchObject({ pid: client.pid, bytes_sent: 70, bytes_received: 7, error: 0 })
    expect(await watch.first('connection_close', { local_port: port, remote_port: local! }))
      .toMatchObject({ pid: server.pid, bytes_sent: 7, bytes_received: 70, error: 0 })
    await client.ended()
  })

  it('a socket that connects to itself is one outgoing connection', async () => {
    const program = run(selfish)
    const port = Number(await program.line())
    const opened = await watch.first('connection_open', { pid: program.pid })
    expect(opened).toMatchObject({ direction: 'outgoing', local_port: port, remote_port: port })
    await program.ended()
    expect(await watch.first('connection_close', { pid: program.pid })).toMatchObject({
      bytes_sent: 8, connection_id: opened['connection_id'],
    })
  })
})
