import { spawnSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { probeTable } from '../../agent/probes/table.ts'
import type { EventJson } from '../../proto/event-json.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import type { Program } from './scope-cgroup.ts'
import { Watch, whyBlind, whyNot } from './watch.ts'

/** Without the module there is no vsock at all. */
function whyNoModule(): string {
  if (spawnSync('modprobe', ['vsock_loopback']).status === 0) return ''
  return 'this kernel has no vsock_loopback'
}

const reason = whyNot() || whyNoModule() || whyBlind('vsock_connection')
if (reason) process.stderr.write(`!! SKIPPED: vsock: ${reason}\n`)

/** AF_VSOCK, and its address: family, reserved, port, cid. */
const perl = `use Socket; $| = 1; my $family = 40;
sub address { pack("SSLLx4", $family, 0, $_[1], $_[0]) }
sub port_of { (unpack("SSLL", $_[0]))[2] }
`
/** Accepts in a worker, reads so many bytes, sends as many back twice, waits, ends. */
const serving = `${perl} my $bytes = shift; socket(S, $family, SOCK_STREAM, 0) or die $!;
bind(S, address(0xffffffff, 0xffffffff)) or die $!; listen(S, 4);
print port_of(getsockname S), "\\n"; unless (fork) { print "$$\\n"; accept(C, S) or die $!;
  read(C, my $got, $bytes); syswrite(C, $got . $got); <STDIN>; exit } wait`
/** Connects, sends, receives, and ends the connection when told. Prints its port, or errno. */
const calling = `${perl} my ($port, $bytes) = @ARGV; socket(S, $family, SOCK_STREAM, 0);
unless (connect(S, address(1, $port))) { print $! + 0, "\\n"; exit }
syswrite(S, "v" x $bytes); recv(S, my $peek, 4, 2); read(S, my $got, 2 * $bytes);
print port_of(getsockname S), "\\n"; <STDIN>; close S; print "closed\\n"; <STDIN>`
/** Refused after connect() has returned. */
const dangling = `${perl} use Fcntl; socket(S, $family, SOCK_STREAM, 0);
fcntl(S, F_SETFL, O_NONBLOCK); connect(S, address(1, shift)); print $! + 0, "\\n"; <STDIN>;
close S; print "closed\\n"; <STDIN>`

/** So that the probes of the tests after this one load as fast as before. */
afterAll(() => {
  if (!reason) spawnSync('modprobe', ['-r', 'vsock_loopback', 'vsock'])
})

const ways = [['the best way', probeTable], ['kprobes', probeTable.map((probe) => ({
  ...probe, ways: probe.ways.filter((way) => !/^f(entry|exit)$/.test(way.attach_type)),
}))]] as const

describe.skipIf(reason).each(ways)(`vsock by %s ${reason}`, (_, table) => {
  let cgroup: ScopeCgroup
  let watch: Watch
  beforeAll(() => {
    cgroup = new ScopeCgroup()
    watch = new Watch(cgroup, table)
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
  })

  function told(program: Program, report: string): Promise<EventJson> {
    return watch.first('vsock_connection', { pid: program.pid, report })
  }

  it('both ends name their process, peer and bytes', async () => {
    expect(watch.states.find(({ probe }) => probe === 'vsock_connection')?.state).toBe('attached')
    const bytes = 3000
    const server = cgroup.start('perl', '-e', serving, String(bytes))
    const port = Number(await server.line())
    const worker = Number(await server.line())
    const client = cgroup.start('perl', '-e', calling, String(port), String(bytes))
    const ownPort = Number(await client.line())
    const opened = await told(client, 'first')
    expect(opened).toMatchObject({
      direction: 'outgoing', remote_cid: 1, remote_port: port, local_port: ownPort, comm: 'perl',
      cgroup_id: cgroup.id.toString(),
    })
    expect(opened['error'] ?? 0).toBe(0)
    const accepted = await watch.first('vsock_connection', { pid: worker, report: 'first' })
    expect(accepted).toMatchObject({
      direction: 'accepted', ppid: server.pid, remote_cid: 1, remote_port: ownPort,
      local_port: port,
    })
    expect(accepted['connection_id']).not.toBe(opened['connection_id'])
    await client.ended()
    await server.ended()
    const last = await told(client, 'last')
    expect(last).toMatchObject({
      connection_id: opened['connection_id'], bytes_sent: bytes, bytes_received: 2 * bytes,
      direction: 'outgoing',
    })
    expect(last['duration_ns']).toBeGreaterThan(0)
    expect(await watch.first('vsock_connection', { pid: worker, report: 'last' })).toMatchObject({
      connection_id: accepted['connection_id'], bytes_sent: 2 * bytes, bytes_received: bytes,
    })
    await watch.settle(cgroup)
    expect(watch.seen('vsock_connection')).toHaveLength(4)
  })

  it('an attempt that nobody answers is one event with its error', async () => {
    const client = cgroup.start('perl', '-e', calling, '4', '1')
    const error = Number(await client.line())
    expect(error).toBeGreaterThan(0)
    expect(await told(client, 'first')).toMatchObject({
      error, direction: 'outgoing', remote_cid: 1, remote_port: 4,
    })
    await client.ended()
    await watch.settle(cgroup)
    expect(watch.seen('vsock_connection', { pid: client.pid })).toHaveLength(1)
  })

  it('so is one that is given up after connect() has returned', async () => {
    const client = cgroup.start('perl', '-e', dangling, '4')
    expect(Number(await client.line())).toBe(115)
    await client.ended()
    const event = await told(client, 'first')
    expect(event['error']).toBeGreaterThan(0)
    await watch.settle(cgroup)
    expect(watch.seen('vsock_connection', { pid: client.pid })).toHaveLength(1)
  })

  it('a connection beside the scope is not told', async () => {
    const server = cgroup.startOutside('perl', '-e', serving, '8')
    const port = String(await server.line())
    await server.line()
    const client = cgroup.startOutside('perl', '-e', calling, port, '8')
    expect(Number(await client.line())).toBeGreaterThan(0)
    await client.ended()
    await server.ended()
    await watch.settle(cgroup)
    expect(watch.seen('vsock_connection', { remote_port: Number(port) })).toEqual([])
  })
})
