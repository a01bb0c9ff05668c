import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ScopeCgroup } from './scope-cgroup.ts'
import { Watch, whyNot } from './watch.ts'

/** A program whose threads all end at once, each by itself; the main thread first. */
const threadsSource = `
#include <pthread.h>
static pthread_barrier_t together;
static void *leave(void *unused) { pthread_barrier_wait(&together); return unused; }
int main(void) {
  pthread_t thread;
  pthread_barrier_init(&together, 0, 9);
  for (int i = 0; i < 8; i++) pthread_create(&thread, 0, leave, 0);
  pthread_barrier_wait(&together);
  pthread_exit(0);
}`

/** perl: makes a memfd, copies a program into it, runs it. 319 is memfd_create on x86-64. */
const memfdScript = `
my $number = \`uname -m\` =~ /aarch64/ ? 279 : 319;
my $name = "ghost";
my $fd = syscall($number, $name, 0);
open(my $memory, ">&=", $fd) or die; binmode $memory;
open(my $program, "<", "/bin/true") or die; binmode $program;
local $/; print {$memory} <$program>; $memory->flush;
exec { "/proc/self/fd/$fd" } "innocent", "argument";`

/**
 * The kernel's number of the file system that a path is on, by the mount table: stat() gives
 * another one for a file in a lower layer of an overlay.
 */
function deviceOf(path: string): number {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n').filter(Boolean)
    .map((line) => line.split(' '))
    .filter(([,,,, point]) => point === '/' || path.startsWith(`${point}/`))
  const [, , device] = mounts.sort((a, b) => a[4].length - b[4].length).at(-1)!
  const [major, minor] = device.split(':').map(Number)
  return major * 2 ** 20 + minor
}

