import { expect, it } from 'vitest'
import type { StoreRoot } from './claims.ts'
import { parseMounts } from './mounts.ts'
import { viewsOf } from './views.ts'

const root = (store: string, rest: Partial<StoreRoot>): StoreRoot => ({
  store, device: 8 << 20 | 1, inode: 7n, born: 0n, path: '', inside: '/', folder: true, links: 1, fs_type: '',
  mount_source: '', mount_namespace: 1, reach: '', ...rest,
})

it('stores are seen wherever their file system is mounted, whole or in part, in every namespace', () => {
  const place = (id: number, text: string) => ({ id, root: '/', home: false, mounts: parseMounts(text) })
  const namespaces = [
    place(1, '1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:60 / /mnt/nfs rw - nfs4 filer:/x rw'),
    place(2, '1 0 0:70 / / rw - overlay o rw\n2 1 8:1 /data/imagenet /set rw - ext4 /dev/sda1 rw\n'
      + '3 1 8:1 /data/imagenet/train /train rw - ext4 /dev/sda1 rw\n4 1 8:1 /other /other rw - ext4 /dev/sda1 rw\n'
      + '5 1 8:1 /data /d rw - ext4 /dev/sda1 rw'),
  ]
  const roots = [root('imagenet', { inside: '/data/imagenet' }), root('nfs', { device: 60, inode: 0n }),
    root('file', { inside: '/data/w.bin', folder: false })]
  expect(viewsOf(namespaces, roots).map(({ store, mount_namespace, path, folder }) =>
    `${mount_namespace} ${store} ${path} ${folder}`)).toEqual([
    '1 imagenet /data/imagenet true', '1 file /data/w.bin false', '1 nfs /mnt/nfs true', '2 imagenet /set true',
    '2 imagenet /train true', '2 imagenet /d/imagenet true', '2 file /d/w.bin false'])
})
