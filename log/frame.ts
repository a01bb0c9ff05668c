/**
 * A frame holds one payload. Pure functions over bytes, little-endian.
 *
 *    0  4  marker "FRAM"
 *    4  4  payload bytes
 *    8  8  position
 *   16 32  chain hash
 *   48  4  crc32 of the payload
 *   52  4  crc32 of bytes 0 to 51
 *   56  …  payload
 *
 * The header has its own checksum: a damaged payload then costs one frame, because the place of the
 * next one is still known. A damaged header costs readers the rest of its segment: searching for
 * something that looks like a frame would let bytes inside a payload pass for evidence.
 */
import { crc32 } from 'node:zlib'
import { readUint53, writeUint53 } from './uint53.ts'

export const FRAME_HEADER_BYTES = 56
/** The largest payload that the format allows. */
export const PAYLOAD_BYTES_MAX = 16 * 1024 * 1024

const MARKER_TEXT = 'FRAM'
const MARKER = Buffer.from(MARKER_TEXT, 'latin1').readUInt32LE(0)

/** The head of a frame; `hash` is a view into the decoded bytes. */
export interface FrameHeader {
  payloadBytes: number
  position: number
  hash: Buffer
  payloadCrc: number
}

/** Encodes the 56 bytes before `payload`; the payload itself is not copied. */
export function encodeFrameHeader(position: number, hash: Buffer, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_HEADER_BYTES)
  bytes.writeUInt32LE(MARKER, 0)
  bytes.writeUInt32LE(payload.length, 4)
  writeUint53(bytes, position, 8)
  hash.copy(bytes, 16, 0, 32)
  bytes.writeUInt32LE(crc32(payload), 48)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 52)), 52)
  return bytes
}

/** Decodes the frame header at `offset`; null when the bytes there are not an intact one. */
export function decodeFrameHeader(bytes: Buffer, offset: number): FrameHeader | null {
  if (offset + FRAME_HEADER_BYTES > bytes.length) return null
  if (bytes.readUInt32LE(offset) !== MARKER) return null
  if (crc32(bytes.subarray(offset, offset + 52)) !== bytes.readUInt32LE(offset + 52)) return null
  const payloadBytes = bytes.readUInt32LE(offset + 4)
  if (payloadBytes > PAYLOAD_BYTES_MAX) return null
  return {
    payloadBytes,
    position: readUint53(bytes, offset + 8),
    hash: bytes.subarray(offset + 16, offset + 48),
    payloadCrc: bytes.readUInt32LE(offset + 48),
  }
}

/** Where the next frame marker stands at or after `offset`, or -1. */
export function findFrameMarker(bytes: Buffer, offset: number): number {
  return bytes.indexOf(MARKER_TEXT, offset, 'latin1')
}
