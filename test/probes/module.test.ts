// Kernel modules and firmware: the real kernel loads, refuses and unloads them.

import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync,
  truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readKernelFacts, readModule } from '../../agent/probes/kernel-facts.ts'
import { probeTable } from '../../agent/probes/table.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import type { Program } from './scope-cgroup.ts'
import { Watch, whyBlind, whyNot } from './watch.ts'

const release = readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim()
const folderOfModules = `/lib/modules/${release}/kernel`
/** Where a module of the kernel lies, compressed or not; '' when there is none. */
function fileOf(folder: string, name: string): string {
  const found = existsSync(join(folderOfModules, folder))
    ? readdirSync(join(folderOfModules, folder)).find((file) => file.startsWith(`${name}.ko`)) : undefined
  return found === undefined ? '' : join(folderOfModules, folder, found)
}

function whyNoModules(): string {
  if (!readKernelFacts().modules) return 'this kernel is built without modules'
  if (fileOf('drivers/char/tpm', 'tpm_vtpm_proxy') === '' || fileOf('lib', 'test_firmware') === '') {
    return 'tpm_vtpm_proxy and test_firmware of this kernel are not there'
  }
  return readModule('tpm_vtpm_proxy') === 'absent' ? '' : 'tpm_vtpm_proxy is in use'
}

const reason = whyNot() || whyNoModules() || whyBlind('kernel_module')
if (reason) process.stderr.write(`!! SKIPPED: kernel modules and firmware: ${reason}\n`)

/** What it is built of, so that every way of a probe can be tried alone. */
const ours = ['kernel_file', 'kernel_module_refused', 'kernel_module', 'firmware_load']
const names = [...ours, 'process_exec', 'process_exit']
const own = probeTable.filter(({ name }) => names.includes(name))
const ways = ['best', 'kretprobe', 'fexit'] as const
const refused = { best: [], kretprobe: ['fexit', 'fentry'], fexit: ['kretprobe', 'kprobe'] }

