// Reads files of others: never longer than a moment, never anything but a file, and never another
// one than was begun.

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import type { BigIntStats } from 'node:fs'

const { O_NOATIME, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants

/** A file as it was when it was looked at. */
export interface FileIdentity {
  inode: bigint
  /** Kernel encoding, major << 20 | minor. */
  device: number
  bytes: number
  /** The same while nobody changed it. */
  version: string
}

/** Why a file cannot be read; `code` as of the system, or ENOTFILE, ECHANGED. */
export class FileError extends Error {
  override readonly name = 'FileError'
  readonly code: string

  constructor(code: string) {
    super(code)
    this.code = code
  }
}

/** What the file is now. Throws FileError. */
export function identify(path: string): FileIdentity {
  return withFile(path, (_, identity) => identity)
}

/** Fills the buffer from byte `at` on; how many there were. Throws FileError. */
export function readPart(path: string, at: number, buffer: Uint8Array, version: string): number {
  return withFile(path, (descriptor, identity) => {
    if (identity.version !== version) throw new FileError('ECHANGED')
    let filled = 0
    while (filled < buffer.length) {
      const count = readSync(descriptor, buffer, filled, buffer.length - filled, at + filled)
      if (count === 0) break
      filled += count
    }
    return filled
  })
}

function withFile<T>(path: string, act: (descriptor: number, identity: FileIdentity) => T): T {
  let descriptor = -1
  try {
    descriptor = open(path)
    const stat = fstatSync(descriptor, { bigint: true })
    if (!stat.isFile()) throw new FileError('ENOTFILE')
    return act(descriptor, identityOf(stat))
  } catch (error) {
    if (error instanceof FileError) throw error
    throw new FileError((error as NodeJS.ErrnoException).code ?? String(error))
  } finally {
    if (descriptor >= 0) closeSync(descriptor)
  }
}

/** Nobody shall take the agent for a reader: the time of the last access stays, if it may. */
function open(path: string): number {
  const flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK
  try {
    return openSync(path, flags | O_NOATIME)
  } catch (error) {
    // Only the owner and CAP_FOWNER may ask for that.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
    return openSync(path, flags)
  }
}

function identityOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): FileIdentity {
  const major = (dev >> 8n & 0xfffn) | (dev >> 32n & 0xfffff000n)
  const minor = (dev & 0xffn) | (dev >> 12n & 0xffffff00n)
  return {
    inode: ino, device: Number((major << 20n | minor) & 0xffffffffn), bytes: Number(size),
    // The time of the last change of the inode cannot be set by anybody.
    version: [dev, ino, size, mtimeNs, ctimeNs].join(':'),
  }
}
