// What a file that the kernel loaded is, read by the agent a moment later: its digest, and for
// firmware the version that it says.

import { createHash } from 'node:crypto'
import { constants, readSync } from 'node:fs'
import type { BigIntStats } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { firmwareVersion } from '../../gpu/firmware-version.ts'

/** Which file it must still be, as the kernel saw it. */
export interface ExpectedFile {
  path: string
  inode: bigint
  bytes: number
  /** It may not have been changed later than this, nanoseconds since 1970. */
  changedNsMax: bigint
}

export interface FileFacts {
  /** SHA-256, hex. */
  sha256: string
  /** Absent when the file says none. */
  firmware_version?: string
}

const chunkBytes = 1024 * 1024

/**
 * Reads the file; undefined when it cannot be read, is longer than `bytesMax`, or is not the same
 * file any more: another inode or length, or changed since. The device is not compared: stat() of
 * an overlay or of btrfs names another one than the kernel. About a millisecond per chunk.
 */
export async function readFileFacts(
  expected: ExpectedFile, bytesMax: number, signal: AbortSignal, isFirmware = false,
): Promise<FileFacts | undefined> {
  if (expected.bytes > bytesMax) return undefined
  const isSame = ({ ino, size, ctimeNs, mode }: BigIntStats): boolean =>
    ino === expected.inode && size === BigInt(expected.bytes) &&
    ctimeNs <= expected.changedNsMax && (Number(mode) & constants.S_IFMT) === constants.S_IFREG
  try {
    // A pipe would wait for its writer, and a device do something when it is opened.
    if (!isSame(await stat(expected.path, { bigint: true }))) return undefined
    await using file = await open(expected.path, constants.O_RDONLY | constants.O_NONBLOCK)
    if (!isSame(await file.stat({ bigint: true }))) return undefined
    const hash = createHash('sha256')
    const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, expected.bytes || 1))
    for (let at = 0; at < expected.bytes;) {
      signal.throwIfAborted()
      const { bytesRead } = await file.read(buffer, 0, buffer.length, at)
      if (bytesRead === 0) return undefined
      hash.update(buffer.subarray(0, bytesRead))
      at += bytesRead
    }
    const version = isFirmware
      ? firmwareVersion((at, bytes) => readAt(file.fd, at, bytes)) : undefined
    if (!isSame(await file.stat({ bigint: true }))) return undefined
    return {
      sha256: hash.digest('hex'), ...(version === undefined ? {} : { firmware_version: version }),
    }
  } catch {
    // Gone, not permitted, a broken disk, too late: the fact is absent, which is counted.
    return undefined
  }
}

/** Of what was read a moment ago. */
function readAt(fd: number, at: number, bytes: number): Uint8Array {
  const buffer = Buffer.alloc(bytes)
  return buffer.subarray(0, readSync(fd, buffer, 0, bytes, at))
}
