import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { StoreSeen } from '../../proto/gen/events.ts'
import type { StoreRule } from '../../stores/rule.ts'
import { StoreIds } from './ids.ts'
import { StoreLabels } from './labels.ts'
import { StoreWatch } from './watch.ts'
import type { StoreWatchOptions } from './watch.ts'

let folder: string
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'vedette-watch-')) })
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const rule = (name: string, rest: Partial<StoreRule>): StoreRule => ({
  name, kind: 'dataset', paths: [], mountSources: [], fileSystems: [], manifest: '', manifestKeys: [], ...rest,
})

/** A watch on the real node, with maps and a list for what it tells. */
function open(options: Partial<StoreWatchOptions> = {}) {
  const told: Partial<StoreSeen>[] = []
  const maps = new Map<string, string>()
  const labels = new StoreLabels({
    setEntry(map, key, value) {
      const name = `${map} ${Buffer.from(key).toString('hex')}`
      if (value) maps.set(name, Buffer.from(value).toString('hex'))
      else maps.delete(name)
      return undefined
    },
  })
  const found: boolean[] = []
  const complaints: string[] = []
  const watch = new StoreWatch({
    ids: new StoreIds(), labels, now: () => process.hrtime.bigint(), add: (seen) => told.push(seen),
    looked: (there) => found.push(there), complain: ({ code }) => complaints.push(code), ...options,
  })
  const news = () => told.splice(0).map(({ store, state, path }) => `${store} ${state} ${path}`)
  return { watch, told, maps, found, complaints, news }
}

