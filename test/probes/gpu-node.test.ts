// The life of a GPU driver as the kernel and the agent tell it, with the stand-in: loaded, its
// firmware, a setting, errors, unloaded.

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync,
  writeFileSync } from 'node:fs'
import { release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openClock } from '../../agent/clock.ts'
import { LoadedFiles } from '../../agent/enrich/loaded-files.ts'
import { Xids } from '../../agent/gpu/xids.ts'
import { probeTable } from '../../agent/probes/table.ts'
import { gspImage } from '../../gpu/sample/gsp-image.ts'
import type { GpuXid, Process } from '../../proto/gen/events.ts'
import { whyNoStandIn } from '../gpu/stand-in.ts'
import { STAND_IN_VERSIONS, standInPath } from '../vm/stand-in.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import type { Program } from './scope-cgroup.ts'
import { Watch, whyBlind, whyNot } from './watch.ts'

const version = STAND_IN_VERSIONS[1]
const reason = whyNot() || whyBlind('kernel_module') || whyNoStandIn(version)
if (reason) process.stderr.write(`!! SKIPPED: the life of a GPU driver: ${reason}\n`)

const path = join(import.meta.dirname, '../..', standInPath(release(), version))
const module = existsSync(path) ? realpathSync(path) : ''
const firmwarePath = '/sys/module/firmware_class/parameters/path'
const outOfTreeAndUnsigned = 1 << 12 | 1 << 13

describe.skipIf(reason)(`the life of a GPU driver ${reason}`, () => {
  let cgroup: ScopeCgroup
  let watch: Watch
  let folder: string
  let image: Buffer
  let files: LoadedFiles
  const clock = openClock()
  const texts: Readonly<Record<string, string>>[] = []
  const xids: { values: Partial<GpuXid>, process: Partial<Process> }[] = []
  let log: Xids
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'vedette-driver-'))
    image = Buffer.concat([gspImage(version), Buffer.alloc(3_000_000, 9)])
    mkdirSync(join(folder, 'nvidia', version), { recursive: true })
    writeFileSync(join(folder, 'nvidia', version, 'gsp_ga10x.bin'), image)
    writeFileSync(firmwarePath, folder)
    cgroup = new ScopeCgroup()
    watch = new Watch(cgroup, probeTable)
    files = new LoadedFiles({ clock, root: '/', pass: (_record, _kind, found) => texts.push(found) })
    watch.tap = (record, at, kind) => void files.take(record, at, kind)
    log = new Xids({
      clock, root: '/', processOf: (pid) => ({ pid }), seen: () => {}, noteLoss: () => {},
      add: (_, values, _time, process) => xids.push({ values, process }),
      complain: (error) => { throw error },
    })
    log.start()
  })
  afterAll(async () => {
    log.stop()
    watch.close()
    await files.stop()
    await cgroup.remove()
    writeFileSync(firmwarePath, '\0')
    rmSync(folder, { recursive: true })
  })

  async function done(program: Program): Promise<void> {
    expect((await program.ended()).code).toBe(0)
    await watch.first('process_exit', { pid: program.pid })
  }

  it('begins with its module, that nobody signed, and who loaded it', async () => {
    const insmod = cgroup.start('insmod', module)
    await done(insmod)
    expect(watch.seen('kernel_module', { pid: insmod.pid })).toMatchObject([{
      action: 'load', module: 'nvidia', version, path: module, comm: 'insmod', error: 0,
      srcversion: readFileSync('/sys/module/nvidia/srcversion', 'utf8').trim(),
      taints: outOfTreeAndUnsigned, signature_trusted: 'no', inode: statSync(module).ino.toString(),
    }])
    expect(watch.seen('firmware_load', { pid: insmod.pid })).toMatchObject([{
      firmware: `nvidia/${version}/gsp_ga10x.bin`, path: join(folder, 'nvidia', version, 'gsp_ga10x.bin'),
      file_bytes: image.length, error: 0, device_name: 'nvidia-stand-in',
    }])
  })

  it('has the digest of both files, and the version that the firmware says', async () => {
    const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
    await expect.poll(() => texts, { timeout: 20_000 }).toEqual([
      { sha256: sha256(readFileSync(module)) },
      { sha256: sha256(image), firmware_version: version },
    ])
    expect(files.misses).toBe(0)
  })

  it('is told of what is written into its own files', async () => {
    const writer = cgroup.start('sh', '-c', 'printf RmX=1 > /proc/driver/nvidia/registry')
    await done(writer)
    expect(watch.seen('driver_setting', { pid: writer.pid })).toMatchObject([
      { setting: '/driver/nvidia/registry', value: 'RmX=1', value_bytes: 5, comm: 'sh' },
    ])
  })

  it('tells of errors, and nobody else does', async () => {
    log.look()
    writeFileSync('/dev/kmsg', '<3>NVRM: Xid (PCI:0000:1b:00): 110, forged\n')
    writeFileSync('/sys/kernel/debug/nvidia-stand-in/xid', `48, pid=${process.pid}, name=python, DBE`)
    await expect.poll(() => xids, { timeout: 20_000 }).toMatchObject([{
      values: { pci_address: '0000:1b:00.0', xid: 48, xid_name: 'GPU_ECC_DBE', critical: true },
      process: { pid: process.pid },
    }])
    writeFileSync('/sys/kernel/debug/nvidia-stand-in/xid', '13, Graphics Exception')
    await expect.poll(() => xids.map(({ values }) => values.xid), { timeout: 20_000 }).toEqual([48, 13])
    expect(log.counts).toEqual({ told: 2, refused: 0, messages_lost: 0 })
  })

  it('ends with who unloads it', async () => {
    const rmmod = cgroup.start('rmmod', 'nvidia')
    await done(rmmod)
    expect(watch.seen('kernel_module', { pid: rmmod.pid })).toMatchObject([
      { action: 'unload', module: 'nvidia', version, comm: 'rmmod' },
    ])
  })
})
