import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { CHAIN_START, chainHash } from './chain.ts'

const payload = Buffer.from('payload')

test('a link is sha256 of the hash before, the position as u64 and the payload', () => {
  const position = Buffer.from('0100000002000000', 'hex')
  const expected = createHash('sha256').update(Buffer.concat([CHAIN_START, position, payload]))
  const actual = chainHash(CHAIN_START, 2 * 2 ** 32 + 1, payload)
  expect(actual.toString('hex')).toBe(expected.digest('hex'))
})

test('a link changes with the payload, the position and the hash before', () => {
  const link = chainHash(CHAIN_START, 1, payload)
  const others = [
    chainHash(CHAIN_START, 2, payload),
    chainHash(link, 1, payload),
    chainHash(CHAIN_START, 1, Buffer.from('payloae')),
  ]
  for (const other of others) expect(other.equals(link)).toBe(false)
})
