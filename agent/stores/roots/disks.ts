// The disks below whole file systems of stores: who reads them reads the store. As sysfs tells.

import { readdir, readFile, realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { keyOf } from './claims.ts'
import type { StoreRoot } from './claims.ts'
import { deviceOf } from './mounts.ts'

/** Partition, volume, array, disk: more lie on one another nowhere. */
const levelsMax = 8
const disksMax = 1024

/**
 * Roots for what lies below the whole devices among `roots`: the disk of a partition, the disks of
 * a volume or an array. Each once, for the first store. What is below an encrypted volume gives
 * nothing away. `sysDir` is another folder for tests.
 */
export async function findDisks(
  roots: readonly StoreRoot[], sysDir = '/sys',
): Promise<StoreRoot[]> {
  const found = new Map<string, StoreRoot>()
  const known = new Set(roots.map(({ device, inode }) => keyOf(device, inode)))
  let level = roots.filter(({ inode }) => inode === 0n)
  for (let i = 0; i < levelsMax && level.length > 0; i++) {
    const next: StoreRoot[] = []
    for (const root of level) {
      for (const { device, path } of await below(root.device, sysDir)) {
        const key = keyOf(device, 0n)
        if (known.has(key) || found.size >= disksMax) continue
        known.add(key)
        const disk = {
          ...root, device, path, reach: path, inside: '/', folder: false, links: 1, fs_type: '',
        }
        found.set(key, disk)
        next.push(disk)
      }
    }
    level = next
  }
  return [...found.values()]
}

/** Directly below a block device; none when it is no block device. */
async function below(
  device: number, sysDir: string,
): Promise<{ device: number, path: string }[]> {
  const name = `${Math.floor(device / 2 ** 20)}:${device % 2 ** 20}`
  const folder = await realpath(join(sysDir, 'dev/block', name)).catch(() => undefined)
  if (folder === undefined) return []
  if ((await textOf(join(folder, 'dm/uuid'))).startsWith('CRYPT-')) return []
  const slaves = await readdir(join(folder, 'slaves')).catch(() => [])
  const folders = slaves.sort().map((slave) => join(folder, 'slaves', slave))
  if (await textOf(join(folder, 'partition')) !== '') folders.push(dirname(folder))
  const found: { device: number, path: string }[] = []
  for (const one of folders) {
    const number = deviceOf(await textOf(join(one, 'dev')))
    // A slash in a name is an exclamation mark there.
    const path = `/dev/${basename(one).replaceAll('!', '/')}`
    if (number !== undefined) found.push({ device: number, path })
  }
  return found
}

async function textOf(path: string): Promise<string> {
  return (await readFile(path, 'utf8').catch(() => '')).trim()
}