describe('the watch over stores', () => {
  it('tells what is watched and what is absent, once, and what comes and goes', async () => {
    const data = join(folder, 'data')
    const { watch, news, found, maps } = open()
    const b = rule('b', { mountSources: ['filer:/none'], fileSystems: ['wekafs'] })
    watch.setRules([rule('a', { paths: [data] }), b])
    await watch.look()
    expect(news()).toEqual([`a absent ${data}`, 'b absent filer:/none wekafs'])
    mkdirSync(data)
    await watch.look()
    expect(news()).toEqual([`a watched ${data}`])
    expect(watch.counts).toMatchObject({ states: { watched: 1, absent: 1, unresolved: 0 }, roots: 1, labels: 2 })
    await watch.look()
    expect(news()).toEqual([])
    rmSync(data, { recursive: true })
    await watch.look()
    expect(news()).toEqual([`a gone ${data}`, `a absent ${data}`])
    expect([...maps.keys()].filter((key) => !/^store_(changes|device_bits)/.test(key))).toEqual([])
    expect(found.map(Number).join('')).toMatch(/^0+1+0$/)
    watch.stop()
  })

  it('labels the folder by its device and inode, with the number that records have', async () => {
    const { watch, told, maps } = open()
    watch.setRules([rule('a', { paths: [folder] })])
    await watch.look()
    const { ino, dev } = statSync(folder, { bigint: true })
    const device = Number((dev >> 8n & 0xfffn) << 20n | dev & 0xffn | dev >> 12n & 0xfff00n)
    expect(told[0]).toMatchObject({ store: 'a', state: 'watched', path: folder, device, inode: ino, store_id: 1 })
    const key = Buffer.alloc(16)
    key.writeBigUInt64LE(ino)
    key.writeUInt32LE(device, 8)
    key.writeUInt32LE(1, 12)
    expect(maps.get(`store_roots ${key.toString('hex')}`)).toBe('01000000')
    watch.setRules([])
    await watch.look()
    expect([...maps.keys()].filter((one) => one.startsWith('store_roots'))).toEqual([])
    watch.stop()
  })

  it('keeps a folder that is moved aside, and another one that takes its place', async () => {
    const data = join(folder, 'data')
    mkdirSync(data)
    const { watch, news, told } = open()
    watch.setRules([rule('a', { paths: [data] })])
    await watch.look()
    const { device } = told[0]
    news()
    renameSync(data, join(folder, 'aside'))
    await watch.look()
    expect(news()).toEqual([`a gone ${data}`, `a watched ${join(folder, 'aside')}`])
    mkdirSync(data)
    await watch.look()
    expect(news()).toEqual([`a watched ${data}`])
    expect(watch.counts.roots).toBe(2)
    mkdirSync(join(folder, 'far'))
    renameSync(join(folder, 'aside'), join(folder, 'far/away'))
    const { ino } = statSync(join(folder, 'far/away'), { bigint: true })
    watch.noteRename(device!, ino, join(folder, 'far/away'))
    await watch.look()
    expect(news()).toEqual([`a gone ${folder}/aside`, `a watched ${folder}/far/away`])
    watch.stop()
  })

  it('forgets a folder that the policy no longer names, though it is still there', async () => {
    mkdirSync(join(folder, 'a'))
    mkdirSync(join(folder, 'b'))
    const { watch, news } = open()
    watch.setRules([rule('a', { paths: [join(folder, 'a'), join(folder, 'b')] })])
    await watch.look()
    news()
    watch.setRules([rule('a', { paths: [join(folder, 'b')] })])
    await watch.look()
    expect(news()).toEqual([`a gone ${folder}/a`])
    watch.stop()
  })

  it('says why part of a store is not watched, and that it is again', async () => {
    const { watch, news, told } = open()
    symlinkSync('loop', join(folder, 'loop'))
    mkdirSync(join(folder, 'b'))
    watch.setRules([rule('a', { paths: [`${folder}/*`] })])
    await watch.look()
    expect(told[1].reason).toContain('its links go round')
    expect(news()).toEqual([`a watched ${folder}/b`, `a unresolved ${folder}/loop`])
    expect(watch.counts.states).toEqual({ watched: 0, absent: 0, unresolved: 1 })
    rmSync(join(folder, 'loop'))
    await watch.look()
    expect(watch.counts.states).toEqual({ watched: 1, absent: 0, unresolved: 0 })
    watch.stop()
  })

  it('tells of a look that does not come back, keeps the labels, and begins no other one', async () => {
    const fifo = join(folder, 'mountinfo')
    mkdirSync(join(folder, 'proc/self/ns'), { recursive: true })
    symlinkSync('mnt:[1]', join(folder, 'proc/self/ns/mnt'))
    writeFileSync(join(folder, 'proc/self/mountinfo'), '1 0 8:1 / / rw - ext4 /dev/sda1 rw\n')
    const { watch, news, maps, complaints } = open({ procDir: join(folder, 'proc'), intervalMs: 50, timeoutMs: 3000 })
    watch.setRules([rule('a', { paths: [folder] })])
    await watch.look()
    expect(news()).toEqual([`a watched ${folder}`])
    // A reader of a FIFO waits for a writer, as one of a file server does for its answer.
    execFileSync('mkfifo', [fifo])
    renameSync(fifo, join(folder, 'proc/self/mountinfo'))
    await expect.poll(() => complaints, { timeout: 10_000 }).toEqual(['STORES_UNREADABLE'])
    expect([...maps.keys()].filter((key) => key.startsWith('store_roots'))).toHaveLength(1)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect([complaints, news()]).toEqual([['STORES_UNREADABLE'], []])
    watch.stop()
    writeFileSync(join(folder, 'proc/self/mountinfo'), '')
  })
})

const canMount = (() => {
  try {
    execFileSync('unshare', ['-m', 'true'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

it.skipIf(!canMount)('what only another mount namespace has is watched while it is mounted there', async () => {
  const { watch, news, told } = open()
  watch.setRules([rule('a', { mountSources: ['vedette-store-*'] })])
  await watch.look()
  expect(news()).toEqual(['a absent vedette-store-*'])
  const child = spawn('unshare', ['-m', 'sh', '-c', `mount -t tmpfs vedette-store-1 ${folder} && echo up && read x`])
  try {
    await new Promise((resolve) => child.stdout.once('data', resolve))
    await watch.look()
    expect(told[0]).toMatchObject({ state: 'watched', path: folder, fs_type: 'tmpfs', mount_source: 'vedette-store-1' })
    expect(told.splice(0)).toHaveLength(1)
  } finally {
    child.stdin.end('\n')
    await new Promise((resolve) => child.once('exit', resolve))
  }
  await watch.look()
  expect(news()).toEqual([`a gone ${folder}`, 'a absent vedette-store-*'])
  watch.stop()
})
