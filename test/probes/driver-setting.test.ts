// Settings of drivers: real files of sysfs and procfs are written, of ours and of others.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { probeTable } from '../../agent/probes/table.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import type { Program } from './scope-cgroup.ts'
import { Watch, whyBlind, whyNot } from './watch.ts'

const firmwarePath = '/sys/module/firmware_class/parameters/path'
const vfio = '/sys/module/vfio_pci/parameters'
const devices = '/sys/bus/pci/devices'

function whyNoPlace(): string {
  if (!existsSync(firmwarePath)) return 'this kernel loads no firmware'
  if (!existsSync(devices)) return 'this machine has no PCI bus'
  return ''
}

const reason = whyNot() || whyBlind('driver_setting') || whyNoPlace()
if (reason) process.stderr.write(`!! SKIPPED: settings of drivers: ${reason}\n`)

const own = probeTable.filter(({ name }) => ['driver_setting', 'process_exec', 'process_exit'].includes(name))

describe.skipIf(reason).each(['best', 'kprobe'])(`settings of drivers (%s) ${reason}`, (which) => {
  let cgroup: ScopeCgroup
  let watch: Watch
  let before: string
  beforeAll(() => {
    before = readFileSync(firmwarePath, 'utf8').trimEnd()
    spawnSync('modprobe', ['vfio-pci'])
    cgroup = new ScopeCgroup()
    watch = new Watch(cgroup, own.map((probe) => ({
      ...probe, ways: which === 'best' ? probe.ways : probe.ways.filter((way) => way.attach_type !== 'fentry'),
    })))
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
    writeFileSync(firmwarePath, before === '' ? '\0' : before)
  })

  async function write(text: string, path: string): Promise<Program> {
    const program = cgroup.start('sh', '-c', `printf '%s' '${text}' > ${path}`)
    await program.ended()
    await watch.first('process_exit', { pid: program.pid })
    return program
  }

  it('the path that firmware is looked for in is one, wherever sysfs is mounted', async () => {
    const { pid } = await write('/image/lib/firmware', firmwarePath)
    expect(watch.seen('driver_setting', { pid })).toMatchObject([{
      setting: '/module/firmware_class/parameters/path', value: '/image/lib/firmware', value_bytes: 19,
      comm: 'sh', in_container: false, path_cut: false, cgroup_id: cgroup.id.toString(),
    }])
    const script = `mount -t tmpfs x /mnt && mkdir /mnt/s && mount -t sysfs s /mnt/s &&
      printf /other > /mnt/s/module/firmware_class/parameters/path`
    const elsewhere = cgroup.start('unshare', '--mount', 'sh', '-c', script)
    expect((await elsewhere.ended()).code).toBe(0)
    await watch.first('driver_setting', { value: '/other' })
    expect(watch.seen('driver_setting', { value: '/other' })).toMatchObject([
      { setting: '/module/firmware_class/parameters/path', pid: elsewhere.pid },
    ])
  })

  it('a long value is cut, and its length is told', async () => {
    const { pid } = await write(`/${'x'.repeat(200)}`, firmwarePath)
    expect(watch.seen('driver_setting', { pid })).toMatchObject([
      { value: `/${'x'.repeat(126)}`, value_bytes: 201 },
    ])
  })

  it.skipIf(spawnSync('modprobe', ['-n', 'vfio-pci']).status !== 0)(
    'what takes a GPU from its driver is told', async () => {
      const parameter = join(vfio, 'disable_idle_d3')
      const mode = await write(readFileSync(parameter, 'utf8').trim(), parameter)
      expect(watch.seen('driver_setting', { pid: mode.pid })).toMatchObject([
        { setting: '/module/vfio_pci/parameters/disable_idle_d3' },
      ])
      const driver = await write('10de 2330', '/sys/bus/pci/drivers/vfio-pci/new_id')
      expect(watch.seen('driver_setting', { pid: driver.pid })).toMatchObject([
        { setting: '/bus/pci/drivers/vfio-pci/new_id', value: '10de 2330' },
      ])
    })

  it('other modules, other devices and other files are quiet', async () => {
    const [device] = readdirSync(devices)
      .filter((name) => !readFileSync(join(devices, name, 'vendor'), 'utf8').startsWith('0x10de'))
    expect(device).toBeDefined()
    const parameter = '/sys/module/workqueue/parameters/power_efficient'
    const quiet = [
      [readFileSync(parameter, 'utf8').trim(), parameter],
      ['', join(devices, device, 'driver_override')],
      [readFileSync(join(devices, device, 'power/control'), 'utf8').trim(), join(devices, device, 'power/control')],
      ['add', join(devices, device, 'uevent')],
      ['0', '/proc/sys/kernel/printk_delay'],
    ]
    for (const [text, path] of quiet) {
      const { pid } = await write(text === '' ? '\n' : text, path)
      expect(watch.seen('driver_setting', { pid }), path).toEqual([])
    }
  })
})

describe.skipIf(reason || !existsSync('/proc/driver/nvidia'))('the procfs of the driver', () => {
  it('is told of, whatever file is written', async () => {
    const cgroup = new ScopeCgroup()
    const watch = new Watch(cgroup, own)
    const program = cgroup.start('sh', '-c', 'printf RmX=1 > /proc/driver/nvidia/registry')
    await program.ended()
    await watch.first('process_exit', { pid: program.pid })
    expect(watch.seen('driver_setting', { pid: program.pid })).toMatchObject([
      { setting: '/driver/nvidia/registry', value: 'RmX=1' },
    ])
    watch.close()
    await cgroup.remove()
  })
})
