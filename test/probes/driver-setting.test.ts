// Settings of drivers: real files of sysfs and procfs are written, of ours and of others.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { release } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { probeTable } from '../../agent/probes/table.ts'
import type { Probe } from '../../agent/probes/table.ts'
import type { EventJson } from '../../proto/event-json.ts'
import { cardPath } from '../vm/stand-in.ts'
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

function waysOf(which: string): Probe[] {
  return own.map((probe) => ({
    ...probe, ways: which === 'best' ? probe.ways : probe.ways.filter((way) => way.attach_type !== 'fentry'),
  }))
}

describe.skipIf(reason).each(['best', 'kprobe'])(`settings of drivers (%s) ${reason}`, (which) => {
  let cgroup: ScopeCgroup
  let watch: Watch
  let before: string
  beforeAll(() => {
    before = readFileSync(firmwarePath, 'utf8').trimEnd()
    spawnSync('modprobe', ['vfio-pci'])
    cgroup = new ScopeCgroup()
    watch = new Watch(cgroup, waysOf(which))
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

const card = join(import.meta.dirname, '../..', cardPath(release()))
const cardless = reason || (existsSync(card) ? '' : 'the stand-in of a card is built for guests of the kernel rig only')
if (cardless) process.stderr.write(`!! SKIPPED: settings of a card: ${cardless}\n`)

describe.skipIf(cardless).each(['best', 'kprobe'])(`settings of a GPU's card (%s) ${cardless}`, (which) => {
  const device = '/sys/bus/pci/devices/10de:00:00.0'
  let cgroup: ScopeCgroup
  let watch: Watch
  beforeAll(() => {
    cgroup = new ScopeCgroup()
    watch = new Watch(cgroup, waysOf(which))
  })
  afterEach(() => void spawnSync('rmmod', ['gpu_card']))
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
  })

  /** What was told while this ran. */
  async function told(script: string): Promise<EventJson[]> {
    const before = watch.seen('driver_setting').length
    const program = cgroup.start('sh', '-c', script)
    await program.ended()
    await watch.first('process_exit', { pid: program.pid })
    return watch.seen('driver_setting').slice(before)
  }

  it('name the device by its place in sysfs and what was written to it', async () => {
    expect(spawnSync('insmod', [card]).status).toBe(0)
    expect(await told(`echo vfio-pci > ${device}/driver_override`)).toMatchObject([
      { setting: '/devices/pci10de:00/10de:00:00.0/driver_override', value: 'vfio-pci\n' },
    ])
    expect(await told(`printf '\\006\\001' | dd of=${device}/config bs=2 seek=2 conv=notrunc status=none`))
      .toMatchObject([{ setting: '/devices/pci10de:00/10de:00:00.0/config', value_bytes: 2 }])
    expect(await told('printf x | dd of=/proc/bus/pci/10de:00/00.0 bs=1 seek=60 conv=notrunc status=none'))
      .toMatchObject([{ setting: '/bus/pci/10de:00/00.0', value: 'x', value_bytes: 1 }])
    expect(await told(`echo 1 > ${device}/remove`)).toMatchObject([
      { setting: '/devices/pci10de:00/10de:00:00.0/remove', value: '1\n' },
    ])
    expect(existsSync(device)).toBe(false)
  })

  it('are quiet where udev writes, below the device, and for a card of another vendor', async () => {
    expect(spawnSync('insmod', [card]).status).toBe(0)
    expect(await told(`echo change > ${device}/uevent`)).toEqual([])
    expect(await told(`echo on > ${device}/power/control`)).toEqual([])
    expect(spawnSync('rmmod', ['gpu_card']).status).toBe(0)
    expect(spawnSync('insmod', [card, 'vendor=0x8086']).status).toBe(0)
    expect(await told(`echo vfio-pci > ${device}/driver_override`)).toEqual([])
    expect(await told('printf x | dd of=/proc/bus/pci/10de:00/00.0 bs=1 seek=60 conv=notrunc status=none'))
      .toEqual([])
  })
})
