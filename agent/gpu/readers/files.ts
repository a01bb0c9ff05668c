// Files of a node as small texts, lists and digests, below a root folder. Everything is bounded and
// asynchronous: a file of a driver may take as long as the driver likes.

import { createHash } from 'node:crypto'
import { open, readdir, readlink, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { known, notSupported, unknown } from '../../../gpu/state/item.ts'
import type { GpuItem, ItemPlace } from '../../../gpu/state/item.ts'

/** What a file holds, or the code why it could not be read, such as 'ENOENT'. */
export type FileText = { text: string, error?: undefined } | { text?: undefined, error: string }

const textBytesMax = 64 * 1024
const textChunkBytes = 4096
const namesMax = 4096
const digestChunkBytes = 1024 * 1024
const digestsMax = 512
const dpkgBytesMax = 32 * 1024 * 1024

interface Digest { identity: string, sha256: string }

/** Files below a root, '/' but in tests and where the host is mounted elsewhere. */
export class Files {
  readonly #root: string
  readonly #digests = new Map<string, Digest>()
  /** Bytes that were read for digests. */
  digestBytes = 0

  constructor(root = '/') {
    this.#root = root
  }

  /** Which file it is; '' when there is none. Another one after each change. */
  async identity(path: string): Promise<string> {
    const found = await this.#stat(path)
    return found ? [found.dev, found.ino, found.mtimeNs, found.ctimeNs, found.size].join() : ''
  }

  /** The first `bytesMax` bytes, one character each. */
  async text(path: string, bytesMax = textBytesMax): Promise<FileText> {
    try {
      await using file = await open(join(this.#root, path))
      const parts: string[] = []
      // Files of procfs and sysfs do not tell their size; nearly all are small.
      const buffer = Buffer.allocUnsafe(Math.min(bytesMax, textChunkBytes))
      for (let left = bytesMax; left > 0;) {
        const { bytesRead } = await file.read(buffer, 0, Math.min(left, buffer.length))
        if (bytesRead === 0) break
        parts.push(buffer.toString('latin1', 0, bytesRead))
        left -= bytesRead
      }
      return { text: parts.join('') }
    } catch (error) {
      return { error: codeOf(error) }
    }
  }

  /** Names in a folder, sorted; none when there is none. */
  async names(path: string): Promise<string[]> {
    try {
      return (await readdir(join(this.#root, path))).sort().slice(0, namesMax)
    } catch {
      return []
    }
  }

  async exists(path: string): Promise<boolean> {
    return await this.#stat(path) !== undefined
  }

  /** Last part of where a link leads; '' when it is none. */
  async linkName(path: string): Promise<string> {
    try {
      return (await readlink(join(this.#root, path))).split('/').at(-1) ?? ''
    } catch {
      return ''
    }
  }

  /** Kind, device number, permissions and owner as 'c 195:0 0666 0:0'; undefined when not there. */
  async node(path: string): Promise<string | undefined> {
    const found = await this.#stat(path)
    if (!found) return undefined
    const { mode, rdev, uid, gid } = found
    const device = Number(rdev)
    const letter = { 0o020000: 'c', 0o060000: 'b', 0o040000: 'd' }[Number(mode) & 0o170000] ?? '-'
    const permissions = (Number(mode) & 0o7777).toString(8).padStart(4, '0')
    return `${letter} ${device >>> 8 & 0xfff}:${device & 0xff | device >>> 12 & 0xfff00} ` +
      `${permissions} ${uid}:${gid}`
  }

  /** SHA-256 as hex; read again only when the file is another one. */
  async sha256(path: string, bytesMax: number): Promise<FileText> {
    const found = await this.#stat(path)
    if (!found) return { error: 'ENOENT' }
    if ((Number(found.mode) & 0o170000) !== 0o100000) return { error: 'EINVAL' }
    if (found.size > bytesMax) return { error: 'EFBIG' }
    const identity = [found.dev, found.ino, found.mtimeNs, found.ctimeNs, found.size].join()
    const before = this.#digests.get(path)
    if (before?.identity === identity) return { text: before.sha256 }
    try {
      const sha256 = await this.#digest(join(this.#root, path), bytesMax)
      this.#digests.delete(path)
      if (this.#digests.size >= digestsMax) this.#digests.delete([...this.#digests.keys()][0])
      this.#digests.set(path, { identity, sha256 })
      return { text: sha256 }
    } catch (error) {
      return { error: codeOf(error) }
    }
  }

  /** Version of a package by dpkg; undefined when it does not know it. */
  async dpkgVersion(name: string): Promise<string | undefined> {
    try {
      const path = join(this.#root, 'var/lib/dpkg/status')
      await using file = await open(path)
      if ((await file.stat()).size > dpkgBytesMax) return undefined
      const text = await file.readFile('latin1')
      const at = text.indexOf(`\nPackage: ${name}\n`)
      if (at < 0) return undefined
      return /^Version: (\S+)$/m.exec(text.slice(at, text.indexOf('\n\n', at + 1)))?.[1]
    } catch {
      return undefined
    }
  }

  async #stat(path: string) {
    try {
      return await stat(join(this.#root, path), { bigint: true })
    } catch {
      return undefined
    }
  }

  /** A millisecond per chunk on the event loop. */
  async #digest(path: string, bytesMax: number): Promise<string> {
    const hash = createHash('sha256')
    await using file = await open(path)
    const buffer = Buffer.allocUnsafe(digestChunkBytes)
    for (let sum = 0; sum <= bytesMax;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length)
      if (bytesRead === 0) break
      hash.update(buffer.subarray(0, bytesRead))
      sum += bytesRead
      this.digestBytes += bytesRead
    }
    return hash.digest('hex')
  }
}

/**
 * An item that a file tells: as `words` puts its text (undefined: it says nothing known). A file
 * that is not there means that kernel or platform have no such thing, for the reason `absent`.
 */
export function itemOfText(
  place: ItemPlace, { text, error }: FileText, absent: string,
  words: (text: string) => string | undefined = (same) => same,
): GpuItem {
  if (error === 'ENOENT' || error === 'ENOTDIR') return notSupported(place, absent)
  if (text === undefined) return unknown(place, error ?? '')
  const value = words(text.trim())
  return value === undefined ? unknown(place, `it says "${text.trim()}"`) : known(place, value)
}

/** 'Y', '1', 'N', '0' as 'on' and 'off'. */
export function onOff(text: string): string | undefined {
  return { Y: 'on', 1: 'on', N: 'off', 0: 'off' }[text]
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error)
}
