import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { device, watchDevice } from './gpu-watch.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import { whyNot } from './watch.ts'
import type { Watch } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: GPU devices: ${reason}\n`)

describe.skipIf(reason)(`devices of GPUs ${reason}`, () => {
  let cgroup: ScopeCgroup
  let watch: Watch
  let folder: string

  beforeAll(() => {
    cgroup = new ScopeCgroup()
    watch = watchDevice(cgroup)
    folder = mkdtempSync(join(tmpdir(), 'vedette-gpu-'))
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
    rmSync(folder, { recursive: true })
  })

  /** Where opens are not seen, what is held open is looked through. */
  function look(): void {
    const { program } = watch.states.find(({ probe }) => probe === 'gpu_device')!
    if (program === 'gpu_devices_held') runIterator(program)
  }

  function runIterator(program: string): void {
    while (watch.object.readIterator(program, new ArrayBuffer(65_536)) !== 0);
  }

  /** Opens the files of the words for reading and writing, says so, and waits. */
  const hold = 'my @f; for (@ARGV) { open(my $f, "+<", $_) or die $!; push @f, $f } ' +
    '$| = 1; print "open\\n"; <STDIN>; if (shift @f) { open(my $g, "+<", $ARGV[0]) }'

  it('who opens one is told, by its number and not by its path, once', async () => {
    const node = join(folder, 'innocent')
    expect(spawnSync('mknod', ['-m', '660', node, 'c', '1', '7']).status).toBe(0)
    const program = cgroup.start('perl', '-e', hold, node, '/dev/zero', '/etc/passwd')
    await program.line()
    look()
    const event = await watch.first('gpu_device_open', { pid: program.pid })
    expect(event).toMatchObject({
      path: node, device: device.number, family: 'nvidiactl', file_mode: 0o660,
      inode: statSync(node, { bigint: true }).ino.toString(), cap_sys_admin: true, comm: 'perl',
    })
    expect(Number(event['open_flags']) & 3).toBe(2)
    expect(event['at_start']).toBeFalsy()
    expect(event['in_container']).toBeFalsy()
    await program.ended()
    await watch.first('process_exit', { pid: program.pid })
    look()
    expect(watch.seen('gpu_device_open', { pid: program.pid })).toHaveLength(1)
    if (watch.states.some(({ program: name }) => name.includes('gpu_open'))) {
      expect(watch.seen('gpu_call', { pid: program.pid, call_kind: 'open' }))
        .toMatchObject([{ count: 1, device: device.number }])
    }
  })

  it('other devices are quiet, also those beside it', async () => {
    const program = cgroup.start('perl', '-e', hold, '/dev/zero', '/dev/null', '/dev/tty0')
    const other = cgroup.start('perl', '-e', hold, '/dev/zero', '/dev/null')
    await other.line()
    look()
    for (const one of [program, other]) {
      await one.ended()
      await watch.first('process_exit', { pid: one.pid })
    }
    expect(watch.seen('gpu_device_open', { pid: other.pid })).toEqual([])
    expect(watch.seen('gpu_device_open', { pid: program.pid })).toEqual([])
  })

  it('what was open at the start is told as such', async () => {
    const program = cgroup.start('perl', '-e', hold, device.path)
    await program.line()
    const later = watchDevice(cgroup)
    try {
      while (later.object.readIterator('gpu_devices_at_start', new ArrayBuffer(65_536)) !== 0);
      const event = await later.first('gpu_device_open', { pid: program.pid })
      expect(event).toMatchObject({ path: device.path, family: 'nvidiactl', at_start: true })
    } finally {
      later.close()
      await program.ended()
    }
  })

  it('a process in a container and without rights is told as such', async () => {
    const enter = `exec setpriv --reuid=65534 --clear-groups --bounding-set=-all perl -e '${hold}'`
    const program = cgroup.start('unshare', '--pid', '--fork', '--mount-proc', '/bin/sh', '-c',
      `${enter} ${device.path}`)
    await program.line()
    look()
    const event = await watch.first('gpu_device_open', { comm: 'perl', uid: 65_534 })
    expect(event).toMatchObject({ in_container: true })
    expect(event['cap_sys_admin']).toBeFalsy()
    await program.ended()
  })
})
