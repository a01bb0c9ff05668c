import { linkSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { StoreRoot } from './claims.ts'
import { LinkScan } from './links.ts'
import type { StoreLink } from '../watch.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vedette-links-'))
  mkdirSync(join(folder, 'set/a/b'), { recursive: true })
  for (const name of ['one', 'a/two', 'a/b/three']) writeFileSync(join(folder, 'set', name), 'x')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const root = (rest: Partial<StoreRoot> = {}): StoreRoot => ({
  store: 's', device: 5, inode: 7n, born: 0n, path: '/set', inside: '/set', folder: true, links: 1, fs_type: 'ext4',
  mount_source: '/dev/x', mount_namespace: 1, reach: join(folder, 'set'), ...rest,
})
const inodeOf = (path: string) => statSync(join(folder, path), { bigint: true }).ino

/** A scan of one store until its end. */
async function scanned(options: { entriesMax?: number, roots?: StoreRoot[] } = {}) {
  let links: StoreLink[] = []
  const scan = new LinkScan({ ...options, found: (found) => { links = found } })
  scan.setRoots(options.roots ?? [root()])
  await scan.scan()
  scan.stop()
  return { links, scan }
}

describe('the scan for files with several names', () => {
  it('finds them however deep, each once, and no other files', async () => {
    linkSync(join(folder, 'set/a/b/three'), join(folder, 'outside'))
    linkSync(join(folder, 'set/one'), join(folder, 'set/a/again'))
    symlinkSync(join(folder, 'outside'), join(folder, 'set/soft'))
    symlinkSync('..', join(folder, 'set/a/round'))
    const { links, scan } = await scanned()
    expect(links.map(({ inode }) => inode).sort()).toEqual([inodeOf('outside'), inodeOf('set/one')].sort())
    expect(links[0]).toMatchObject({ store: 's', device: 5 })
    expect(scan.counts).toEqual({ links: 2, left: 0 })
  })

  it('stops at its bound and counts that, and passes over what is no folder or is gone', async () => {
    linkSync(join(folder, 'set/a/b/three'), join(folder, 'outside'))
    expect((await scanned({ entriesMax: 2 })).scan.counts.left).toBe(1)
    const roots = [root({ folder: false }), root({ inode: 0n }), root({ inode: 8n, reach: join(folder, 'none') })]
    expect((await scanned({ roots })).scan.counts).toEqual({ links: 0, left: 0 })
  })

  it('forgets the links of a store that is gone', async () => {
    linkSync(join(folder, 'set/one'), join(folder, 'outside'))
    const told: number[] = []
    const scan = new LinkScan({ found: (links) => told.push(links.length) })
    scan.setRoots([root()])
    await expect.poll(() => told, { timeout: 10_000 }).toEqual([1])
    scan.setRoots([])
    expect(told).toEqual([1, 0])
    scan.stop()
  })
})
