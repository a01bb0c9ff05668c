import { mkdtempSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readKernelFacts } from '../../agent/probes/kernel-facts.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import type { Program } from './scope-cgroup.ts'
import { everydayAnd } from './tables.ts'
import { Watch, whyBlind, whyNot } from './watch.ts'

const reason = whyNot() || whyOnlyLooked()
if (reason) process.stderr.write(`!! SKIPPED: Unix sockets: ${reason}\n`)

/** Arguments: type of socket, path ('@' begins an abstract one). Ends with its input. */
const serving = `use Socket; my ($type, $path) = @ARGV; $path =~ s/^@/\\0/; $| = 1;
socket(S, PF_UNIX, $type, 0); bind(S, pack_sockaddr_un($path)) or die $!;
listen(S, 16) if $type != SOCK_DGRAM; print "ready\\n"; <STDIN>`
/** Likewise, and how often. Prints what the last connect gave: 0, or errno. */
const calling = `use Socket; my ($type, $path, $times) = @ARGV; $path =~ s/^@/\\0/; $| = 1;
for (1 .. $times) { socket(my $c, PF_UNIX, $type, 0); push @keep, $c;
  $error = connect($c, pack_sockaddr_un($path)) ? 0 : $! + 0;
  send($c, "x", 0) if $type == SOCK_DGRAM } print "$error\\n"; <STDIN>`
const stream = '1'
const datagram = '2'
const packets = '5'

describe.skipIf(reason)(`Unix sockets across a border ${reason}`, () => {
  let cgroup: ScopeCgroup
  let watch: Watch
  let folder: string
  let programs: Program[]

  beforeAll(() => {
    cgroup = new ScopeCgroup()
    watch = new Watch(cgroup, everydayAnd('unix_connection'))
    folder = mkdtempSync(join(tmpdir(), 'vedette-unix-'))
  })
  beforeEach(() => { programs = [] })
  afterEach(async () => { for (const program of programs) await program.ended() })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
    rmSync(folder, { recursive: true })
  })

  /** A server beside the cgroup, in namespaces of its own as a container would be. */
  async function serve(type: string, path: string, ...unshare: string[]): Promise<Program> {
    const perl = ['perl', '-e', serving, type, path]
    const [command, ...words] = unshare.length > 0 ? ['unshare', ...unshare, ...perl] : perl
    const server = cgroup.startOutside(command, ...words)
    programs.push(server)
    expect(await server.line()).toBe('ready')
    return server
  }

  async function call(type: string, path: string, times = 1): Promise<Program> {
    const client = cgroup.start('perl', '-e', calling, type, path, String(times))
    programs.push(client)
    expect(await client.line()).toBe('0')
    return client
  }

  it.each([['stream', stream, 1], ['packets in order', packets, 5]])(
    'a connection into another container names both processes (%s)',
    async (_, type, socketType) => {
      const path = join(folder, `s${type}`)
      const server = await serve(type, path, '--mount')
      const client = await call(type, path)
      const event = await watch.first('unix_connection', { pid: client.pid })
      const peerCgroup = cgroupOf(server.pid)
      expect(event).toMatchObject({
        path, peer_pid: server.pid, socket_type: socketType, cgroup_id: cgroup.id.toString(),
        peer_cgroup_id: peerCgroup, netns: netnsOf(client.pid), comm: 'perl',
      })
      expect(event['abstract']).toBeFalsy()
      expect(event['connection_id']).toMatch(/^[1-9][0-9]*$/)
      expect(BigInt(event['peer_start_time'] as string)).toBeGreaterThan(0n)
    })

  it('a name without a file is told, too, and said to be one', async () => {
    const name = `@vedette-${process.pid}`
    const server = await serve(stream, name, '--mount')
    const client = await call(stream, name)
    expect(await watch.first('unix_connection', { pid: client.pid })).toMatchObject({
      path: name.slice(1), abstract: true, peer_pid: server.pid,
    })
  })

  it('datagrams into another container name its cgroup', async () => {
    const path = join(folder, 'datagrams')
    const server = await serve(datagram, path, '--mount')
    const client = await call(datagram, path, 3)
    const event = await watch.first('unix_connection', { pid: client.pid })
    expect(event).toMatchObject({
      path, socket_type: 2, peer_cgroup_id: cgroupOf(server.pid),
    })
    await watch.settle(cgroup)
    expect(watch.seen('unix_connection', { pid: client.pid })).toHaveLength(1)
  })

  it('a listener that ended is known by the mount of its socket', async () => {
    const path = join(folder, 'handed-on')
    const script = `use Socket; my $path = shift; $| = 1; socket(S, PF_UNIX, SOCK_STREAM, 0);
bind(S, pack_sockaddr_un($path)); listen(S, 8); exit if fork; print "$$\\n"; sleep 600`
    const server = cgroup.startOutside('unshare', '--mount', 'perl', '-e', script, path)
    const heir = Number(await server.line())
    try {
      const client = await call(stream, path)
      expect(await watch.first('unix_connection', { pid: client.pid })).toMatchObject({
        path, peer_cgroup_id: cgroupOf(process.pid),
      })
    } finally {
      process.kill(heir, 'SIGKILL')
    }
  })

  it('many like connections are told once in a while', async () => {
    const path = join(folder, 'many')
    await serve(stream, path, '--mount')
    const client = await call(stream, path, 10)
    await watch.first('unix_connection', { pid: client.pid })
    await watch.settle(cgroup)
    expect(watch.seen('unix_connection', { pid: client.pid })).toHaveLength(1)
  })

  it('another cgroup alone, or another mount namespace alone, is no border', async () => {
    const beside = join(folder, 'beside')
    await serve(stream, beside)
    const one = await call(stream, beside)
    const same = join(folder, 'same')
    const server = cgroup.start('unshare', '--mount', 'perl', '-e', serving, stream, same)
    programs.push(server)
    expect(await server.line()).toBe('ready')
    const two = await call(stream, same)
    await watch.settle(cgroup)
    expect(watch.seen('unix_connection', { pid: one.pid })).toEqual([])
    expect(watch.seen('unix_connection', { pid: two.pid })).toEqual([])
  })
})

