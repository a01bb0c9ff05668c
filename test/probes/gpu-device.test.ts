import { closeSync, globSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { device, tableOf, watchDevice } from './gpu-watch.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import { Watch, whyNot } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: GPU devices: ${reason}\n`)

/** Files of the BARs of PCI devices, as far as this machine shows any. */
const bars = reason ? [] : globSync('/sys/devices/pci*/**/resource0')
const noBar = bars.length > 0 ? '' : 'no PCI device here has a BAR in sysfs'
if (noBar && !reason) process.stderr.write(`!! SKIPPED: BARs of GPUs: ${noBar}\n`)

function seesOpens({ states }: Watch): boolean {
  return states.some(({ program }) => program.includes('gpu_open'))
}

function runIterator({ object }: Watch, program: string): void {
  while (object.readIterator(program, new ArrayBuffer(65_536)) !== 0);
}

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
  function look(one = watch): void {
    if (!seesOpens(one)) runIterator(one, 'gpu_devices_held')
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
    if (seesOpens(watch)) {
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
      runIterator(later, 'gpu_devices_at_start')
      const event = await later.first('gpu_device_open', { pid: program.pid })
      expect(event).toMatchObject({ path: device.path, family: 'nvidiactl', at_start: true })
    } finally {
      later.close()
      await program.ended()
    }
  })

  it('what the agent itself opens is not told', async () => {
    const procs = join(dirname(cgroup.path), 'cgroup.procs')
    runIterator(watch, 'gpu_devices_at_start')
    writeFileSync(join(cgroup.path, 'cgroup.procs'), String(process.pid))
    const file = openSync(device.path, 'r+')
    look()
    closeSync(file)
    writeFileSync(procs, String(process.pid))
    const program = cgroup.start('perl', '-e', hold, device.path)
    await program.line()
    look()
    await watch.first('gpu_device_open', { pid: program.pid })
    await program.ended()
    expect(watch.seen('gpu_device_open', { pid: process.pid })).toEqual([])
    expect(watch.seen('gpu_call', { pid: process.pid })).toEqual([])
  })

  it.skipIf(noBar)(`a BAR of a GPU is told, those of others are quiet ${noBar}`, async () => {
    const bar = bars[0]
    const vendor = Number(readFileSync(join(dirname(bar), 'vendor'), 'utf8'))
    expect(vendor).not.toBe(0x10de)
    const other = new Watch(cgroup, tableOf(''), { gpu_pci_vendor: vendor })
    const program = cgroup.start('perl', '-e', hold, bar, join(dirname(bar), 'vendor'))
    try {
      await program.line()
      for (const one of [watch, other]) look(one)
      const event = await other.first('gpu_device_open', { pid: program.pid })
      expect(event).toMatchObject({
        path: bar, family: 'pci_resource', inode: statSync(bar, { bigint: true }).ino.toString(),
      })
      await program.ended()
      await watch.first('process_exit', { pid: program.pid })
      expect(watch.seen('gpu_device_open', { pid: program.pid })).toEqual([])
      await other.first('process_exit', { pid: program.pid })
      expect(other.seen('gpu_device_open', { pid: program.pid })).toHaveLength(1)
    } finally {
      other.close()
    }
  })

  it.skipIf(process.arch !== 'x64')('who maps one is counted, where that can be seen', async () => {
    const program = cgroup.start('perl', '-e', `open(my $f, "+<", "${device.path}") or die;
      syscall(9, 0, 4096, 1, 2, fileno($f), 0) for 1 .. 3; $| = 1; print "done\\n"; <STDIN>;`)
    await program.line()
    look()
    await watch.first('gpu_device_open', { pid: program.pid })
    await program.ended()
    await watch.first('process_exit', { pid: program.pid })
    const counted = (): number => watch.seen('gpu_call', { pid: program.pid, call_kind: 'mmap' })
      .reduce((sum, { count }) => sum + Number(count), 0)
    await expect.poll(counted, { timeout: 20_000 }).toBe(seesOpens(watch) ? 3 : 0)
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