describe.skipIf(reason).each(ways)(`kernel modules (%s) ${reason}`, (which) => {
  let cgroup: ScopeCgroup
  let folder: string
  let watch: Watch
  /** A small module that says its version, and needs no other. */
  let proxy: string
  let firmwarePath: string
  beforeAll(() => {
    cgroup = new ScopeCgroup()
    folder = mkdtempSync(join(tmpdir(), 'vedette-module-'))
    // stat() of an overlay names another device than the kernel does.
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', folder])
    proxy = plain('drivers/char/tpm', 'tpm_vtpm_proxy')
    firmwarePath = readFileSync('/sys/module/firmware_class/parameters/path', 'utf8')
    mkdirSync(join(folder, 'firmware/nvidia/570.211.01'), { recursive: true })
    watch = new Watch(cgroup, own.map((probe) => ({
      ...probe, ways: probe.ways.filter((way) => !(refused[which] as string[]).includes(way.attach_type)),
    })))
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
    writeFileSync('/sys/module/firmware_class/parameters/path', firmwarePath.trimEnd() || '\0')
    spawnSync('rmmod', ['tpm_vtpm_proxy'])
    spawnSync('rmmod', ['test_firmware'])
    execFileSync('umount', [folder])
    rmSync(folder, { recursive: true })
  })

  /** A copy that is not compressed: what is compressed kmod unpacks into memory. */
  function plain(place: string, name: string): string {
    const from = fileOf(place, name)
    const to = join(folder, `${name}.ko`)
    if (from.endsWith('.xz')) writeFileSync(to, execFileSync('xz', ['-dc', from], { maxBuffer: 2 ** 26 }))
    else copyFileSync(from, to)
    return to
  }

  async function done(program: Program): Promise<number | null> {
    const { code } = await program.ended()
    await watch.first('process_exit', { pid: program.pid })
    return code
  }

  it('is attached in the way that is tested', () => {
    for (const name of ours) {
      const state = watch.states.find(({ probe }) => probe === name)
      if (which === 'fexit' && name === 'firmware_load') {
        expect(state).toMatchObject({ state: 'degraded', lost: expect.stringContaining('background') })
      } else {
        expect(state).toMatchObject({ state: 'attached', lost: '' })
      }
    }
  })

  it('a load names the process, the file, and what the module says of itself', async () => {
    const insmod = cgroup.start('insmod', proxy)
    expect(await done(insmod)).toBe(0)
    const { ino, size, dev } = statSync(proxy, { bigint: true })
    const event = await watch.first('kernel_module', { pid: insmod.pid })
    expect(event).toMatchObject({
      action: 'load', module: 'tpm_vtpm_proxy', path: proxy, inode: ino.toString(), file_bytes: Number(size),
      comm: 'insmod', error: 0, path_cut: false, cgroup_id: cgroup.id.toString(),
      taints: 0, signature_trusted: 'yes', in_container: false,
      srcversion: readOf('/sys/module/tpm_vtpm_proxy/srcversion'),
      version: readOf('/sys/module/tpm_vtpm_proxy/version'),
    })
    // As the kernel counts devices: major << 20 | minor.
    expect(event['device']).toBe(Number((dev >> 8n & 0xfffn) << 20n | dev & 0xffn))
  })

  it('one that is there already is no event, and the unload names who did it', async () => {
    const again = cgroup.start('insmod', proxy)
    expect(await done(again)).not.toBe(0)
    const rmmod = cgroup.start('rmmod', 'tpm_vtpm_proxy')
    expect(await done(rmmod)).toBe(0)
    const unload = await watch.first('kernel_module', { pid: rmmod.pid })
    expect(unload).toMatchObject({ action: 'unload', module: 'tpm_vtpm_proxy', comm: 'rmmod' })
    expect(unload).not.toHaveProperty('path')
    expect(watch.seen('kernel_module', { pid: again.pid })).toEqual([])
  })

  it('a file that is no module is refused, by name and with the error', async () => {
    const broken = join(folder, 'broken.ko')
    copyFileSync(proxy, broken)
    truncateSync(broken, 4096)
    const insmod = cgroup.start('insmod', broken)
    expect(await done(insmod)).not.toBe(0)
    const [refused, ...more] = watch.seen('kernel_module', { pid: insmod.pid })
    expect(refused).toMatchObject({ action: 'refused', path: broken, error: 8 })
    expect(refused).not.toHaveProperty('signature_trusted')
    expect(more).toEqual([])
  })

  it('a module whose own code says no was loaded and refused, and not unloaded', async () => {
    // loop refuses a number of partitions that it cannot have.
    const loop = plain('drivers/block', 'loop')
    // Tests of file systems may have loaded it.
    spawnSync('modprobe', ['-r', 'loop'])
    const insmod = cgroup.start('insmod', loop, 'max_part=1000')
    expect(await done(insmod)).not.toBe(0)
    expect(watch.seen('kernel_module', { pid: insmod.pid })).toMatchObject([
      { action: 'load', module: 'loop', path: loop, error: 0 },
      { action: 'refused', module: 'loop', path: loop, error: 22 },
    ])
  })

  it('firmware names what was asked for, the file that was read, and who waited', async () => {
    const file = join(folder, 'firmware/nvidia/570.211.01/gsp_ga10x.bin')
    writeFileSync(file, Buffer.alloc(5000, 7))
    const modprobe = cgroup.start('insmod', plain('lib', 'test_firmware'))
    expect(await done(modprobe)).toBe(0)
    writeFileSync('/sys/module/firmware_class/parameters/path', join(folder, 'firmware'))
    const trigger = '/sys/devices/virtual/misc/test_firmware/trigger_request'
    const asks = cgroup.start('sh', '-c', `printf nvidia/570.211.01/gsp_ga10x.bin > ${trigger}`)
    expect(await done(asks)).toBe(0)
    expect(watch.seen('firmware_load', { pid: asks.pid })).toMatchObject([{
      firmware: 'nvidia/570.211.01/gsp_ga10x.bin', path: file, inode: statSync(file).ino.toString(),
      file_bytes: 5000, error: 0, device_name: 'test_firmware', comm: 'sh', path_cut: false,
    }])
    const missing = cgroup.start('sh', '-c', `printf nvidia/570.211.01/none.bin > ${trigger}`)
    await done(missing)
    const [none, ...more] = watch.seen('firmware_load', { pid: missing.pid })
    expect(none).toMatchObject({ firmware: 'nvidia/570.211.01/none.bin', error: 2 })
    expect(none).not.toHaveProperty('path')
    expect(more).toEqual([])
  })

  it('a container is told by its root, and a service with mounts of its own is none', async () => {
    const service = cgroup.start('unshare', '--mount', 'insmod', proxy)
    expect(await done(service)).toBe(0)
    expect(await watch.first('kernel_module', { pid: service.pid })).toMatchObject({ in_container: false })
    const inside = cgroup.start('unshare', '--pid', '--fork', 'rmmod', 'tpm_vtpm_proxy')
    expect(await done(inside)).toBe(0)
    const unloads = watch.seen('kernel_module', { action: 'unload', module: 'tpm_vtpm_proxy' })
    expect(unloads.at(-1)).toMatchObject({ in_container: true, comm: 'rmmod' })
  })
})

function readOf(path: string): string {
  return readFileSync(path, 'utf8').trim()
}

// What every kernel shows: one that can load no modules has nothing to watch, and says so.
const blind = whyNot() || (readKernelFacts().modules ? 'this kernel has modules' : '')
describe.skipIf(blind)(`a kernel without modules ${blind}`, () => {
  it('has a probe that waits for nothing, and lost nothing', () => {
    const cgroup = new ScopeCgroup()
    const watch = new Watch(cgroup, own)
    expect(watch.states.find(({ probe }) => probe === 'kernel_module')).toMatchObject({
      state: 'waiting', lost: '', reason: expect.stringContaining('without modules'),
    })
    watch.close()
    return cgroup.remove()
  })
})
