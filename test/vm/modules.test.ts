import { expect, test } from 'vitest'
import { VmError } from './errors.ts'
import { loadOrder, moduleName, parseModulesBuiltin, parseModulesDep } from './modules.ts'

const table = parseModulesDep([
  'kernel/fs/9p/9p.ko.xz: kernel/net/9p/9pnet.ko.xz kernel/fs/netfs/netfs.ko.xz',
  'kernel/net/9p/9pnet.ko.xz:',
  'kernel/net/9p/9pnet_virtio.ko.xz: kernel/net/9p/9pnet.ko.xz kernel/drivers/virtio/virtio.ko.xz',
  'kernel/fs/netfs/netfs.ko.xz:',
  'kernel/drivers/virtio/virtio.ko.xz:',
  '',
  'a line that depmod would not write',
].join('\n'))

const orderOf = (...names: string[]): string[] => {
  return loadOrder(names, table, new Set(['virtio_pci'])).map(moduleName)
}

test('a module comes after everything that it needs, and each comes once', () => {
  expect(orderOf('9p', '9pnet_virtio')).toEqual(['9pnet', 'netfs', '9p', 'virtio', '9pnet_virtio'])
})

test('a module that is built in needs no file', () => {
  expect(orderOf('virtio_pci')).toEqual([])
})

test('a dash and an underscore in a name are the same', () => {
  expect(orderOf('9pnet-virtio')).toContain('9pnet_virtio')
  expect(moduleName('kernel/drivers/net/snd-hda.ko')).toBe('snd_hda')
})

test('compressed and plain files give the same name', () => {
  expect(['9p.ko', 'x/9p.ko.xz', '9p.ko.zst', '9p.ko.gz'].map(moduleName))
    .toEqual(['9p', '9p', '9p', '9p'])
})

test('an unknown module is an error that names it', () => {
  expect(() => orderOf('nvidia')).toThrow(VmError)
  expect(() => orderOf('nvidia')).toThrow(/nvidia \(asked for by the rig\)/)
})

test('a need that is not listed is an error that names both', () => {
  const torn = parseModulesDep('kernel/a.ko: kernel/b.ko')
  expect(() => loadOrder(['a'], torn, new Set())).toThrow(/module b \(asked for by a\)/)
})

test('a circle is an error and does not hang', () => {
  const circle = parseModulesDep('kernel/a.ko: kernel/b.ko\nkernel/b.ko: kernel/a.ko')
  expect(() => loadOrder(['a'], circle, new Set())).toThrow(/circle/)
})

test('the list of built-in modules gives names', () => {
  expect(parseModulesBuiltin('kernel/drivers/virtio/virtio-pci.ko\n'))
    .toEqual(new Set(['virtio_pci']))
  expect(parseModulesBuiltin('')).toEqual(new Set())
})
