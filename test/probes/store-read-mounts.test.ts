import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serveNfs, whyNoNfs } from './nfs-server.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import { Ground, labelOf, storeAmounts, writeFile } from './store-ground.ts'
import {
  readBytes, readThrough, reportsOf, setLabels, watchReads, waysOfReads,
} from './store-watch.ts'
import { whyNot } from './watch.ts'
import type { Watch } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: reads of stores on file systems: ${reason}\n`)
const nfs = reason || whyNoNfs()
if (nfs && !reason) process.stderr.write(`!! SKIPPED: reads of stores on NFS: ${nfs}\n`)
const mib = 2 ** 20
const size = storeAmounts.mebibytes * mib + 4097
/** Of the file beside the store. */
const sizeBeside = mib + 4097
const id = 5

/** Doors, and what their bytes count as. */
const doors: [door: string, mechanism: string][] = [
  ['read', 'read'], ['mmap', 'mmap'], ['sendfile', 'splice'], ['ring', 'read'], ['aio', 'read'],
]

const ways = reason ? [] : waysOfReads()

describe.each(ways)('reads of stores on file systems of several types, seen by %s programs', (way) => {
  let cgroup: ScopeCgroup
  let watch: Watch
  let ground: Ground

  beforeAll(() => {
    cgroup = new ScopeCgroup()
    ground = new Ground()
    const opened = watchReads(cgroup, way)
    if (typeof opened === 'string') throw new Error(opened)
    watch = opened
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
    ground.remove()
  })

  async function told(
    door: string, path: string, expected = size,
  ): Promise<Record<string, number>> {
    const { bytes, program } = await readThrough(cgroup, door, path)
    expect(bytes).toBe(expected)
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
      expect(await told(door, join(folder, 'other/file'), sizeBeside), door).toEqual({})
    }
  }

  function fill(folder: string): void {
    for (const [name, bytes] of [['set', size], ['other', sizeBeside]] as const) {
      mkdirSync(join(folder, name))
      writeFile(join(folder, name, 'file'), bytes)
    }
  }

  it('in memory', async () => {
    const folder = ground.mount('memory', '-t', 'tmpfs', 'tmpfs')
    fill(folder)
    setLabels(watch, [labelOf(join(folder, 'set'), id)])
    await expectDoors(folder)
    ground.unmount(folder)
  }, 120_000)

  it('on ext4 on a loop device, past the page cache too', async () => {
    const folder = ground.mountImage('image', size / mib + 32 | 0)
    fill(folder)
    setLabels(watch, [labelOf(join(folder, 'set'), id)])
    await expectDoors(folder, [['direct', 'direct'], ['aio-direct', 'direct']])
    ground.unmount(folder)
  }, 120_000)

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
    if (way === 'tp_btf') {
      ground.unmount(folder)
      return
    }
    // Where nobody could say what the layers are, the overlay's own names are known.
    setLabels(watch, [labelOf(join(folder, 'set'), id)])
    await expectDoors(folder)
    ground.unmount(folder)
    ground.unmount(layers)
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
      ground.unmount(source)
    }
  }, 120_000)
})
