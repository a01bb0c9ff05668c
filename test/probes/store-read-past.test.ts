// Reads that go past what all file systems share: each has functions of its own for them.

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { release } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { storagePath } from '../vm/stand-in.ts'
import { compiled } from './compiled.ts'
import { serveNfs, whyNoNfs } from './nfs-server.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import { Ground, labelOf, labelOfAll, writeFile } from './store-ground.ts'
import {
  readBytes, readThrough, reportsOf, setLabels, watchReads, waysOfReads,
} from './store-watch.ts'
import { whyNot } from './watch.ts'
import type { Watch } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: reads of stores past the page cache: ${reason}\n`)
const skipped = (what: string, why: string): string => {
  if (why && !reason) process.stderr.write(`!! SKIPPED: reads of stores ${what}: ${why}\n`)
  return why
}
const noNfs = skipped('on NFS past the page cache', reason || whyNoNfs())
const plan9 = /^out (\S+) 9p /m.exec(readFileSync('/proc/self/mounts', 'utf8'))?.[1] ?? ''
const noPlan9 = skipped('on 9P', plan9 ? '' : 'not in the kernel rig')
// As root a file system in user space needs no program to mount it.
const noFuse = skipped('on FUSE', spawnSync('modprobe', ['-q', 'fuse']).status !== 0 &&
  !existsSync('/dev/fuse') ? 'no FUSE in this kernel' : '')
const storage = join(import.meta.dirname, '../..', storagePath(release()))
const noStorage = skipped('into a GPU', existsSync(storage) ? '' : 'no stand-in of its driver')
const mib = 2 ** 20
const size = 3 * mib + 4097
const id = 6

const ways = reason ? [] : waysOfReads()

describe.each(ways)('reads past the page cache, seen by %s programs', (way) => {
  let cgroup: ScopeCgroup
  let watch: Watch
  let ground: Ground
  /** At system calls all reads are alike but for O_DIRECT. */
  const bySystemCalls = way === 'tp_btf'

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

  function look(probe: string): void {
    if (bySystemCalls) return
    watch.late.look()
    const state = [...watch.late.states, ...watch.states].find((one) => one.probe === probe)
    expect(state).toMatchObject({ state: 'attached', lost: '' })
  }

  async function told(door: string, path: string) {
    const { bytes, program } = await readThrough(cgroup, door, path)
    expect(bytes).toBe(size)
    await program.ended()
    // That it was opened is told as a read of nothing.
    return Object.fromEntries(Object.entries(readBytes(await reportsOf(watch, program.pid)))
      .filter(([, read]) => read > 0))
  }

  /** Each door counts as it should, once, and of a file beside the store nothing. */
  async function expectDoors(folder: string, doors: [door: string, mechanism: string][]) {
    for (const [door, mechanism] of doors) {
      const sums = await told(door, join(folder, 'set/file'))
      expect(sums, door).toEqual({ [mechanism]: expect.any(Number) })
      expect(Math.abs(sums[mechanism] / size - 1), door).toBeLessThan(0.01)
    }
    const { bytes, program } = await readThrough(cgroup, doors[0][0], join(folder, 'other/file'))
    expect(bytes).toBe(size)
    await program.ended()
    expect(await reportsOf(watch, program.pid)).toEqual([])
  }

  function fill(folder: string): void {
    for (const name of ['set', 'other']) {
      mkdirSync(join(folder, name))
      writeFile(join(folder, name, 'file'), size)
    }
  }

  const direct: [string, string][] = [['direct', 'direct'], ['aio-direct', 'direct']]

  it.skipIf(noNfs)(`on NFS ${noNfs}`, async () => {
    const source = ground.mount('exported', '-t', 'tmpfs', 'tmpfs')
    fill(source)
    const stop = serveNfs(source)
    try {
      const folder = ground.mount('nfs', '-t', 'nfs', '-o', 'vers=3,nolock,proto=tcp',
        `127.0.0.1:${source}`)
      look('store_read_nfs')
      setLabels(watch, [labelOf(join(folder, 'set'), id)])
      await expectDoors(folder, direct)
      ground.unmount(folder)
    } finally {
      stop()
    }
  }, 120_000)

  it.skipIf(noFuse)(`on FUSE, with O_DIRECT and with direct_io ${noFuse}`, async () => {
    for (const words of [[], ['direct']]) {
      const folder = ground.make(`fuse-${words.join()}`)
      const server = cgroup.startOutside(compiled('fuse.c'), folder, String(size), ...words)
      expect(await server.line()).toBe('serving')
      try {
        look('store_read_fuse')
        setLabels(watch, [labelOf(join(folder, 'set'), id)])
        const seen = bySystemCalls ? 'read' : 'direct'
        await expectDoors(folder, words.length === 0 ? direct
          : [['read', seen], ['direct', 'direct']])
      } finally {
        execFileSync('umount', ['-l', folder])
        // It goes on for as long as somebody has a file open.
        process.kill(server.pid)
        await server.ended()
      }
    }
  }, 120_000)

  it.skipIf(noPlan9)(`on 9P without a cache ${noPlan9}`, async () => {
    const folder = join(plan9, `store-${way}`)
    mkdirSync(folder)
    try {
      fill(folder)
      look('store_read_9p')
      setLabels(watch, [labelOf(join(folder, 'set'), id)])
      const seen = bySystemCalls ? 'read' : 'direct'
      await expectDoors(folder, [['read', seen], ['direct', 'direct']])
    } finally {
      rmSync(folder, { recursive: true })
    }
  }, 120_000)

  it('of the node of a disk', async () => {
    const folder = ground.mountImage('whole', 16)
    const disk = execFileSync('findmnt', ['-no', 'SOURCE', folder], { encoding: 'utf8' }).trim()
    look('store_read_disk')
    setLabels(watch, [labelOfAll(folder, id)])
    for (const words of [['iflag=direct'], []]) {
      const program = cgroup.start('/bin/dd', `if=${disk}`, 'of=/dev/null', 'bs=64k', 'count=64',
        'status=none', ...words)
      await program.ended()
      const expected = words.length > 0 ? { direct: 4 * mib } : { read: 4 * mib }
      expect(readBytes(await reportsOf(watch, program.pid))).toMatchObject(expected)
    }
  }, 120_000)

  const noGpu = bySystemCalls ? 'nothing tells them from others at system calls' : noStorage
  it.skipIf(noGpu)(`into the memory of a GPU ${noGpu}`, async () => {
    const folder = ground.mountImage('gpu', 16)
    fill(folder)
    expect(spawnSync('insmod', [storage]).status).toBe(0)
    try {
      look('store_read_gpu')
      setLabels(watch, [labelOf(join(folder, 'set'), id)])
      await expectDoors(folder, [['gpu-direct', 'gpu_direct'], ['direct', 'direct']])
    } finally {
      // Kprobes let it go.
      expect(spawnSync('rmmod', ['nvidia_fs']).status).toBe(0)
    }
    expect(watch.late.look()).toMatchObject([{ probe: 'store_read_gpu', state: 'waiting' }])
  }, 120_000)

  const noHuge = bySystemCalls ? 'seen by its pages' :
    readFileSync('/sys/kernel/mm/transparent_hugepage/shmem_enabled', 'utf8').includes('[deny]')
      ? 'not allowed here' : ''
  it.skipIf(noHuge)(`by huge pages of mappings ${noHuge}`, async () => {
    const folder = ground.mount('huge', '-t', 'tmpfs', '-o', 'huge=always', 'tmpfs')
    fill(folder)
    look('store_read_huge')
    setLabels(watch, [labelOf(join(folder, 'set'), id)])
    await expectDoors(folder, [['mmap', 'mmap']])
    const { program } = await readThrough(cgroup, 'mmap', join(folder, 'set/file'))
    await program.ended()
    const faults = (await reportsOf(watch, program.pid))
      .reduce((sum, { calls }) => sum + Number(calls), 0)
    // One of the huge page, and those of the rest of the file.
    expect(faults).toBeLessThan((size - 2 * mib) / 4096 + 8)
  }, 120_000)
})
