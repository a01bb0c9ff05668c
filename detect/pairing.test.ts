import { describe, expect, it } from 'vitest'
import { parseAddress } from '../proto/address.ts'
import { Pairing, addressKey, connectionKey } from './pairing.ts'

const none = { process: 0, source: 0, seq: 0 }

function keyOf(client: string, clientPort: number, server: string, port: number, place = 0) {
  const key = { low: 0, high: 0 }
  connectionKey(parseAddress(client), 0, clientPort, parseAddress(server), 0, port, 6, place, key)
  return key
}

describe('pairing', () => {
  it('brings the two ends together in either order, once', () => {
    const pairing = new Pairing(64)
    const key = keyOf('10.0.0.1', 40_000, '10.0.0.2', 80)
    const first = { process: 7, source: 1, seq: 11 }
    const second = { process: 8, source: 2, seq: 5 }
    for (const [a, b] of [[1, 2], [2, 1]]) {
      const other = { ...none }
      expect(pairing.meet(key, a, first, 1000, other)).toBe(false)
      expect(pairing.meet(key, b, second, 1001, other)).toBe(true)
      expect(other).toEqual(first)
      expect(pairing.meet(key, b, second, 1002, other)).toBe(false)
      expect(pairing.meet(key, a, first, 1003, other)).toBe(true)
    }
  })

  it('does not take an end from long ago for the other one', () => {
    const pairing = new Pairing(64)
    const key = keyOf('10.0.0.1', 40_000, '10.0.0.2', 80)
    pairing.meet(key, 1, none, 0, { ...none })
    expect(pairing.meet(key, 2, none, 200_000, { ...none })).toBe(false)
    expect(pairing.evictions).toBe(0)
  })

  it('takes the newer of two connections with the same addresses and ports', () => {
    const pairing = new Pairing(64)
    const key = keyOf('10.0.0.1', 40_000, '10.0.0.2', 80)
    pairing.meet(key, 1, { ...none, seq: 1 }, 0, { ...none })
    pairing.meet(key, 1, { ...none, seq: 2 }, 10, { ...none })
    const other = { ...none }
    expect(pairing.meet(key, 2, none, 20, other)).toBe(true)
    expect(other.seq).toBe(2)
  })

  it('stays as large as it is, and counts the ends that gave way', () => {
    const pairing = new Pairing(64)
    for (let i = 0; i < 640; i++) {
      pairing.meet(keyOf('10.0.0.1', i, '10.0.0.2', 80), 1, none, i, { ...none })
    }
    const { slots } = pairing.snapshot()
    expect(slots.length).toBeLessThanOrEqual(64)
    expect(pairing.evictions).toBe(640 - slots.length)
  })

  it('goes on from a snapshot', () => {
    const pairing = new Pairing(64)
    for (let i = 0; i < 100; i++) {
      pairing.meet(keyOf('10.0.0.1', i, '10.0.0.2', 80), 1, { ...none, seq: i }, i, { ...none })
    }
    const second = new Pairing(64)
    second.restore(structuredClone(pairing.snapshot()))
    const other = { ...none }
    expect(second.meet(keyOf('10.0.0.1', 99, '10.0.0.2', 80), 2, none, 100, other)).toBe(true)
    expect(other.seq).toBe(99)
  })
})

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
