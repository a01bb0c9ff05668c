import { readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Probe } from '../../agent/probes/table.ts'
import type { EventJson } from '../../proto/event-json.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import type { Program } from './scope-cgroup.ts'
import { everydayAnd } from './tables.ts'
import { Watch, whyNot } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: ${reason}\n`)

const mebibyte = 2 ** 20
/** Answers nothing. Prints its port; reads what comes, of all connections one after the other. */
const server = `use Socket; $| = 1; socket(S, PF_INET, SOCK_STREAM, 0);
bind(S, pack_sockaddr_in(0, INADDR_LOOPBACK)) or die; listen(S, 128);
print((unpack_sockaddr_in(getsockname S))[0], "\\n");
while (accept(my $c, S)) { next if fork; while (sysread $c, my $data, 65536) {} exit }`
/** Opens so many connections; then sends as many bytes over the last one as each line says. */
const client = `use Socket; $| = 1; my ($port, $count) = @ARGV; my @kept; for (1 .. $count) {
socket(my $c, PF_INET, SOCK_STREAM, 0);
connect($c, pack_sockaddr_in($port, INADDR_LOOPBACK)) or die "$!"; push @kept, $c }
print "open\\n"; while (<STDIN>) { my $left = $_ + 0; while ($left > 0) {
my $sent = syswrite $kept[-1], "v" x ($left < 65536 ? $left : 65536); die unless $sent;
$left -= $sent } print "sent\\n" }`

/** As the table has it, but the totals every 0.1 s. */
function quickTable(): Probe[] {
  return everydayAnd('connection_totals').map((probe) => probe.name !== 'connection_totals' ? probe :
    { ...probe, ways: probe.ways.map((way) => ({ ...way, every_ms: 100 })) })
}

describe.skipIf(reason)(`the bytes of connections that stand ${reason}`, () => {
  let cgroup: ScopeCgroup
  let watch: Watch

  beforeEach(() => {
    cgroup = new ScopeCgroup()
    watch = new Watch(cgroup, quickTable(), { connection_repeats_per_s: 4 })
  })
  afterEach(async () => {
    watch.close()
    await cgroup.remove()
  })

  async function startServer(): Promise<Program & { port: number }> {
    const program = cgroup.start('perl', '-e', server)
    return { ...program, port: Number(await program.line()) }
  }

  async function startClient(port: number, count = 1): Promise<Program> {
    const program = cgroup.start('perl', '-e', client, String(port), String(count))
    expect(await program.line()).toBe('open')
    return program
  }

  async function send(program: Program, bytes: number): Promise<void> {
    program.tell(`${bytes}\n`)
    expect(await program.line()).toBe('sent')
  }

  /** Waits until all but the last mebibyte of so many bytes is told; what was told. */
  async function told(bytes: number, values: EventJson): Promise<EventJson[]> {
    for (;;) {
      const events = watch.seen('connection_totals', values)
      const last = events.at(-1)
      if (last && moved(last) > bytes - mebibyte - 65_536) return events
      await sleep(20)
    }
  }

  function moved(event: EventJson): number {
    return Number(event['bytes_sent']) + Number(event['bytes_received'])
  }

  it('are told at both ends, each time a mebibyte more was moved', async () => {
    const { pid, port } = await startServer()
    const program = await startClient(port)
    const opened = await watch.first('connection_open', { pid: program.pid })
    for (const bytes of [8 * mebibyte, 100_000, 3 * mebibyte, 7, 2 * mebibyte]) {
      await send(program, bytes)
      await sleep(250)
    }
    const all = 13 * mebibyte + 100_007
    const sent = await told(all, { direction: 'outgoing' })
    const received = await told(all, { direction: 'accepted' })
    for (const events of [sent, received]) {
      expect(events.length).toBeGreaterThanOrEqual(2)
      const totals = [0, ...events.map(moved)]
      const steps = totals.slice(1).map((total, at) => total - totals[at])
      expect(Math.min(...steps)).toBeGreaterThanOrEqual(mebibyte)
      expect(totals.at(-1)).toBeLessThanOrEqual(all)
    }
    const netns = /\d+/.exec(readlinkSync(`/proc/${program.pid}/ns/net`))![0]
    expect(sent.at(-1)).toMatchObject({
      pid: program.pid, comm: 'perl', cgroup_id: cgroup.id.toString(), protocol: 'tcp',
      connection_id: opened['connection_id'], local_port: opened['local_port'],
      local_addr: '127.0.0.1', remote_addr: '127.0.0.1', remote_port: port,
      netns: Number(netns), bytes_received: 0, process_source: 'caller',
    })
    expect(Number(sent.at(-1)!['duration_ns'])).toBeGreaterThan(0)
    expect(received.at(-1)).toMatchObject({
      pid, local_port: port, remote_port: opened['local_port'], bytes_sent: 0,
    })
    await program.ended()
    const close = await watch.first('connection_close', {
      connection_id: opened['connection_id'],
    })
    expect(close['bytes_sent']).toBe(all)
  })

  it('of less than a mebibyte are not told', async () => {
    const { port } = await startServer()
    const small = await startClient(port)
    const large = await startClient(port)
    await send(small, mebibyte - 1)
    await send(large, 2 * mebibyte)
    await told(2 * mebibyte, { pid: large.pid })
    // The next walk sees both as they are now.
    await send(large, 2 * mebibyte)
    await told(4 * mebibyte, { pid: large.pid })
    expect(watch.seen('connection_totals', { pid: small.pid })).toEqual([])
  })

  it('are told of connections that are older than the agent, too, without their age', async () => {
    const { port } = await startServer()
    const program = await startClient(port)
    await watch.first('connection_open', { pid: program.pid })
    watch.close()
    watch = new Watch(cgroup, quickTable())
    const opened = await watch.first('connection_open', { pid: program.pid })
    await send(program, 4 * mebibyte)
    const events = await told(4 * mebibyte, { pid: program.pid })
    expect(events.at(-1)).toMatchObject({
      connection_id: opened['connection_id'], direction: 'outgoing', duration_ns: 0,
    })
  })

  it('are told of one that was only counted when it was opened, and then so is its end',
    async () => {
      const { port } = await startServer()
      const count = 40
      const program = await startClient(port, count)
      const opened = () => watch.seen('connection_open', { pid: program.pid }).length
      const counted = () => watch.seen('connection_repeat', { pid: program.pid })
        .reduce((sum, event) => sum + Number(event['opened']), 0)
      while (opened() + counted() < count) await sleep(20)
      await send(program, 4 * mebibyte)
      const [event] = await told(4 * mebibyte, { pid: program.pid })
      const id = event['connection_id']
      expect(watch.seen('connection_open', { connection_id: id })).toEqual([])
      await program.ended()
      expect(await watch.first('connection_close', { connection_id: id })).toMatchObject({
        bytes_sent: 4 * mebibyte,
      })
    })

  it('are told in every network namespace, and not outside of the scope', async () => {
    const outside = cgroup.startOutside('perl', '-e', server)
    const port = Number(await outside.line())
    const other = cgroup.startOutside('perl', '-e', client, String(port), '1')
    expect(await other.line()).toBe('open')
    await send(other, 4 * mebibyte)
    const script = `use Socket; $| = 1; system("ip link set lo up") == 0 or die;
socket(S, PF_INET, SOCK_STREAM, 0); listen(S, 8); my $at = getsockname S;
if (!fork) { accept(my $c, S); while (sysread $c, my $data, 65536) {} exit }
socket(my $c, PF_INET, SOCK_STREAM, 0); connect($c, $at) or die "$!";
for (1 .. 64) { syswrite($c, "v" x 65536) or die } <STDIN>`
    const program = cgroup.start('unshare', '--net', 'perl', '-e', script)
    const [event] = await told(4 * mebibyte, { pid: program.pid })
    const netns = Number(/\d+/.exec(readlinkSync(`/proc/${program.pid}/ns/net`))![0])
    expect(event['netns']).toBe(netns)
    expect(netns).not.toBe(Number(/\d+/.exec(readlinkSync('/proc/self/ns/net'))![0]))
    expect(watch.seen('connection_totals', { pid: other.pid })).toEqual([])
    expect(watch.seen('connection_totals', { pid: outside.pid })).toEqual([])
  })
})
