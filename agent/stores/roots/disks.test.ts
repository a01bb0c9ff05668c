import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { StoreRoot } from './claims.ts'
import { findDisks } from './disks.ts'

let sysDir: string

/** A block device as sysfs shows it. */
function add(path: string, numbers: string, slaves: string[] = []): string {
  const folder = join(sysDir, 'devices', path)
  mkdirSync(join(folder, 'slaves'), { recursive: true })
  mkdirSync(join(sysDir, 'dev/block'), { recursive: true })
  writeFileSync(join(folder, 'dev'), `${numbers}\n`)
  if (/p\d$/.test(path)) writeFileSync(join(folder, 'partition'), '1\n')
  symlinkSync(folder, join(sysDir, 'dev/block', numbers))
  for (const slave of slaves) symlinkSync(slave, join(folder, 'slaves', basename(slave)))
  return folder
}

function rootOf(store: string, major: number, minor: number, inode = 0n): StoreRoot {
  return {
    store, device: major << 20 | minor, inode, born: 0n, path: '/data', inside: '/', folder: true,
    links: 1, fs_type: 'ext4', mount_source: '/dev/x', mount_namespace: 1, reach: '/data',
  }
}
const shown = async (...roots: StoreRoot[]) => (await findDisks(roots, sysDir))
  .map(({ store, path, device, inode }) => [store, path, device >> 20, device & 0xfffff, inode])

beforeAll(() => {
  sysDir = mkdtempSync(join(tmpdir(), 'vedette-disks-'))
  const disk = add('nvme0n1', '259:0')
  const part = add('nvme0n1/nvme0n1p2', '259:2')
  const other = add('cciss!c0d0', '104:0')
  add('dm-0', '253:0', [part, other])
  const sealed = add('dm-1', '253:1', [disk])
  mkdirSync(join(sealed, 'dm'))
  writeFileSync(join(sealed, 'dm/uuid'), 'CRYPT-LUKS2-1\n')
})
afterAll(() => rmSync(sysDir, { recursive: true }))

it('the disks below a volume belong to its store, down to the last, each once', async () => {
  expect(await shown(rootOf('corpus', 253, 0), rootOf('late', 259, 2))).toEqual([
    ['corpus', '/dev/cciss/c0d0', 104, 0, 0n], ['late', '/dev/nvme0n1', 259, 0, 0n],
  ])
  expect(await shown(rootOf('corpus', 253, 0))).toEqual([
    ['corpus', '/dev/cciss/c0d0', 104, 0, 0n], ['corpus', '/dev/nvme0n1p2', 259, 2, 0n],
    ['corpus', '/dev/nvme0n1', 259, 0, 0n],
  ])
})

it('nothing is below a disk, a file system of memory, an encrypted volume, or a folder', async () => {
  expect(await shown(rootOf('a', 259, 0), rootOf('b', 0, 45), rootOf('c', 253, 1),
    rootOf('d', 253, 0, 12n))).toEqual([])
})
