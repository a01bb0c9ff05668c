// A folder of a store that is no longer where the policy says: whoever moves it aside, to read it
// in peace, moves its label with it.

import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { keyOf } from './claims.ts'
import type { StoreRoot } from './claims.ts'
import { pathInside } from './mounts.ts'
import type { MountNamespace } from './namespaces.ts'
import { findPath, reach } from './paths.ts'

/** Names of the folder in which it was that are looked at. */
const namesMax = 1024

/**
 * Those of `before` that are not among `now` and still exist under another name: the one that they
 * had at the last look, the one that a rename told, or another one in the same folder. `told`: by
 * device and inode.
 */
export async function findMoved(
  before: readonly StoreRoot[], now: readonly StoreRoot[], stores: ReadonlySet<string>,
  namespaces: readonly MountNamespace[], told: ReadonlyMap<string, string>,
): Promise<StoreRoot[]> {
  const there = new Set(now.map(({ device, inode }) => keyOf(device, inode)))
  const found: StoreRoot[] = []
  for (const root of before) {
    const key = keyOf(root.device, root.inode)
    if (root.inode === 0n || there.has(key) || !stores.has(root.store)) continue
    const place = namespaces.find(({ id }) => id === root.mount_namespace)
    const moved = place && await follow(root, place, told.get(key))
    if (moved) found.push(moved)
  }
  return found
}

async function follow(
  root: StoreRoot, place: MountNamespace, told: string | undefined,
): Promise<StoreRoot | undefined> {
  for (const path of [root.path, ...told === undefined ? [] : [told]]) {
    const same = await sameAt(root, place, path)
    if (same) return same
  }
  const folder = dirname(root.path)
  for (const name of (await namesIn(reach(place, folder))).slice(0, namesMax)) {
    const same = await sameAt(root, place, join(folder, name))
    if (same) return same
  }
  return undefined
}

async function sameAt(
  root: StoreRoot, place: MountNamespace, path: string,
): Promise<StoreRoot | undefined> {
  const found = await findPath(place, path)
  if (!found || found.inode !== root.inode || found.born !== root.born ||
    found.mount.device !== root.device) return undefined
  return {
    ...root, path: found.path, inside: pathInside(found.mount, found.path),
    reach: reach(place, found.path), links: found.links,
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch {
    return []
  }
}
