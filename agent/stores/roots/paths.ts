// Paths of one mount namespace as the agent reaches them: links are followed as a process in there
// would, and nothing that would be mounted by a look is looked at.

import { lstat, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { compileGlob } from '../../../policy/match/glob.ts'
import { mountOf } from './mounts.ts'
import type { Mount } from './mounts.ts'

/** A mount namespace, or what stands for one. */
export interface Place {
  /** Folder by which the agent reaches its root, such as "/proc/123/root". */
  root: string
  mounts: readonly Mount[]
}

/** A file or folder. */
export interface Found {
  /** In the namespace, without links. */
  path: string
  inode: bigint
  /** Changes when a folder is made anew under the same inode number; nanoseconds. */
  born: bigint
  mount: Mount
  folder: boolean
  /** Names of the file; of a folder not told. */
  links: number
}

/** What a pattern stands for, and what could not be looked at. */
export interface Walk {
  found: Found[]
  failures: { path: string, code: string }[]
  /** Matches that are too many. */
  left: number
}

const linksMax = 40
const namesMax = 65_536
/** Not there; and not to be asked for, since asking would mount it. */
const absent = new Set(['ENOENT', 'ENOTDIR'])

/**
 * Files and folders of an absolute path, in which `*` stands for any characters of one level.
 * Never rejects: what is not there is not found.
 */
export async function findPaths(place: Place, pattern: string, foundMax: number): Promise<Walk> {
  const walk: Walk = { found: [], failures: [], left: 0 }
  await follow(place, '/', namesOf(pattern), { walk, foundMax, linksLeft: linksMax })
  return walk
}

/** The one file or folder of an absolute path, where a star is a star. */
export async function findPath(place: Place, path: string): Promise<Found | undefined> {
  const walk: Walk = { found: [], failures: [], left: 0 }
  const progress = { walk, foundMax: 1, linksLeft: linksMax, literal: true }
  await follow(place, '/', namesOf(path), progress)
  return walk.found[0]
}

interface Progress { walk: Walk, foundMax: number, linksLeft: number, literal?: boolean }

/** Goes on from `at`, a path without links, with the names that are left. */
async function follow(
  place: Place, at: string, names: readonly string[], progress: Progress,
): Promise<void> {
  const [name, ...rest] = names
  if (name === undefined) return await arrive(place, at, progress)
  if (name === '..') return await follow(place, join(at, '..'), rest, progress)
  if (progress.literal || !name.includes('*')) {
    return await enter(place, at, name, rest, progress)
  }
  if (isAutomount(place, at)) return
  const { matches } = compileGlob(name.replace(/\*+/g, '*'))
  const entries = await tried(at, progress.walk, () => readdir(reach(place, at))) ?? []
  for (const entry of entries.sort().slice(0, namesMax).filter(matches)) {
    await enter(place, at, entry, rest, { ...progress })
  }
}

/** The entry of a folder, wherever it leads. */
async function enter(
  place: Place, at: string, name: string, rest: readonly string[], progress: Progress,
): Promise<void> {
  const next = join(at, name)
  const target = await linkTo(place, next, progress.walk)
  if (target === undefined) return
  if (target === '') return await follow(place, next, rest, progress)
  if (progress.linksLeft-- === 0) {
    progress.walk.failures.push({ path: next, code: 'ELOOP' })
    return
  }
  await follow(place, target.startsWith('/') ? '/' : at, [...namesOf(target), ...rest], progress)
}

async function arrive(
  place: Place, path: string, { walk, foundMax }: Progress,
): Promise<void> {
  if (walk.found.some((one) => one.path === path)) return
  if (walk.found.length >= foundMax) {
    walk.left++
    return
  }
  const found = await look(place, path, walk)
  if (found) walk.found.push(found)
}

/** Where a link leads; '' for anything else; undefined when it is not there. */
async function linkTo(place: Place, path: string, walk: Walk): Promise<string | undefined> {
  if (isAutomount(place, path)) return undefined
  return await tried(path, walk, async () => {
    const found = await lstat(reach(place, path))
    return found.isSymbolicLink() ? await readlink(reach(place, path)) : ''
  })
}

async function look(place: Place, path: string, walk: Walk): Promise<Found | undefined> {
  const mount = mountOf(place.mounts, path)
  if (!mount || isAutomount(place, path)) return undefined
  const found = await tried(path, walk, () => lstat(reach(place, path), { bigint: true }))
  if (!found) return undefined
  const folder = found.isDirectory()
  const { ino: inode, birthtimeNs: born, nlink } = found
  return { path, inode, born, mount, folder, links: folder ? 1 : Number(nlink) }
}

async function tried<T>(path: string, walk: Walk, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    const { code = String(error) } = error as NodeJS.ErrnoException
    if (!absent.has(code)) walk.failures.push({ path, code })
    return undefined
  }
}

function isAutomount({ mounts }: Place, path: string): boolean {
  return mountOf(mounts, path)?.type === 'autofs'
}

/** By which path the agent opens a path of the namespace. */
export function reach({ root }: Pick<Place, 'root'>, path: string): string {
  return root === '/' ? path : root + path
}

function namesOf(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.')
}
