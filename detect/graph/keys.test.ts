import { describe, expect, it } from 'vitest'
import { parseAddress } from '../../proto/address.ts'
import { addressKey, connectionKey } from './keys.ts'

function keyOf(client: string, clientPort: number, server: string, port: number, place = 0) {
  const key = { low: 0, high: 0 }
  connectionKey(parseAddress(client), 0, clientPort, parseAddress(server), 0, port, 6, place, key)
  return key
}

describe('keys', () => {
  it('differ for every part of a connection, and for the direction', () => {
    const keys = [
      keyOf('10.0.0.1', 1, '10.0.0.2', 2), keyOf('10.0.0.2', 2, '10.0.0.1', 1),
      keyOf('10.0.0.1', 2, '10.0.0.2', 1), keyOf('10.0.0.1', 1, '10.0.0.3', 2),
      keyOf('10.0.0.1', 1, '10.0.0.2', 2, 5), keyOf('::1', 1, '::2', 2),
      keyOf('2001:db8::1', 1, '2001:db8::2', 2), keyOf('2001:db8:1::1', 1, '2001:db8::2', 2),
    ]
    expect(new Set(keys.map(({ low, high }) => `${low} ${high}`)).size).toBe(keys.length)
  })

  it('spread: a hundred thousand connections have as many keys', () => {
    const seen = new Set<number>()
    const key = { low: 0, high: 0 }
    const client = parseAddress('10.0.0.1')
    const server = parseAddress('10.0.0.2')
    for (let i = 0; i < 100_000; i++) {
      client[14] = i >> 12
      connectionKey(client, 0, i & 0xfff, server, 0, 443, 6, 0, key)
      seen.add((key.high & 0x1fffff) * 4294967296 + key.low)
    }
    expect(seen.size).toBe(100_000)
  })

  it('of addresses are exact for IPv4 and differ for IPv6', () => {
    const texts = ['10.0.0.1', '10.0.0.2', '1.0.0.10', '2001:db8::1', '2001:db8::2', 'fe80::1']
    const keys = texts.map((text) => addressKey(parseAddress(text), 0))
    expect(new Set(keys).size).toBe(texts.length)
    expect(keys[0]).toBe(0x0a000001)
    for (const key of keys) expect(Number.isSafeInteger(key)).toBe(true)
  })
})
