import { describe, expect, it } from 'vitest'
import type { NativeFailure } from '../../native/index.ts'
import { WatchedStores } from './watched.ts'

/** Maps as the kernel keeps them. */
class Maps {
  readonly entries = new Map<string, string>()
  asked = 0
  refuse = ''

  setEntry(map: string, key: Uint8Array, value?: Uint8Array): NativeFailure | undefined {
    this.asked++
    if (map === this.refuse) return { operation: 'set_entry', errno: 7, code: 'E2BIG', detail: '' }
    const name = `${map} ${Buffer.from(key).toString('hex')}`
    if (value) this.entries.set(name, Buffer.from(value).toString('hex'))
    else this.entries.delete(name)
    return undefined
  }

  /** The beginnings of paths, with their stores. */
  get paths(): Record<string, number> {
    return Object.fromEntries([...this.entries].filter(([name]) => name.startsWith('store_paths'))
      .map(([name, value]) => {
        const key = Buffer.from(name.split(' ')[1], 'hex')
        const bytes = key.readUInt32LE(0) / 8 - 4
        return [`${key.readUInt32LE(4)} ${key.toString('utf8', 8, 8 + bytes)}`,
          Buffer.from(value, 'hex').readUInt32LE()]
      }))
  }
}

const models = { mount_namespace: 5, path: '/data/models', folder: true, id: 3 }

describe('what the probes know of the changes of stores', () => {
  it('is which stores hold artifacts, and how their paths begin and end', () => {
    const maps = new Maps()
    const watched = new WatchedStores(maps)
    const file = { mount_namespace: 6, path: '/one.bin', folder: false, id: 4 }
    expect(watched.set([3, 4], [models, file])).toBeUndefined()
    expect(maps.paths).toEqual({
      '5 /data/models/': 3, '5 /data/models\0': 3, '6 /one.bin\0': 4,
    })
    expect([...maps.entries.keys()].filter((name) => name.startsWith('store_artifacts')))
      .toEqual(['store_artifacts 03000000', 'store_artifacts 04000000'])
  })

  it('is brought up to date by what changed, and no more', () => {
    const maps = new Maps()
    const watched = new WatchedStores(maps)
    watched.set([3], [models])
    expect(maps.asked).toBe(3)
    watched.set([3], [models])
    expect(maps.asked).toBe(3)
    watched.set([], [{ ...models, id: 9 }])
    expect(maps.asked).toBe(6)
    expect(maps.paths).toEqual({ '5 /data/models/': 9, '5 /data/models\0': 9 })
    watched.set([], [])
    expect(maps.entries.size).toBe(0)
  })

  it('all of a file system that is mounted as the root begins with a slash', () => {
    const maps = new Maps()
    new WatchedStores(maps).set([], [{ ...models, path: '/' }])
    expect(maps.paths).toEqual({ '5 /': 3, '5 /\0': 3 })
  })

  it('leaves out and counts what does not fit', () => {
    const watched = new WatchedStores(new Maps())
    watched.set([], [{ ...models, path: `/${'x'.repeat(300)}` }])
    expect(watched.left).toBe(1)
    watched.set(Array.from({ length: 1030 }, (_, at) => at + 1), [])
    expect(watched.left).toBe(6)
    watched.set([1], [models])
    expect(watched.left).toBe(0)
  })

  it('says what the kernel refuses, and tries it again', () => {
    const maps = new Maps()
    const watched = new WatchedStores(maps)
    maps.refuse = 'store_paths'
    expect(watched.set([3], [models])).toMatchObject({ code: 'E2BIG' })
    maps.refuse = ''
    expect(watched.set([3], [models])).toBeUndefined()
    expect(Object.keys(maps.paths)).toHaveLength(2)
  })
})
