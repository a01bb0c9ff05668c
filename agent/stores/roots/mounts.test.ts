import { describe, expect, it } from 'vitest'
import { deviceOf, isWithin, mountOf, parseMounts, pathInside } from './mounts.ts'

const text = [
  '27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard',
  '30 27 0:60 / /data/my\\040set rw,relatime - nfs4 filer:/export/my\\040set rw,vers=4.2',
  '31 27 254:0 /srv/models /models rw - ext4 /dev/vda rw',
  '32 31 7:3 / /models/image ro master:4 propagate_from:2 - squashfs /dev/loop3 ro',
  '33 27 0:61 / /over rw - overlay none rw,lowerdir=/a:/b\\134:c:rel,upperdir=/u\\134,d,workdir=/w',
  '34 33 0:62 / /over rw - tmpfs tmpfs rw', '', 'nonsense', '1 2 x:y / / rw - a b', '1 2 3:4',
].join('\n')

describe('mounts', () => {
  const mounts = parseMounts(text)

  it('are read from mountinfo, with blanks in names, and odd lines left out', () => {
    expect(mounts).toHaveLength(6)
    expect(mounts[1]).toEqual({
      id: 30, parent: 27, device: 60, root: '/', point: '/data/my set', type: 'nfs4', source: 'filer:/export/my set',
      layers: [],
    })
    expect(mounts[3]).toMatchObject({ device: 7 * 2 ** 20 + 3, type: 'squashfs', source: '/dev/loop3' })
  })

  it('of overlays name their layers, the upper one first', () => {
    expect(mounts[4].layers).toEqual(['/u,d', '/a', '/b:c'])
  })

  it('are found for a path: the longest mount point, and of several the last', () => {
    expect(mountOf(mounts, '/data/my set/x')?.id).toBe(30)
    expect(mountOf(mounts, '/data/my settings')?.id).toBe(27)
    expect(mountOf(mounts, '/over/x')?.id).toBe(34)
    expect(mountOf([], '/')).toBeUndefined()
  })

  it('say where a path is in its file system', () => {
    expect(pathInside(mounts[0], '/')).toBe('/')
    expect(pathInside(mounts[0], '/srv/models')).toBe('/srv/models')
    expect(pathInside(mounts[2], '/models')).toBe('/srv/models')
    expect(pathInside(mounts[2], '/models/a/b')).toBe('/srv/models/a/b')
    expect(pathInside(mounts[1], '/data/my set')).toBe('/')
  })
})

it('a folder holds itself and what is below it, and no name that begins alike', () => {
  expect(isWithin('/a', '/a')).toBe(true)
  expect(isWithin('/a/b', '/a')).toBe(true)
  expect(isWithin('/ab', '/a')).toBe(false)
  expect(isWithin('/ab', '/')).toBe(true)
})

it('device numbers are as in the kernel', () => {
  expect(deviceOf('8:1')).toBe(8 * 2 ** 20 + 1)
  for (const wrong of ['', '8', '8:', '4096:0', '0:1048576', '8:1:2']) expect(deviceOf(wrong)).toBeUndefined()
})
