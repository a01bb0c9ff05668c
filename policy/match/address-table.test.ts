import { describe, expect, it } from 'vitest'
import { AddressTable, CIDRS_MAX } from './address-table.ts'
import { parseCidr } from './cidr.ts'
import type { Cidr } from './cidr.ts'

const cidr = (text: string): Cidr => parseCidr(text) as Cidr
const bytesOf = (address: string): Uint8Array => cidr(address).bytes
const table = (...texts: string[]): AddressTable => new AddressTable(texts.map(cidr))

/** Seeded random 32-bit numbers (mulberry32), so that a failure repeats. */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
}

/** Reference: try every CIDR, bit by bit. */
function scan(cidrs: Cidr[], bytes: Uint8Array, offset: number): number {
  let best = -1
  const v4 = bytesOf('0.0.0.0').every((byte, i) => i >= 12 || bytes[offset + i] === byte)
  for (const [index, { bytes: net, bits }] of cidrs.entries()) {
    if (v4 && bits < 96) continue
    let inside = true
    for (let bit = 0; bit < bits && inside; bit++) {
      const mask = 0x80 >> (bit & 7)
      inside = (net[bit >> 3] & mask) === (bytes[offset + (bit >> 3)] & mask)
    }
    if (inside && (best < 0 || bits > cidrs[best].bits)) best = index
  }
  return best
}

describe('the address table', () => {
  it('gives the longest prefix, in whatever order the prefixes come', () => {
    for (const order of [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]]) {
      const texts = ['10.0.0.0/8', '10.20.0.0/16', '10.20.30.0/24', '10.20.30.40/32']
      const found = table(...order.map((i) => texts[i]))
      const owner = (address: string): string | undefined => {
        return texts[order[found.find(bytesOf(address), 0)]]
      }
      expect(owner('10.20.30.40')).toBe('10.20.30.40/32')
      expect(owner('10.20.30.41')).toBe('10.20.30.0/24')
      expect(owner('10.20.31.1')).toBe('10.20.0.0/16')
      expect(owner('10.21.0.0')).toBe('10.0.0.0/8')
      expect(owner('11.0.0.0')).toBeUndefined()
    }
  })

  it('keeps IPv4 and IPv6 apart', () => {
    const found = table('::/0', 'fd00::/8')
    expect(found.find(bytesOf('10.0.0.1'), 0)).toBe(-1)
    expect(found.find(bytesOf('::1'), 0)).toBe(0)
    expect(found.find(bytesOf('fd12::1'), 0)).toBe(1)
    expect(table('0.0.0.0/0').find(bytesOf('::1'), 0)).toBe(-1)
    expect(table('0.0.0.0/0').find(bytesOf('255.255.255.255'), 0)).toBe(0)
  })

  it('gives the first of equal prefixes', () => {
    const found = table('10.0.0.0/8', '10.0.0.0/8', 'fd00::/8', 'fd00::/8')
    expect(found.find(bytesOf('10.1.1.1'), 0)).toBe(0)
    expect(found.find(bytesOf('fd00::1'), 0)).toBe(2)
    expect(found.find(bytesOf('fe00::'), 0)).toBe(-1)
  })

  it('finds nothing when it is empty', () => {
    expect(table().find(bytesOf('10.0.0.1'), 0)).toBe(-1)
    expect(table().find(bytesOf('ffff::'), 0)).toBe(-1)
  })

  it('reads at an offset and knows the first and last address of a range', () => {
    const found = table('192.0.2.128/25', '2001:db8::/33')
    const row = new Uint8Array(64).fill(0xee)
    const at = (address: string): number => {
      row.set(bytesOf(address), 32)
      return found.find(row, 32)
    }
    expect([at('192.0.2.127'), at('192.0.2.128'), at('192.0.2.255'), at('192.0.3.0')])
      .toEqual([-1, 0, 0, -1])
    const v6 = ['2001:db7:ffff:ffff:ffff:ffff:ffff:ffff', '2001:db8::',
      '2001:db8:7fff:ffff:ffff:ffff:ffff:ffff', '2001:db8:8000::']
    expect(v6.map(at)).toEqual([-1, 1, 1, -1])
  })

  it('agrees with a scan for seeded random prefixes and addresses of both families', () => {
    const next = random(7)
    const cidrs: Cidr[] = []
    for (let i = 0; i < 400; i++) {
      const v4 = i % 2 === 0
      const bits = v4 ? 96 + (next() % 33) : next() % 129
      const bytes = new Uint8Array(16)
      // Few distinct bytes, so that prefixes nest and touch.
      if (v4) bytes.fill(0xff, 10, 12)
      for (let b = v4 ? 12 : 0; b < 16; b++) bytes[b] = [0, 1, 0x7f, 0x80, 0xff][next() % 5]
      for (let bit = bits; bit < 128; bit++) bytes[bit >> 3] &= ~(0x80 >> (bit & 7))
      if (cidrs.some((one) => one.bits === bits && one.bytes.join() === bytes.join())) continue
      cidrs.push({ bytes, bits })
    }
    const found = new AddressTable(cidrs)
    let inside = 0
    for (let i = 0; i < 4000; i++) {
      const address = Uint8Array.from(cidrs[next() % cidrs.length].bytes)
      address[15 - next() % 4] = next()
      const expected = scan(cidrs, address, 0)
      if (found.find(address, 0) !== expected) expect.fail(`${address.join('.')}: not ${expected}`)
      if (expected >= 0) inside++
    }
    expect(inside).toBeGreaterThan(1000)
  })

  it('holds its maximum, each with blocks of its own, and refuses one more', () => {
    const cidrs = Array.from({ length: CIDRS_MAX }, (_, i) => cidr(`${i >> 8}.${i & 255}.1.1/32`))
    const found = new AddressTable(cidrs)
    expect(found.find(bytesOf('39.15.1.1'), 0)).toBe(39 * 256 + 15)
    expect(found.find(bytesOf('39.15.1.2'), 0)).toBe(-1)
    expect(() => new AddressTable([...cidrs, cidr('::/0')])).toThrow(/at most 10000/)
  })
})
