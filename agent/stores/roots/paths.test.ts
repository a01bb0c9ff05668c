import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseMounts } from './mounts.ts'
import { findPaths } from './paths.ts'

/** A folder that stands for the root of a mount namespace. */
let root: string
const mounts = parseMounts([
  '1 0 8:1 / / rw - ext4 /dev/sda1 rw', '2 1 0:50 / /data/nfs rw - nfs4 filer:/x rw',
  '3 1 0:51 / /auto rw - autofs auto.master rw',
].join('\n'))
const find = (pattern: string, max = 100) => findPaths({ root, mounts }, pattern, max)
const paths = async (pattern: string) => (await find(pattern)).found.map(({ path }) => path)

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'vedette-paths-'))
  for (const folder of ['data/a/train', 'data/b/train', 'data/b*', 'data/nfs/set', 'auto/x', 'mnt/real']) {
    mkdirSync(join(root, folder), { recursive: true })
  }
  writeFileSync(join(root, 'data/a/one'), 'x')
  linkSync(join(root, 'data/a/one'), join(root, 'data/a/two'))
  symlinkSync('/mnt/real', join(root, 'data/absolute'))
  symlinkSync('../mnt/real', join(root, 'data/relative'))
  symlinkSync('../../../../../mnt', join(root, 'data/above'))
  symlinkSync('round', join(root, 'data/round'))
  symlinkSync('/auto/x', join(root, 'data/to-auto'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

describe('paths of a store', () => {
  it('are found in the namespace, where links lead, and not in that of the agent', async () => {
    expect(await paths('/data/absolute')).toEqual(['/mnt/real'])
    expect(await paths('/data/relative/')).toEqual(['/mnt/real'])
    expect(await paths('/data/above/real')).toEqual(['/mnt/real'])
    expect(await paths('//data/./a/../b')).toEqual(['/data/b'])
    expect(await paths('/')).toEqual(['/'])
  })

  it('may have a star for one level, also where a name holds one', async () => {
    expect(await paths('/data/*/train')).toEqual(['/data/a/train', '/data/b/train'])
    expect(await paths('/data/b*')).toEqual(['/data/b', '/data/b*'])
    expect(await paths('/data/*zz*')).toEqual([])
    expect(await paths('/data/*lative')).toEqual(['/mnt/real'])
    expect(await paths('/data/**/one')).toEqual(['/data/a/one'])
  })

  it('tell the file system that they are in, and the names of a file', async () => {
    expect((await find('/data/nfs/set')).found[0]).toMatchObject({ folder: true, links: 1, mount: { type: 'nfs4' } })
    expect((await find('/data/a/one')).found[0]).toMatchObject({ folder: false, links: 2, mount: { device: 8388609 } })
  })

  it('that are not there, or would be mounted by a look, are not found, without a failure', async () => {
    for (const path of ['/nowhere', '/data/a/one/below', '/auto/x', '/auto/*', '/data/to-auto', '/data/nfs/*/*']) {
      expect(await find(path)).toEqual({ found: [], failures: [], left: 0 })
    }
  })

  it('that go round, or are too many, say so', async () => {
    expect((await find('/data/round')).failures).toEqual([{ path: '/data/round', code: 'ELOOP' }])
    expect(await find('/data/*/train', 1)).toMatchObject({ found: [{ path: '/data/a/train' }], left: 1 })
  })
})
