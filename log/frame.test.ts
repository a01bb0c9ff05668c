import { expect, test } from 'vitest'
import {
  decodeFrameHeader, encodeFrameHeader, findFrameMarker, FRAME_HEADER_BYTES, PAYLOAD_BYTES_MAX,
} from './frame.ts'

const hash = Buffer.alloc(32, 3)
const payload = Buffer.from('a batch of events')

test('a frame header comes back as it was written', () => {
  const bytes = encodeFrameHeader(2 ** 45 + 1, hash, payload)
  const decoded = decodeFrameHeader(bytes, 0)
  expect(decoded).toMatchObject({ position: 2 ** 45 + 1, payloadBytes: payload.length })
  expect(decoded?.hash.equals(hash)).toBe(true)
})

test('a frame header with any flipped bit is refused', () => {
  const bytes = encodeFrameHeader(5, hash, payload)
  for (let bit = 0; bit < FRAME_HEADER_BYTES * 8; bit++) {
    const damaged = Buffer.from(bytes)
    damaged[bit >> 3] ^= 1 << (bit & 7)
    expect(decodeFrameHeader(damaged, 0)).toBeNull()
  }
})

test('a frame header that is cut off by the end of the bytes is refused', () => {
  const bytes = encodeFrameHeader(5, hash, payload)
  expect(decodeFrameHeader(bytes, 1)).toBeNull()
  expect(decodeFrameHeader(bytes.subarray(0, 55), 0)).toBeNull()
})

test('a frame header that claims more than the largest payload is refused', () => {
  const largest = Buffer.alloc(PAYLOAD_BYTES_MAX)
  const tooLarge = Buffer.alloc(PAYLOAD_BYTES_MAX + 1)
  expect(decodeFrameHeader(encodeFrameHeader(1, hash, largest), 0)).not.toBeNull()
  expect(decodeFrameHeader(encodeFrameHeader(1, hash, tooLarge), 0)).toBeNull()
})

test('the next frame marker is found, and none where there is none', () => {
  const bytes = Buffer.concat([Buffer.from('FRA'), encodeFrameHeader(1, hash, payload)])
  expect(findFrameMarker(bytes, 0)).toBe(3)
  expect(findFrameMarker(bytes, 4)).toBe(-1)
})
