// For the tests of the probes of stores: places with files, and what labels them.

import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Label } from '../../agent/stores/labels.ts'

/**
 * How much is read through each door, and how many files. An emulated machine is slow; the
 * environment can say otherwise: VEDETTE_TEST_STORES=full or small.
 */
export const storeAmounts = (() => {
  const emulated = existsSync('/dev/ttyS1') && !existsSync('/run/systemd/system')
  const wanted = process.env['VEDETTE_TEST_STORES'] || (emulated ? 'small' : 'full')
  return wanted === 'small' ? { mebibytes: 4, files: 3000 } : { mebibytes: 64, files: 100_000 }
})()

/** Folders and mounts of a test, gone with it. */
export class Ground {
  readonly folder = mkdtempSync(join(tmpdir(), 'vedette-store-'))
  readonly #mounted: string[] = []

  /** A new folder. */
  make(name: string): string {
    const path = join(this.folder, name)
    mkdirSync(path, { recursive: true })
    return path
  }

  /** A new folder with something mounted on it; the words of mount(8) but for the last. */
  mount(name: string, ...words: string[]): string {
    const place = this.make(name)
    execFileSync('mount', [...words, place])
    this.#mounted.push(place)
    return place
  }

  /** A new folder with a new ext4 on a loop device. */
  mountImage(name: string, mebibytes: number): string {
    // Where they are no modules this fails, and mount() says whether they are there.
    spawnSync('modprobe', ['-a', 'loop', 'ext4'])
    const image = join(this.folder, `${name}.img`)
    execFileSync('truncate', ['-s', `${mebibytes}M`, image])
    execFileSync('mkfs.ext4', ['-q', '-F', image])
    return this.mount(name, '-o', 'loop', image)
  }

  /** Before the end of the test. */
  unmount(place: string): void {
    execFileSync('umount', ['-l', place])
    this.#mounted.splice(this.#mounted.indexOf(place), 1)
  }

  remove(): void {
    for (const path of this.#mounted.reverse()) execFileSync('umount', ['-l', path])
    rmSync(this.folder, { recursive: true })
  }
}

/** A file of random-looking bytes, in whole or part zeros would be a hole on some file systems. */
export function writeFile(path: string, bytes: number): string {
  const fd = openSync(path, 'w')
  const block = Buffer.alloc(2 ** 20, 'vedette')
  for (let at = 0; at < bytes; at += block.length) {
    writeSync(fd, block, 0, Math.min(block.length, bytes - at))
  }
  closeSync(fd)
  return path
}

/** The label of a folder or file; `id` is the number of its store. */
export function labelOf(path: string, id: number): Label {
  const found = statSync(path, { bigint: true })
  return { device: kernelDevice(found.dev), inode: found.ino, folder: found.isDirectory(), id }
}

/** The label of a whole file system. */
export function labelOfAll(path: string, id: number): Label {
  return { ...labelOf(path, id), inode: 0n }
}

/** As the kernel spells it (major << 20 | minor), of what stat() gives. */
function kernelDevice(dev: bigint): number {
  const major = dev >> 8n & 0xfffn | dev >> 32n & 0xfffff000n
  const minor = dev & 0xffn | dev >> 12n & 0xffffff00n
  return Number(major << 20n | minor)
}
