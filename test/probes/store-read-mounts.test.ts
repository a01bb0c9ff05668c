import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serveNfs, whyNoNfs } from './nfs-server.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import { Ground, labelOf, labelOfAll, writeFile } from './store-ground.ts'
import {
  readBytes, readThrough, readWays, reportsOf, setLabels, watchReads,
} from './store-watch.ts'
import { whyNot } from './watch.ts'
import type { Watch } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: reads of stores on file systems: ${reason}\n`)
const nfs = reason || whyNoNfs()
if (nfs && !reason) process.stderr.write(`!! SKIPPED: reads of stores on NFS: ${nfs}\n`)
const emulated = existsSync('/dev/ttyS1') && !existsSync('/run/systemd/system')
const mib = 2 ** 20
const size = (emulated ? 4 : 64) * mib + 4097
const id = 5

/** Doors, and what their bytes count as. */
const doors: [door: string, mechanism: string][] = [
  ['read', 'read'], ['mmap', 'mmap'], ['sendfile', 'splice'], ['ring', 'read'], ['aio', 'read'],
]

describe.skipIf(reason)(`reads of stores on file systems of several types ${reason}`, () => {
  let cgroup: ScopeCgroup
  let watch: Watch
  let ground: Ground
  let way = ''

  beforeAll(() => {
    cgroup = new ScopeCgroup()
    ground = new Ground()
    for (way of readWays) {
      const opened = watchReads(cgroup, way)
      if (typeof opened === 'string') continue
      watch = opened
      return
    }
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
    ground.remove()
  })

  async function told(door: string, path: string): Promise<Record<string, number>> {
    const { bytes, program } = await readThrough(cgroup, door, path)
    expect(bytes).toBe(size)
    await program.ended()
    return readBytes(await reportsOf(watch, program.pid))
  }

  /** Every door to a file in the folder counts as it should, and of one beside it nothing. */
  async function expectDoors(folder: string, more: [door: string, mechanism: string][] = []) {
    for (const [door, mechanism] of [...doors, ...more]) {
      const sums = await told(door, join(folder, 'set/file'))
      const expected = { ...sums, [mechanism]: size }
      for (const name of Object.keys(expected)) {
        const wrong = Math.abs((sums[name] ?? 0) - (name === mechanism ? size : 0))
        expect(wrong, `${door}: ${JSON.stringify(sums)}`).toBeLessThan(size / 100)
      }
      expect(await told(door, join(folder, 'other/file')), door).toEqual({})
    }
  }

  function fill(folder: string): void {
    for (const name of ['set', 'other']) {
      mkdirSync(join(folder, name))
      writeFile(join(folder, name, 'file'), size)
    }
  }

  it('in memory', async () => {
    const folder = ground.mount('memory', '-t', 'tmpfs', 'tmpfs')
    fill(folder)
    setLabels(watch, [labelOf(join(folder, 'set'), id)])
    await expectDoors(folder)
  }, 120_000)

  it('on ext4 on a loop device, past the page cache too', async () => {
    const folder = ground.mountImage('image', 2 * size / mib + 32 | 0)
    fill(folder)
    setLabels(watch, [labelOf(join(folder, 'set'), id)])
    await expectDoors(folder, [['direct', 'direct'], ['aio-direct', 'direct']])
  }, 120_000)

  it('as a whole, also by the node of its disk', async () => {
    const folder = ground.mountImage('whole', 2 * size / mib + 32 | 0)
    const disk = execFileSync('findmnt', ['-no', 'SOURCE', folder], { encoding: 'utf8' }).trim()
    setLabels(watch, [labelOfAll(folder, id)])
    const program = cgroup.start('/bin/dd', `if=${disk}`, 'of=/dev/null', 'bs=64k', 'count=64',
      'status=none')
    await program.ended()
    expect(readBytes(await reportsOf(watch, program.pid))).toMatchObject({ read: 4 * mib })
  })

  it('in the lower layer of an overlay', async () => {
    const layers = ground.mount('layers', '-t', 'tmpfs', 'tmpfs')
    const lower = join(layers, 'lower')
    for (const name of ['lower', 'upper', 'work']) mkdirSync(join(layers, name))
    fill(lower)
    const folder = ground.mount('overlay', '-t', 'overlay', '-o',
      `lowerdir=${lower},upperdir=${layers}/upper,workdir=${layers}/work`, 'overlay')
    // As an agent does: by system calls the overlay is seen, and by functions its layer.
    setLabels(watch, [labelOf(join(lower, 'set'), id), labelOf(join(folder, 'set'), id)])
    await expectDoors(folder)
    if (way === 'tp_btf') return
    // Where nobody could say what the layers are, the overlay's own names are known.
    setLabels(watch, [labelOf(join(folder, 'set'), id)])
    await expectDoors(folder)
  }, 120_000)

  it.skipIf(nfs)(`on NFS ${nfs}`, async () => {
    const source = ground.mount('exported', '-t', 'tmpfs', 'tmpfs')
    fill(source)
    const stop = serveNfs(source)
    try {
      const folder = ground.mount('nfs', '-t', 'nfs', '-o', 'vers=3,nolock,proto=tcp',
        `127.0.0.1:${source}`)
      setLabels(watch, [labelOf(join(folder, 'set'), id)])
      await expectDoors(folder)
      ground.unmount(folder)
    } finally {
      stop()
    }
  }, 120_000)
})
