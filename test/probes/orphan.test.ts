import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ScopeCgroup } from './scope-cgroup.ts'
import { Watch, whyNot } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: ${reason}\n`)

/** Forks twice and leaves its tree, as a daemon does; then calls a port. Prints both pids. */
const daemon = `use Socket; use POSIX; $| = 1; my $port = shift;
unless (my $middle = fork) {
  unless (fork) {
    my $parent = getppid; POSIX::setsid();
    select undef, undef, undef, 0.01 while getppid == $parent;
    print "$parent $$\\n";
    socket(my $c, PF_INET, SOCK_STREAM, 0); connect($c, pack_sockaddr_in($port, INADDR_LOOPBACK));
    <STDIN>; exit
  }
  select undef, undef, undef, 0.2; POSIX::_exit(0)
}
wait; <STDIN>`
/** Forks, and the child, which runs no program itself, runs two of them. Prints its pid, then waits. */
const session = `$| = 1; unless (fork) {
  print "$$\\n"; system "/bin/true"; system "/bin/true"; print "ran\\n"; <STDIN>; exit
}
wait`
/** Ends before so many children; prints its pid. They end with their input. */
const abandoning = `$| = 1; my $count = shift; print "$$\\n";
for (1 .. $count) { unless (fork) { <STDIN>; exit } } POSIX::_exit(0)`

describe.skipIf(reason)(`children that outlive their parent ${reason}`, () => {
  let cgroup: ScopeCgroup
  let watch: Watch

  beforeAll(() => {
    cgroup = new ScopeCgroup()
    watch = new Watch(cgroup)
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
  })

  it('the parent of a daemon is known, and that of its parent, when it makes a connection',
    async () => {
      const server = await cgroup.startActor()
      const { port } = await server.ask({ do: 'listen', host: '127.0.0.1' })
      const program = cgroup.start('perl', '-e', daemon, String(port))
      const [middle, last] = (await program.line())!.split(' ').map(Number)
      const opened = await watch.first('connection_open', { pid: last, direction: 'outgoing' })
      // Whoever took the daemon in: the chain is broken here.
      expect(opened['ppid']).not.toBe(middle)
      const orphan = await watch.first('process_orphan', { pid: last })
      expect(orphan).toMatchObject({
        process_id: opened['process_id'], ppid: middle, comm: 'perl', children_unlisted: 0,
      })
      const exit = await watch.first('process_exit', { pid: middle })
      expect(orphan['parent_process_id']).toBe(exit['process_id'])
      const exec = await watch.first('process_exec', { pid: program.pid, comm: 'perl' })
      expect(exit).toMatchObject({ ppid: program.pid, parent_process_id: exec['process_id'] })
      await program.ended()
    })

  it('who forks and runs no program is known, once, as soon as a child of it runs one', async () => {
    const program = cgroup.start('perl', '-e', session)
    const middle = Number(await program.line())
    expect(await program.line()).toBe('ran')
    const seen = await watch.first('process_exec', { pid: middle })
    expect(seen).toMatchObject({ at_start: true, comm: 'perl', ppid: program.pid })
    expect(seen['exe']).toMatch(/perl/)
    const runs = await watch.atLeast(2, 'process_exec', { ppid: middle })
    expect(runs.map(({ parent_process_id: parent }) => parent))
      .toEqual([seen['process_id'], seen['process_id']])
    expect(watch.seen('process_exec', { pid: middle })).toHaveLength(1)
    await program.ended()
  })

  it('of a parent of many, 32 are told one by one, with how many more there are', async () => {
    const program = cgroup.start('perl', '-MPOSIX', '-e', abandoning, '40')
    const parent = Number(await program.line())
    await watch.first('process_exit', { pid: parent })
    const orphans = watch.seen('process_orphan', { ppid: parent })
    expect(orphans).toHaveLength(32)
    expect(new Set(orphans.map((event) => event['pid'])).size).toBe(32)
    for (const orphan of orphans) expect(orphan['children_unlisted']).toBe(8)
    await program.ended()
  })

  it('says nothing of children that ended first, nor of threads', async () => {
    const shell = cgroup.start('/bin/sh', '-c', '/bin/true; /bin/true & wait; exit 0')
    await watch.first('process_exit', { pid: shell.pid })
    const actor = await cgroup.startActor()
    await actor.ended()
    await watch.settle(cgroup)
    expect(watch.seen('process_orphan', { ppid: shell.pid })).toEqual([])
    expect(watch.seen('process_orphan', { ppid: actor.pid })).toEqual([])
  })

  it('a child of a thread that ends alone is no orphan', async () => {
    const script = 'import os,sys,threading\n' +
      't = threading.Thread(target=lambda: os.spawnv(os.P_NOWAIT, "/bin/sleep", ["sleep", "60"]))\n' +
      't.start(); t.join(); print("joined", flush=True); sys.stdin.read()'
    const program = cgroup.start('python3', '-c', script)
    expect(await program.line()).toBe('joined')
    await watch.settle(cgroup)
    expect(watch.seen('process_orphan', { ppid: program.pid })).toEqual([])
    await program.ended()
    await watch.first('process_orphan', { ppid: program.pid, comm: 'sleep' })
  })
})
