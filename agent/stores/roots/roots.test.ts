import { linkSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { StoreRule } from '../../../stores/rule.ts'
import { parseMounts } from './mounts.ts'
import { findRoots } from './roots.ts'
import type { Surroundings } from './roots.ts'

const rule = (name: string, rest: Partial<StoreRule>): StoreRule => ({
  name, kind: 'dataset', paths: [], mountSources: [], fileSystems: [], manifest: '', manifestKeys: [], ...rest,
})
const base = '1 0 8:1 / / rw - ext4 /dev/sda1 rw'
let root: string
const around = (lines: string[], more: Partial<Surroundings> = {}): Surroundings => ({
  namespaces: [{ id: 7, root, mounts: parseMounts([base, ...lines].join('\n')), home: true }], loops: [], ...more,
})
const inodeOf = (path: string) => statSync(join(root, path), { bigint: true }).ino
const shown = async (rules: StoreRule[], surroundings: Surroundings) => {
  const { roots, problems } = await findRoots(rules, surroundings)
  return {
    roots: roots.map(({ store, device, inode, path }) => `${store} ${device >> 20}:${device & 0xfffff} ` +
      `${inode === 0n ? 'all' : 'part'} ${path}`),
    problems: problems.map(({ store, path, reason }) => `${store} ${path} ${reason}`),
  }
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'vedette-roots-'))
  for (const folder of ['data/imagenet/train', 'data/imagenet/val', 'data/c4', 'mnt/a', 'lower/data/c4',
    'upper/data/c4', 'merged/data/c4', 'srv/x']) mkdirSync(join(root, folder), { recursive: true })
  writeFileSync(join(root, 'data/weights.bin'), 'x')
  linkSync(join(root, 'data/weights.bin'), join(root, 'mnt/a/other'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

describe('the roots of a store', () => {
  it('are folders and files by their identity', async () => {
    symlinkSync('/data/imagenet', join(root, 'mnt/link'))
    const { roots } = await findRoots([rule('imagenet', { paths: ['/mnt/link', '/data/imagenet'] }),
      rule('weights', { paths: ['/data/weights.bin'] })], around([]))
    expect(roots).toMatchObject([
      { store: 'imagenet', device: 8 << 20 | 1, inode: inodeOf('data/imagenet'), path: '/data/imagenet',
        fs_type: 'ext4', mount_source: '/dev/sda1', mount_namespace: 7, folder: true,
        reach: join(root, 'data/imagenet') },
      { store: 'weights', inode: inodeOf('mnt/a/other'), folder: false, links: 2 },
    ])
    expect(roots).toHaveLength(2)
  })

  it('are whole file systems by type and by what is mounted, in every namespace, each once', async () => {
    const pod = (id: number) => ({ id, root: '/nowhere', home: false, mounts: parseMounts(
      '5 1 0:70 / /vol rw - nfs4 filer:/export/c4 rw\n6 1 0:71 / /w rw - wekafs default rw') })
    const surroundings = around(['2 1 0:60 / /data/imagenet rw - nfs4 filer:/export/imagenet rw'])
    expect(await shown([rule('nfs', { mountSources: ['filer:/export/*'] }), rule('weka', { fileSystems: ['wekafs'] })],
      { ...surroundings, namespaces: [...surroundings.namespaces, pod(8), pod(9)] })).toEqual({
      roots: ['nfs 0:60 all /data/imagenet', 'nfs 0:70 all /vol', 'weka 0:71 all /w'], problems: [] })
  })

  it('hold what is mounted inside of them, and nothing that is mounted beside', async () => {
    const lines = ['2 1 0:60 / /data/imagenet/val rw - nfs4 filer:/val rw',
      '3 2 0:61 / /data/imagenet/val/x rw - tmpfs t rw',
      '4 1 8:1 /srv/x /data/imagenet/train rw - ext4 /dev/sda1 rw', '5 1 0:62 / /data/c4 rw - tmpfs t rw',
      '6 1 0:5 / /data/imagenet/proc rw - proc proc rw']
    expect((await shown([rule('imagenet', { paths: ['/data/imagenet'] })], around(lines))).roots).toEqual([
      'imagenet 8:1 part /data/imagenet', 'imagenet 0:60 all /data/imagenet/val',
      'imagenet 0:61 all /data/imagenet/val/x', 'imagenet 8:1 part /data/imagenet/train'])
  })

  it('do not grow to the whole disk because somebody binds it into the store', async () => {
    const { roots, problems } = await shown([rule('imagenet', { paths: ['/data/imagenet'] })],
      around(['2 1 8:1 / /data/imagenet/val rw - ext4 /dev/sda1 rw']))
    expect(roots).toEqual(['imagenet 8:1 part /data/imagenet'])
    expect(problems).toEqual([expect.stringContaining('imagenet /data/imagenet/val all of / (/dev/sda1) is mounted')])
  })

  it('of an overlay are in its layers, too', async () => {
    const { roots } = await shown([rule('c4', { paths: ['/merged/data/c4'] })],
      around(['2 1 0:80 / /merged rw - overlay o rw,lowerdir=/lower:/nowhere,upperdir=/upper,workdir=/w']))
    expect(roots).toEqual(['c4 0:80 part /merged/data/c4', 'c4 8:1 part /upper/data/c4', 'c4 8:1 part /lower/data/c4'])
  })

  it('are loop devices whose file lies in a store, with their partitions', async () => {
    const loops = [{ path: '/dev/loop0', file: '/data/imagenet/image', devices: [7 << 20, 259 << 20 | 1] },
      { path: '/dev/loop1', file: '/data/image', devices: [7 << 20 | 1] }]
    expect((await shown([rule('imagenet', { paths: ['/data/imagenet'] })],
      around(['2 1 7:0 / /mnt/a ro - squashfs /dev/loop0 ro'], { loops }))).roots).toEqual([
      'imagenet 8:1 part /data/imagenet', 'imagenet 7:0 all /dev/loop0', 'imagenet 259:1 all /dev/loop0'])
  })

  it('belong to one store; the other is told that it has not all', async () => {
    const rules = [rule('one', { paths: ['/data/c4'] }), rule('two', { paths: ['/data/*4', '/data'] })]
    expect(await shown(rules, around([]))).toEqual({ roots: ['one 8:1 part /data/c4', 'two 8:1 part /data'],
        problems: ['two /data/c4 it is part of the store one already'] })
  })

  it('that are not there are no problem; those that cannot be looked at are, with what to do', async () => {
    symlinkSync('round', join(root, 'data/round'))
    expect(await shown([rule('a', { paths: ['/data/none', '/data/round'] })], around([]))).toEqual({
      roots: [], problems: ['a /data/round its links go round (ELOOP)'] })
  })

  it('are no problem where the agent itself sees less than process 1, which is asked first', async () => {
    const own = mkdtempSync(join(tmpdir(), 'vedette-own-'))
    mkdirSync(join(own, 'data'))
    symlinkSync('imagenet', join(own, 'data/imagenet'))
    try {
      const { namespaces: [node] } = around([])
      const rules = [rule('a', { paths: ['/data/imagenet'] })]
      const both = { namespaces: [node, { ...node, id: 8, root: own }], loops: [] }
      expect(await shown(rules, both)).toEqual({ roots: ['a 8:1 part /data/imagenet'], problems: [] })
      expect((await shown(rules, { ...both, namespaces: [both.namespaces[1]] })).problems).toHaveLength(1)
    } finally {
      rmSync(own, { recursive: true })
    }
  })

  it('are at most 4,096, and the store says that it has more', async () => {
    const lines = Array.from({ length: 4100 }, (_, i) => `${i + 2} 1 0:${i + 100} / /m${i} rw - wekafs w${i} rw`)
    const { roots, problems, left } = await findRoots([rule('weka', { fileSystems: ['wekafs'] })], around(lines))
    expect([roots.length, left]).toEqual([4096, 4])
    expect(problems).toMatchObject([{ store: 'weka', reason: expect.stringContaining('4 of its files') }])
  })
})
