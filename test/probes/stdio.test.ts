import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ScopeCgroup } from './scope-cgroup.ts'
import type { Actor } from './scope-cgroup.ts'
import { everydayAnd } from './tables.ts'
import { Watch, whyNot } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: ${reason}\n`)

/** Connects to a port, makes the socket these standard streams, and becomes a shell. */
const reverse = `use Socket qw(:all); my ($port, $family, @streams) = @ARGV;
socket(my $c, $family eq 6 ? PF_INET6 : PF_INET, SOCK_STREAM, 0);
connect($c, $family eq 6 ? pack_sockaddr_in6($port, IN6ADDR_LOOPBACK)
  : pack_sockaddr_in($port, INADDR_LOOPBACK)) or die;
use POSIX; POSIX::dup2(fileno $c, $_) for @streams; exec "/bin/sh", "-c", "exit 0"`
/** Two sockets of two connections as standard input and output. */
const two = `use Socket; use POSIX; my $port = shift;
for my $fd (0, 1) { socket(my $c, PF_INET, SOCK_STREAM, 0);
connect($c, pack_sockaddr_in($port, INADDR_LOOPBACK)) or die; POSIX::dup2(fileno $c, $fd) }
exec "/bin/true"`
/** A Unix socket as standard input, and an internet socket as descriptor 5. */
const harmless = `use Socket; use POSIX; my $port = shift;
socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, 0); POSIX::dup2(fileno $a, 0);
socket(my $c, PF_INET, SOCK_STREAM, 0); connect($c, pack_sockaddr_in($port, INADDR_LOOPBACK));
POSIX::dup2(fileno $c, 5); exec "/bin/true"`

describe.skipIf(reason)(`programs whose standard streams are a socket ${reason}`, () => {
  let cgroup: ScopeCgroup
  let watch: Watch
  let peer: Actor

  beforeAll(async () => {
    cgroup = new ScopeCgroup()
    watch = new Watch(cgroup, everydayAnd('process_stdio'))
    peer = await cgroup.startActor()
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
  })

  it.each([
    { host: '127.0.0.1', family: '4', streams: ['0', '1', '2'], bits: 7 },
    { host: '::1', family: '6', streams: ['0', '1', '2'], bits: 7 },
    { host: '127.0.0.1', family: '4', streams: ['0'], bits: 1 },
    { host: '127.0.0.1', family: '4', streams: ['1', '2'], bits: 6 },
  ])('are told with the connection and which streams it is ($host, $streams)',
    async ({ host, family, streams, bits }) => {
      const { port } = await peer.ask({ do: 'listen', host })
      const shell = cgroup.start('perl', '-e', reverse, String(port), family, ...streams)
      const event = await watch.first('process_stdio', { pid: shell.pid })
      const opened = await watch.first('connection_open', {
        pid: shell.pid, direction: 'outgoing', remote_port: port!,
      })
      expect(event).toMatchObject({
        descriptors: bits, comm: 'sh', protocol: 'tcp', local_addr: host, remote_addr: host,
        local_port: opened['local_port'], remote_port: port, netns: opened['netns'],
        connection_id: opened['connection_id'], process_id: opened['process_id'],
      })
      await shell.ended()
      expect(watch.seen('process_stdio', { pid: shell.pid })).toHaveLength(1)
    })

  it('are told once for each socket', async () => {
    const { port } = await peer.ask({ do: 'listen', host: '127.0.0.1' })
    const program = cgroup.start('perl', '-e', two, String(port))
    await watch.first('process_exit', { pid: program.pid })
    const events = watch.seen('process_stdio', { pid: program.pid })
    expect(events.map((event) => event['descriptors']).sort()).toEqual([1, 2])
    expect(new Set(events.map((event) => event['connection_id'])).size).toBe(2)
  })

  it('says nothing of pipes, Unix sockets and sockets that are other descriptors', async () => {
    const { port } = await peer.ask({ do: 'listen', host: '127.0.0.1' })
    const program = cgroup.start('perl', '-e', harmless, String(port))
    await watch.first('process_exit', { pid: program.pid })
    expect(watch.seen('process_stdio', { pid: program.pid })).toEqual([])
    expect(watch.seen('process_stdio', { pid: peer.pid })).toEqual([])
  })
})
