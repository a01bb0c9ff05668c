// The second best way to attach, on kernels that have the best one: kprobes instead of fexit.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readKernelFacts } from '../../agent/probes/kernel-facts.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import { datagramNames, everydayAnd } from './tables.ts'
import { Watch, whyNot } from './watch.ts'

const reason = whyNot() || (readKernelFacts().kprobes ? '' : 'this kernel has no kprobes')
if (reason) process.stderr.write(`!! SKIPPED: the kprobe way: ${reason}\n`)

const withoutTrampolines = everydayAnd('socket_received', ...datagramNames).map((probe) => ({
  ...probe, ways: probe.ways.filter((way) =>
    way.attach_type !== 'fexit' && way.programs[0] !== 'socket_received_fentry'),
}))
/** Passes a connection to a child that did not inherit it. */
const passing = `import os, socket, sys
door = socket.create_server(('127.0.0.1', 0)); one, two = socket.socketpair()
child = os.fork()
if child == 0:
    got = socket.recv_fds(two, 1, 1); os._exit(0)
own = socket.create_connection(door.getsockname())
socket.send_fds(one, [b'x'], [own.fileno()]); os.waitpid(child, 0)
print(child, own.getsockname()[1], flush=True); sys.stdin.read()`

describe.skipIf(reason)(`where only kprobes are left ${reason}`, () => {
  let cgroup: ScopeCgroup
  let watch: Watch
  beforeAll(() => {
    cgroup = new ScopeCgroup()
    watch = new Watch(cgroup, withoutTrampolines)
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
  })

  it('says that it is attached by kretprobe', () => {
    for (const name of ['connection_accept', 'connection_refused_locally']) {
      const state = watch.states.find(({ probe }) => probe === name)
      expect(state).toMatchObject({ state: 'attached', attach_type: 'kretprobe', lost: '' })
    }
  })

  it('an accepted connection names the worker that accepted it', async () => {
    const script = 'use Socket; socket(S, PF_INET, SOCK_STREAM, 0); listen(S, 8); ' +
      'unless ($worker = fork) { accept(C, S); exit } ' +
      'socket(D, PF_INET, SOCK_STREAM, 0); connect(D, getsockname S) or die; wait; close D'
    const server = cgroup.start('perl', '-e', script)
    await watch.first('process_exit', { pid: server.pid })
    const opened = await watch.first('connection_open', { direction: 'accepted' })
    expect(opened).toMatchObject({ ppid: server.pid, process_source: 'caller', comm: 'perl' })
    expect(opened['pid']).not.toBe(server.pid)
    const outgoing = await watch.first('connection_open', { direction: 'outgoing' })
    expect(outgoing).toMatchObject({ pid: server.pid, local_port: opened['remote_port'] })
    await watch.first('connection_close', { connection_id: opened['connection_id'] })
  })

  it('a connection that comes by descriptor is told with whose it was', async () => {
    const program = cgroup.start('python3', '-c', passing)
    const [child, local] = (await program.line())!.split(' ').map(Number)
    expect(await watch.first('socket_received', { pid: child })).toMatchObject({
      owner_pid: program.pid, local_port: local, mechanism: 'scm_rights', protocol: 'tcp',
    })
    expect(watch.states.find(({ probe }) => probe === 'socket_received'))
      .toMatchObject({ state: 'degraded', attach_type: 'kprobe' })
    await program.ended()
  })

  it('calls that the node itself refuses are seen, each once', async () => {
    const script = 'use Socket qw(:DEFAULT inet_pton); sub dial { ' +
      'socket(my $s, shift, SOCK_STREAM, 0); connect($s, shift); print $! + 0, "\\n" } ' +
      'dial(PF_INET, pack_sockaddr_in(4444, inet_aton("203.0.113.7"))); ' +
      'for ("2001:db8::7", "::ffff:203.0.113.8") ' +
      '{ dial(PF_INET6, pack_sockaddr_in6(4444, inet_pton(AF_INET6, $_))) }'
    const program = cgroup.start('unshare', '--net', 'perl', '-e', script)
    const errors = [await program.line(), await program.line(), await program.line()].map(Number)
    await watch.first('process_exit', { pid: program.pid })
    const failed = watch.seen('connection_failed', { pid: program.pid })
    expect(failed.map((event) => [event['remote_addr'], event['error']])).toEqual([
      ['203.0.113.7', errors[0]], ['2001:db8::7', errors[1]], ['203.0.113.8', errors[2]],
    ])
  })
})