/** A program that replaces itself by another, from a thread that is not its first. */
const threadExecSource = `
#include <pthread.h>
#include <unistd.h>
static void *replace(void *path) { execl(path, "replaced", (char *)0); return 0; }
int main(void) {
  pthread_t thread;
  pthread_create(&thread, 0, replace, "/bin/true");
  pthread_join(thread, 0);
  return 1;
}`

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: ${reason}\n`)

describe.skipIf(reason)(`process probes ${reason}`, () => {
  let cgroup: ScopeCgroup
  let watch: Watch
  let folder: string

  beforeAll(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'vedette-process-')))
    cgroup = new ScopeCgroup()
    watch = new Watch(cgroup)
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
    rmSync(folder, { recursive: true })
  })

  /** Path of a program made from C. */
  function compile(name: string, source: string): string {
    const path = join(folder, name)
    writeFileSync(`${path}.c`, source)
    execFileSync('cc', ['-O1', '-pthread', '-o', path, `${path}.c`])
    return path
  }

  it('shows path, arguments, parent, user and executable of an exec', async () => {
    const program = cgroup.start('/bin/true', 'two words', '', 'last')
    const event = await watch.first('process_exec', { pid: program.pid })
    const path = realpathSync('/bin/true')
    expect(event).toMatchObject({
      exe: path,
      args: ['/bin/true', 'two words', '', 'last'],
      ppid: process.pid, uid: 0, comm: 'true', cgroup_id: cgroup.id.toString(),
      exe_inode: statSync(path).ino.toString(), exe_device: deviceOf(path),
      exe_unlinked: false, exe_cut: false,
      at_start: false, args_bytes: '/bin/true two words  last '.length,
    })
  })

  it('names the parent by pid and start, which are those of its own exec', async () => {
    const shell = cgroup.start('/bin/sh', '-c', '/bin/true; exit 0')
    const parent = await watch.first('process_exec', { pid: shell.pid })
    const child = await watch.first('process_exec', { ppid: shell.pid })
    expect(child).toMatchObject({
      parent_process_id: parent['process_id'], exe: realpathSync('/bin/true'),
    })
    expect(child['pid']).not.toBe(shell.pid)
  })

  it('follows mounts and deep folders up to the root of the path', async () => {
    const deep = join(folder, ...Array.from({ length: 12 }, (_, level) => `level-${level}`))
    execFileSync('mkdir', ['-p', deep])
    const path = join(deep, 'program')
    execFileSync('cp', ['/bin/true', path])
    const event = await watch.first('process_exec', { pid: cgroup.start(path).pid })
    expect(event).toMatchObject({ exe: path, exe_cut: false })
  })

  it('keeps the end of a path that is too long, and says that it is cut', async () => {
    const deep = join(folder, 'a'.repeat(120), 'b'.repeat(120), 'c'.repeat(120))
    execFileSync('mkdir', ['-p', deep])
    const path = join(deep, 'program')
    execFileSync('cp', ['/bin/true', path])
    const event = await watch.first('process_exec', { pid: cgroup.start(path).pid })
    expect(event['exe_cut']).toBe(true)
    expect(event['exe']).toBe(`/${'b'.repeat(120)}/${'c'.repeat(120)}/program`)
  })

  it('says that arguments are cut at 512 bytes, and how many there were', async () => {
    const program = cgroup.start('/bin/true', 'x'.repeat(1000))
    const event = await watch.first('process_exec', { pid: program.pid })
    expect(event).toMatchObject({ args_bytes: 1011, args_bytes_kept: 512 })
    expect((event['args'] as string[])[1]).toBe('x'.repeat(502))
  })

  it('names the interpreter of a script, and the script in its arguments', async () => {
    const script = join(folder, 'script')
    writeFileSync(script, '#!/bin/sh\nexit 0\n', { mode: 0o755 })
    const event = await watch.first('process_exec', { pid: cgroup.start(script).pid })
    expect(event).toMatchObject({ exe: realpathSync('/bin/sh'), args: ['/bin/sh', script] })
  })

  it('marks a memfd as unlinked, whatever it calls itself', async () => {
    const program = cgroup.start('perl', '-e', memfdScript)
    const event = await watch.first('process_exec', { pid: program.pid, exe_unlinked: true })
    expect(event).toMatchObject({ exe: '/memfd:ghost', args: ['innocent', 'argument'] })
  })

  it('marks a file whose last name is gone as unlinked', async () => {
    const path = join(folder, 'vanishing')
    execFileSync('cp', ['/bin/true', path])
    const script = 'open(F, "<", $ARGV[0]); unlink $ARGV[0]; ' +
      'fcntl(F, 2, 0); my $f = fileno F; exec { "/proc/self/fd/$f" } "x"'
    const program = cgroup.start('perl', '-e', script, path)
    const event = await watch.first('process_exec', { pid: program.pid, exe_unlinked: true })
    expect(event['exe']).toBe(path)
  })

  it('says nothing of an exec that failed', async () => {
    const program = cgroup.start('/bin/sh', '-c', '/nonexistent 2>/dev/null; exec /bin/true')
    await watch.first('process_exit', { pid: program.pid })
    expect(watch.seen('process_exec', { ppid: program.pid })).toEqual([])
  })

  it('tells the exit code', async () => {
    const program = cgroup.start('/bin/sh', '-c', 'exit 42')
    const event = await watch.first('process_exit', { pid: program.pid })
    expect(event).toMatchObject({ exit_code: 42, exit_signal: 0, comm: 'sh', uid: 0 })
    expect(event['lifetime_ns']).toBeGreaterThan(0)
  })

  it('tells the signal that killed a process', async () => {
    const program = cgroup.start('/bin/sleep', '60')
    await watch.first('process_exec', { pid: program.pid })
    program.kill('SIGTERM')
    const event = await watch.first('process_exit', { pid: program.pid })
    expect(event).toMatchObject({ exit_code: 0, exit_signal: 15 })
  })

  it('gives one exit for a process whose threads end at the same moment', async () => {
    const path = compile('threads', threadsSource)
    const script = 'i=0; while [ $i -lt 30 ]; do "$0"; i=$((i+1)); done'
    const shell = cgroup.start('/bin/sh', '-c', script, path)
    await watch.first('process_exit', { pid: shell.pid })
    const exits = watch.seen('process_exit', { ppid: shell.pid })
    expect(exits.map((event) => event['comm'])).toEqual(Array(30).fill('threads'))
    expect(new Set(exits.map((event) => event['process_id'])).size).toBe(30)
    expect(exits.every((event) => event['exit_code'] === 0)).toBe(true)
  })

  it('keeps the identity of a process when a thread replaces it', async () => {
    const program = cgroup.start(compile('replaces', threadExecSource))
    await program.ended()
    const exit = await watch.first('process_exit', { pid: program.pid })
    const execs = watch.seen('process_exec', { pid: program.pid })
    expect(execs.map((event) => event['comm'])).toEqual(['replaces', 'true'])
    for (const exec of execs) expect(exec['process_id']).toBe(exit['process_id'])
    expect(watch.seen('process_exit', { pid: program.pid })).toHaveLength(1)
  })

  it('gives no exit for a thread that ends while the process lives on', async () => {
    const actor = await cgroup.startActor()
    await watch.settle(cgroup)
    expect(watch.seen('process_exit', { pid: actor.pid })).toEqual([])
    await actor.ended()
    await watch.first('process_exit', { pid: actor.pid })
    await watch.settle(cgroup)
    expect(watch.seen('process_exit', { pid: actor.pid })).toHaveLength(1)
  })

  it('shows a fork that never ran a program by its end', async () => {
    const program = cgroup.start('perl', '-e', 'my $p = fork; exit 7 unless $p; waitpid $p, 0')
    const event = await watch.first('process_exit', { ppid: program.pid })
    expect(event).toMatchObject({ exit_code: 7, comm: 'perl' })
    expect(watch.seen('process_exec', { pid: event['pid'] })).toEqual([])
  })

  it('shows no process twice and none without a pid', async () => {
    await watch.settle(cgroup)
    const exits = watch.seen('process_exit').map((event) => event['process_id'])
    expect(new Set(exits).size).toBe(exits.length)
    expect(watch.events.every((event) => Number(event['pid']) > 0)).toBe(true)
  })
})