const quickly = everydayAnd('unix_connection').map((probe) => ({
  ...probe, ways: probe.name !== 'unix_connection' ? probe.ways
    : probe.ways.filter((way) => way.every_ms).map((way) => ({ ...way, every_ms: 100 })),
}))

describe.skipIf(whyNot())(`where they are only looked through ${whyNot()}`, () => {
  it('a connection that stands is told once, of the process that made it', async () => {
    const cgroup = new ScopeCgroup()
    const folder = mkdtempSync(join(tmpdir(), 'vedette-unix-'))
    const watch = new Watch(cgroup, quickly)
    try {
      expect(watch.states.find(({ probe }) => probe === 'unix_connection')).toMatchObject({
        state: 'degraded', attach_type: 'iterator',
      })
      const paths = { across: join(folder, 'across'), beside: join(folder, 'beside') }
      const perl = ['perl', '-e', serving, stream]
      const across = cgroup.startOutside('unshare', '--mount', ...perl, paths.across)
      const beside = cgroup.startOutside(perl[0], ...perl.slice(1), paths.beside)
      expect([await across.line(), await beside.line()]).toEqual(['ready', 'ready'])
      const script = `use Socket; $| = 1; for (@ARGV) { socket(my $c, PF_UNIX, SOCK_STREAM, 0);
push @keep, $c; connect($c, pack_sockaddr_un($_)) or die } unless (fork) { sleep 600 }
print "ready\\n"; <STDIN>`
      const client = cgroup.start('perl', '-e', script, paths.beside, paths.across)
      expect(await client.line()).toBe('ready')
      expect(await watch.first('unix_connection')).toMatchObject({
        pid: client.pid, path: paths.across, peer_pid: across.pid, socket_type: 1,
        peer_cgroup_id: cgroupOf(across.pid), netns: netnsOf(client.pid), comm: 'perl',
      })
      // A later one shows that the earlier ones were looked at again.
      const later = cgroup.start('perl', '-e', calling, stream, paths.across, '1')
      expect(await later.line()).toBe('0')
      await watch.first('unix_connection', { pid: later.pid })
      expect(watch.seen('unix_connection')).toHaveLength(2)
    } finally {
      watch.close()
      await cgroup.remove()
      rmSync(folder, { recursive: true })
    }
  })
})

/** Why nothing sees connections being made. */
function whyOnlyLooked(): string {
  const blind = whyBlind('unix_connection')
  if (blind || readKernelFacts().kprobes !== false) return blind
  return 'here only connections that stand are seen: this kernel refuses fentry and has no kprobes'
}

function netnsOf(pid: number): number {
  return Number(/\d+/.exec(readlinkSync(`/proc/${pid}/ns/net`))![0])
}

/** As the kernel numbers it, in the initial cgroup namespace of the tests. */
function cgroupOf(pid: number): string {
  const own = readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n')
    .find((line) => line.startsWith('0::'))!.slice(3)
  return statSync(join(readKernelFacts().cgroup2, own), { bigint: true }).ino.toString()
}
