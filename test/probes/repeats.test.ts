import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ScopeCgroup } from './scope-cgroup.ts'
import { Watch, whyNot } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: ${reason}\n`)

const told = 4
const many = 400
const payload = 100

/** Answers every connection with 7 bytes when it has ended. Prints its port. */
const server = `use Socket; $| = 1; socket(S, PF_INET, SOCK_STREAM, 0);
bind(S, pack_sockaddr_in(0, INADDR_LOOPBACK)) or die; listen(S, 128);
print((unpack_sockaddr_in(getsockname S))[0], "\\n");
while (accept(my $c, S)) { 1 while sysread $c, my $data, 65536; syswrite $c, "x" x 7; close $c }`
/** Connects to a port so many times, one after the other, and sends ${payload} bytes each time. */
const caller = `use Socket; my ($port, $count) = @ARGV; for (1 .. $count) {
socket(my $c, PF_INET, SOCK_STREAM, 0);
connect($c, pack_sockaddr_in($port, INADDR_LOOPBACK)) or next;
syswrite $c, "v" x ${payload}; shutdown $c, 1; 1 while sysread $c, my $data, 65536; close $c }`

/** Opens so many connections to a port, and closes them when its input ends. */
const holder = `use Socket; $| = 1; my ($port, $count) = @ARGV; my @kept; for (1 .. $count) {
socket(my $c, PF_INET, SOCK_STREAM, 0);
connect($c, pack_sockaddr_in($port, INADDR_LOOPBACK)) or die;
syswrite $c, "v" x ${payload}; push @kept, $c } print "open\n"; <STDIN>`

describe.skipIf(reason)(`many like connections ${reason}`, () => {
  let cgroup: ScopeCgroup
  let watch: Watch

  beforeEach(() => {
    cgroup = new ScopeCgroup()
    watch = new Watch(cgroup, undefined, { connection_repeats_per_s: told })
  })
  afterEach(async () => {
    watch.close()
    await cgroup.remove()
  })

  function sum(kind: string, field: string, pid: number): number {
    return watch.seen(kind, { pid }).reduce((total, event) => total + Number(event[field]), 0)
  }

  async function startServer(): Promise<{ pid: number, port: number }> {
    const program = cgroup.start('perl', '-e', server)
    return { pid: program.pid, port: Number(await program.line()) }
  }

  it('are counted past the rate, at both ends; each is told or counted, and so are its bytes',
    async () => {
      const { pid, port } = await startServer()
      const client = cgroup.start('perl', '-e', caller, String(port), String(many))
      const ends = [
        { pid: client.pid, direction: 'outgoing', sent: payload, received: 7 },
        { pid, direction: 'accepted', sent: 7, received: payload },
      ]
      await client.ended()
      for (const end of ends) {
        const opens = () => watch.seen('connection_open', { pid: end.pid }).length
        const closes = () => watch.seen('connection_close', { pid: end.pid }).length
        while (opens() + sum('connection_repeat', 'opened', end.pid) < many) await sleep(20)
        while (closes() + sum('connection_repeat', 'closed', end.pid) < many) await sleep(20)
        expect(opens() + sum('connection_repeat', 'opened', end.pid)).toBe(many)
        expect(closes() + sum('connection_repeat', 'closed', end.pid)).toBe(many)
        expect(opens()).toBeLessThan(many / 2)
        for (const [field, bytes] of [['bytes_sent', end.sent], ['bytes_received', end.received]]) {
          const all = sum('connection_close', String(field), end.pid) +
            sum('connection_repeat', String(field), end.pid)
          expect(all).toBe(many * Number(bytes))
        }
      }
      expect(watch.seen('connection_repeat', { pid: client.pid })[0]).toMatchObject({
        direction: 'outgoing', local_addr: '127.0.0.1', remote_addr: '127.0.0.1',
        remote_port: port, local_port: 0, protocol: 'tcp', process_source: 'caller',
        comm: 'perl', cgroup_id: cgroup.id.toString(),
      })
      expect(watch.seen('connection_repeat', { pid })[0]).toMatchObject({
        direction: 'accepted', local_port: port, remote_port: 0,
      })
      // The first ones are told.
      const first = watch.seen('connection_open', { pid: client.pid }).slice(0, told / 2)
      for (const { connection_id: id } of first) {
        expect(watch.seen('connection_close', { connection_id: id })).toHaveLength(1)
      }
    })

  it('that last are told at their end, when nothing is counted there any more', async () => {
    const { port } = await startServer()
    const held = 40
    const client = cgroup.start('perl', '-e', holder, String(port), String(held))
    expect(await client.line()).toBe('open')
    const opened = () => watch.seen('connection_open', { pid: client.pid }).length
    while (opened() + sum('connection_repeat', 'opened', client.pid) < held) await sleep(20)
    expect(opened()).toBeLessThan(held)
    // Their entry is quiet now, and leaves after some seconds.
    await sleep(6000)
    await client.ended()
    const closes = await watch.atLeast(held, 'connection_close', { pid: client.pid })
    expect(closes).toHaveLength(held)
    expect(sum('connection_close', 'bytes_sent', client.pid)).toBe(held * payload)
    expect(sum('connection_repeat', 'closed', client.pid)).toBe(0)
  })

  it('failed attempts are counted likewise', async () => {
    const closed = await cgroup.startActor()
    const { port } = await closed.ask({ do: 'listen', host: '127.0.0.1' })
    await closed.ended()
    const client = cgroup.start('perl', '-e', caller, String(port), String(many))
    await client.ended()
    const failed = () => watch.seen('connection_failed', { pid: client.pid }).length
    while (failed() + sum('connection_repeat', 'failed', client.pid) < many) await sleep(20)
    expect(failed() + sum('connection_repeat', 'failed', client.pid)).toBe(many)
    expect(failed()).toBeLessThan(many / 2)
    expect(failed()).toBeGreaterThanOrEqual(told / 2)
  })

  it('do not hide another process that calls the same peer now and then', async () => {
    const { port } = await startServer()
    const client = cgroup.start('perl', '-e', caller, String(port), String(many))
    const other = cgroup.start('perl', '-e', caller, String(port), '2')
    await other.ended()
    await client.ended()
    expect(await watch.atLeast(2, 'connection_open', { pid: other.pid })).toHaveLength(2)
    expect(await watch.atLeast(2, 'connection_close', { pid: other.pid })).toHaveLength(2)
    expect(watch.seen('connection_repeat', { pid: other.pid })).toEqual([])
  })

  it('are told one by one when nobody asked for a rate', async () => {
    watch.close()
    watch = new Watch(cgroup)
    const { port } = await startServer()
    const client = cgroup.start('perl', '-e', caller, String(port), '100')
    await client.ended()
    expect(await watch.atLeast(100, 'connection_open', { pid: client.pid })).toHaveLength(100)
    expect(watch.seen('connection_repeat')).toEqual([])
  })
})
