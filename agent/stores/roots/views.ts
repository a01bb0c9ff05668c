// By which paths processes see the stores, in every mount namespace. Pure.

import type { StoreRoot } from './claims.ts'
import { isWithin } from './mounts.ts'
import type { Mount } from './mounts.ts'
import type { MountNamespace } from './namespaces.ts'

/** One path; what is mounted above it may hide it. */
export interface StoreView {
  store: string
  /** Inode number of the mount namespace. */
  mount_namespace: number
  path: string
  folder: boolean
}

/** The maps of the probes have room for this many; more are left out. */
const viewsMax = 4096

/** Of all stores, in the order of the namespaces. */
export function viewsOf(
  namespaces: readonly MountNamespace[], roots: readonly StoreRoot[],
): StoreView[] {
  const byDevice = Map.groupBy(roots, ({ device }) => device)
  const views = new Map<string, StoreView>()
  for (const { id, mounts } of namespaces) {
    for (const mount of mounts) {
      for (const root of byDevice.get(mount.device) ?? []) {
        const path = pathThrough(mount, root)
        if (path === undefined || views.size >= viewsMax) continue
        const key = `${id} ${path}`
        if (views.has(key)) continue
        const { store, folder } = root
        // Of a mount of something in a folder, only a look would tell whether it is a folder.
        views.set(key, { store, mount_namespace: id, path, folder })
      }
    }
  }
  return [...views.values()]
}

/** Where the mount shows the root, or what of it; undefined when it shows nothing of it. */
function pathThrough(mount: Mount, { inode, inside }: StoreRoot): string | undefined {
  if (inode === 0n || isWithin(mount.root, inside)) return mount.point
  if (!isWithin(inside, mount.root)) return undefined
  const rest = mount.root === '/' ? inside : inside.slice(mount.root.length)
  return mount.point === '/' ? rest : mount.point + rest
}
