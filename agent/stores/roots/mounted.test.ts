// Real mounts: what the agent finds is what the kernel has.

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { StoreRule } from '../../../stores/rule.ts'
import { readLoops } from './loops.ts'
import { MountNamespaces } from './namespaces.ts'
import { findRoots } from './roots.ts'

const run = (command: string, ...words: string[]) =>
  execFileSync(command, words, { stdio: ['ignore', 'pipe', 'ignore'] }).toString().trim()
let folder: string
const undo: (() => void)[] = []
const at = (path: string) => join(folder, path)

/** Mounts it until the tests are over; false where that is not allowed. */
function mounted(...words: string[]): boolean {
  try {
    run('mount', ...words)
    undo.push(() => run('umount', words.at(-1)!))
    return true
  } catch {
    return false
  }
}

const find = async (rest: Partial<StoreRule>) => {
  const { namespaces } = await new MountNamespaces().look()
  const rule: StoreRule = { name: 's', kind: 'dataset', paths: [], mountSources: [], fileSystems: [], manifest: '',
    manifestKeys: [], ...rest }
  return findRoots([rule], { namespaces, loops: await readLoops() })
}
const deviceOf = (path: string) => {
  const dev = statSync(path, { bigint: true }).dev
  return Number((dev >> 8n & 0xfffn) << 20n | dev & 0xffn | dev >> 12n & 0xfff00n)
}
const inodeOf = (path: string) => statSync(path, { bigint: true }).ino

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vedette-mounted-'))
  for (const name of ['lower/set', 'upper', 'work', 'merged', 'store', 'store/inner', 'elsewhere', 'image']) {
    mkdirSync(at(name), { recursive: true })
  }
})
afterAll(() => {
  for (const one of undo.reverse()) one()
  rmSync(folder, { recursive: true, force: true })
})

describe('real mounts', () => {
  it('of an overlay lead to the folder in its layer, where the files are read', async ({ skip }) => {
    const options = `lowerdir=${at('lower')},upperdir=${at('upper')},workdir=${at('work')}`
    skip(!mounted('-t', 'overlay', 'vedette-overlay', '-o', options, at('merged')), 'overlays cannot be mounted here')
    expect((await find({ paths: [at('merged/set')] })).roots).toMatchObject([
      { device: deviceOf(at('merged/set')), inode: inodeOf(at('merged/set')), fs_type: 'overlay' },
      { device: deviceOf(at('lower/set')), inode: inodeOf(at('lower/set')), path: at('lower/set') }])
  })

  it('inside of a store are found by their device, and a folder bound into it by its inode', async ({ skip }) => {
    skip(!mounted('-t', 'tmpfs', 'vedette-inner', at('store/inner')), 'nothing can be mounted here')
    mkdirSync(at('store/bound'))
    expect(mounted('--bind', at('elsewhere'), at('store/bound'))).toBe(true)
    expect((await find({ paths: [at('store')] })).roots).toMatchObject([
      { path: at('store'), inode: inodeOf(at('store')) },
      { path: at('store/inner'), device: deviceOf(at('store/inner')), inode: 0n, mount_source: 'vedette-inner' },
      { path: at('store/bound'), device: deviceOf(folder), inode: inodeOf(at('elsewhere')) }])
    expect((await find({ mountSources: ['vedette-inn*'] })).roots).toMatchObject([
      { path: at('store/inner'), device: deviceOf(at('store/inner')), fs_type: 'tmpfs' }])
  })

  it('of an image in a store are the store, as the device that shows it', async ({ skip }) => {
    let loop = ''
    try {
      run('truncate', '-s', '8M', at('store/image'))
      run('mkfs.ext4', '-q', at('store/image'))
      loop = run('losetup', '-f', '--show', at('store/image'))
      undo.push(() => run('losetup', '-d', loop))
    } catch {
      skip('there are no loop devices here')
    }
    expect(mounted('-o', 'ro', loop, at('image'))).toBe(true)
    expect((await find({ paths: [at('store')] })).roots.find(({ path }) => path === loop)).toMatchObject({
      device: deviceOf(at('image')), inode: 0n, fs_type: 'ext4', mount_source: at('store/image') })
    expect((await find({ paths: [at('elsewhere')] })).roots.map(({ path }) => path)).toEqual([at('elsewhere')])
  })
})
