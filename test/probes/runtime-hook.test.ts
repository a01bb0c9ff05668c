// Hooks of the GPU container runtime: real programs under their names, with a hostile environment.

import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { probeTable } from '../../agent/probes/table.ts'
import type { Probe } from '../../agent/probes/table.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import type { Program } from './scope-cgroup.ts'
import { Watch, whyBlind, whyNot } from './watch.ts'

const reason = whyNot() || whyBlind('runtime_hook')
if (reason) process.stderr.write(`!! SKIPPED: environments of runtime hooks: ${reason}\n`)
const blind = whyNot() || whyBlind('runtime_hook_library')
if (blind) process.stderr.write(`!! SKIPPED: libraries of runtime hooks: ${blind}\n`)

const names = ['runtime_hook', 'runtime_hook_library', 'process_exec', 'process_exit']
const tmpfsMagic = 0x01021994
/** The C library of this machine, which any program can map once more. */
const libc = /^\S+ r-xp .*?(\/\S*libc\.so\S*)$/m.exec(readFileSync('/proc/self/maps', 'utf8'))?.[1]

/** Each way to read environments alone: the second is for kernels before 5.17. */
function waysOf(which: string): Probe[] {
  return probeTable.filter(({ name }) => names.includes(name)).map((probe) => ({
    ...probe, ways: probe.name === 'runtime_hook' && which === 'walked' ? probe.ways.slice(1) : probe.ways,
  }))
}

describe.skipIf(reason).each(['best', 'walked'])(`runtime hooks (%s) ${reason}`, (which) => {
  let cgroup: ScopeCgroup
  let watch: Watch
  let folder: string
  beforeAll(() => {
    cgroup = new ScopeCgroup()
    watch = new Watch(cgroup, waysOf(which))
    folder = mkdtempSync(join(tmpdir(), 'vedette-hook-'))
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', folder])
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
    execFileSync('umount', [folder])
    rmSync(folder, { recursive: true })
  })

  function programNamed(name: string, of = '/bin/true'): string {
    const path = join(folder, name)
    copyFileSync(of, path)
    return path
  }

  async function done(program: Program): Promise<void> {
    expect((await program.ended()).code).toBe(0)
    await watch.first('process_exit', { pid: program.pid })
  }

  function variablesOf({ pid }: Program): unknown[] {
    return watch.seen('runtime_hook', { pid })
      .flatMap(({ variable, value }) => variable === undefined ? [] : [[variable, value]])
  }

  it.each([
    'nvidia-ctk', 'nvidia-cdi-hook', 'nvidia-container-cli', 'nvidia-container-cli.real',
    'nvidia-container-runtime-hook', 'nvidia-container-toolkit',
  ])('what the linker is told in the environment of %s is seen', async (name) => {
    const hook = cgroup.start('env', '-i', 'A=1', 'LD_PRELOAD=/proc/self/cwd/evil.so', 'B=2',
      'LD_AUDIT=/x/audit.so', 'LD_LIBRARY_PATH=/image/lib', programNamed(name))
    await done(hook)
    expect(variablesOf(hook)).toEqual([
      ['LD_PRELOAD', '/proc/self/cwd/evil.so'], ['LD_AUDIT', '/x/audit.so'],
      ['LD_LIBRARY_PATH', '/image/lib'],
    ])
    expect(watch.seen('runtime_hook', { pid: hook.pid })[0]).toMatchObject({
      comm: name.slice(0, 15), in_container: false, cgroup_id: cgroup.id.toString(),
    })
  })

  it('a link to another name does not hide it, and neither does what it starts', async () => {
    const real = programNamed('nvidia-ctk.real')
    symlinkSync(real, join(folder, 'harmless'))
    const hook = cgroup.start('env', '-i', 'LD_PRELOAD=/a.so', join(folder, 'harmless'))
    await done(hook)
    expect(variablesOf(hook)).toEqual([['LD_PRELOAD', '/a.so']])
    const shell = programNamed('nvidia-cdi-hook', '/bin/sh')
    const parent = cgroup.start('env', '-i', shell, '-c', 'LD_PRELOAD=/b.so /bin/true; exit 0')
    await done(parent)
    expect(watch.seen('runtime_hook', { ppid: parent.pid, variable: 'LD_PRELOAD' })).toMatchObject([
      { value: '/b.so', comm: 'true' },
    ])
  })

  it('other programs, other variables and the runtime that becomes runc are quiet', async () => {
    const words = ['env', '-i', 'LD_PRELOAD=/a.so', 'LD_LIBRARY_PATH=/x']
    const quiet = ['nvidia-smi', 'nvidia-container-runtime', 'nvidia-ctk2', 'true']
    for (const name of quiet) {
      const program = cgroup.start(words[0], ...words.slice(1), programNamed(name))
      await done(program)
      expect(watch.seen('runtime_hook', { pid: program.pid })).toEqual([])
    }
    const hook = cgroup.start('env', '-i', 'LD_DEBUG=', 'LD_PRELOA=1', 'XLD_PRELOAD=1',
      'LD_PRELOADS=1', 'LD_LIBRARY_PATHS=1', 'A=LD_PRELOAD=/x', programNamed('nvidia-ctk'))
    await done(hook)
    expect(variablesOf(hook)).toEqual([])
  })

  it('a variable is found behind long ones, and never in the middle of one', async () => {
    const long = `X=${'y'.repeat(253)}LD_PRELOAD=/not/this.so`
    const hook = cgroup.start('env', '-i', long, `Z=${'z'.repeat(which === 'best' ? 100_000 : 30_000)}`,
      `LD_PRELOAD=/${'p'.repeat(300)}`, programNamed('nvidia-ctk'))
    await done(hook)
    const [preload, ...more] = watch.seen('runtime_hook', { pid: hook.pid })
    expect(preload).toMatchObject({ variable: 'LD_PRELOAD', value: `/${'p'.repeat(254)}`, value_cut: true })
    expect(more.filter(({ variable }) => variable !== undefined)).toEqual([])
  })

  it('an environment that is too large to be read is told as such', async () => {
    const many = Array.from({ length: 5000 }, (_, i) => `V${i}=1`)
    const hook = cgroup.start('env', '-i', ...many, 'LD_PRELOAD=/hidden.so', programNamed('nvidia-ctk'))
    await done(hook)
    expect(variablesOf(hook)).toEqual([])
    expect(watch.seen('runtime_hook', { pid: hook.pid, environment_cut: true })).toHaveLength(1)
  })

  it.skipIf(blind)('a library that does not lie on the root of the node is named', async () => {
    const library = join(folder, 'evil.so')
    copyFileSync(libc!, library)
    const hook = cgroup.start('env', '-i', `LD_PRELOAD=${library}`, programNamed('nvidia-ctk'))
    await done(hook)
    const mapped = watch.seen('runtime_hook', { pid: hook.pid })
      .filter(({ variable }) => variable === undefined)
    expect(mapped).toMatchObject([{
      value: library, inode: statSync(library).ino.toString(), fs_magic: tmpfsMagic, value_cut: false,
    }])
    const other = cgroup.start('env', '-i', `LD_PRELOAD=${library}`, programNamed('nvidia-smi'))
    await done(other)
    expect(watch.seen('runtime_hook', { pid: other.pid })).toEqual([])
  })
})
