import { expect, test } from 'vitest'
import { decodeSegmentHeader, encodeSegmentHeader, FORMAT_VERSION } from './segment.ts'
import { fuzzLog } from './segment.fuzz.ts'

const header = {
  firstPosition: 2 ** 40 + 7, createdMs: 1_700_000_000_123, previousHash: Buffer.alloc(32, 9),
}

test('a segment header comes back as it was written', () => {
  const decoded = decodeSegmentHeader(encodeSegmentHeader(header))
  expect(decoded).toEqual({ ...header, version: FORMAT_VERSION })
})

test('a segment header has the bytes that version 1 was released with', () => {
  const bytes = encodeSegmentHeader({
    firstPosition: 1, createdMs: 2, previousHash: Buffer.alloc(32),
  })
  const numbers = '01000000' + '00000000' + '0100000000000000' + '0200000000000000'
  expect(bytes.subarray(0, 8).toString('latin1')).toBe('VEDETLOG')
  expect(bytes.subarray(8, 68).toString('hex')).toBe(numbers + '00'.repeat(36))
  expect(bytes.length).toBe(72)
})

test('a segment header with any flipped bit or missing byte is refused', () => {
  const bytes = encodeSegmentHeader(header)
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const damaged = Buffer.from(bytes)
    damaged[bit >> 3] ^= 1 << (bit & 7)
    expect(decodeSegmentHeader(damaged)).toBeNull()
  }
  for (let length = 0; length < bytes.length; length++) {
    expect(decodeSegmentHeader(bytes.subarray(0, length))).toBeNull()
  }
})

test('random damage to a log is always reported and never read as a payload', async () => {
  await fuzzLog({ seed: 20_240_117, rounds: 60 })
})
