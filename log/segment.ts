/**
 * A segment is one file: this header, then frames (`frame.ts`) to the end. Its name is the position
 * of its first frame. Pure functions over bytes, little-endian.
 *
 *    0  8  magic "VEDETLOG"
 *    8  4  format version
 *   12  4  zero
 *   16  8  first position
 *   24  8  created, ms since the epoch
 *   32 32  chain hash of the frame before
 *   64  4  zero
 *   68  4  crc32 of bytes 0 to 67
 */
import { crc32 } from 'node:zlib'
import { readUint53, writeUint53 } from './uint53.ts'

export const SEGMENT_HEADER_BYTES = 72
export const FORMAT_VERSION = 1

const MAGIC = Buffer.from('VEDETLOG', 'latin1')

/** The head of a segment file. */
export interface SegmentHeader {
  version: number
  firstPosition: number
  createdMs: number
  /** Chain hash of the frame before the first one, 32 bytes; zeros at the very start. */
  previousHash: Buffer
}

/** Encodes a segment header of the current version into 72 new bytes. */
export function encodeSegmentHeader(header: Omit<SegmentHeader, 'version'>): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES)
  MAGIC.copy(bytes)
  bytes.writeUInt32LE(FORMAT_VERSION, 8)
  writeUint53(bytes, header.firstPosition, 16)
  writeUint53(bytes, header.createdMs, 24)
  header.previousHash.copy(bytes, 32, 0, 32)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 68)), 68)
  return bytes
}

/** Decodes a segment header of any version; null when it is cut off, foreign or damaged. */
export function decodeSegmentHeader(bytes: Buffer): SegmentHeader | null {
  if (bytes.length < SEGMENT_HEADER_BYTES || !bytes.subarray(0, 8).equals(MAGIC)) return null
  if (crc32(bytes.subarray(0, 68)) !== bytes.readUInt32LE(68)) return null
  return {
    version: bytes.readUInt32LE(8),
    firstPosition: readUint53(bytes, 16),
    createdMs: readUint53(bytes, 24),
    previousHash: Buffer.from(bytes.subarray(32, 64)),
  }
}
