import { isIPv4, isIPv6 } from 'node:net'
import { describe, expect, it } from 'vitest'
import { formatCidr, isLoopback, parseCidr } from './cidr.ts'
import type { Cidr } from './cidr.ts'

const bytesOf = (text: string): Uint8Array => (parseCidr(text) as Cidr).bytes

describe('a CIDR', () => {
  it('keeps IPv4 inside IPv6', () => {
    expect(parseCidr('10.20.0.0/16')).toEqual({
      bytes: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 20, 0, 0), bits: 112,
    })
    expect(parseCidr('192.0.2.7')).toMatchObject({ bits: 128 })
    expect(parseCidr('0.0.0.0/0')).toMatchObject({ bits: 96 })
    expect(parseCidr('fd00:20::/32')).toMatchObject({ bits: 32 })
    expect(parseCidr('::/0')).toMatchObject({ bits: 0 })
  })

  it('with host bits is refused with the network written out', () => {
    expect(parseCidr('10.20.3.4/16')).toMatchObject({ fix: 'write 10.20.0.0/16' })
    expect(parseCidr('10.255.0.0/9')).toMatchObject({ fix: 'write 10.128.0.0/9' })
    expect(parseCidr('2001:db8::1/64')).toMatchObject({ fix: 'write 2001:db8::/64' })
    expect(parseCidr('::ffff:10.0.0.0/104')).toMatchObject({ fix: 'write 10.0.0.0/8' })
  })

  it('that is malformed is refused and never throws', () => {
    const wrong = ['', '/', '10', '10.0.0', '10.0.0.0.0/8', '256.0.0.0/8', '010.0.0.0/8',
      '1.2.3.4/33', '1.2.3.4/', '1.2.3.4/-1', '1.2.3.4/8/8', '::1/129', ':::', '1:2:3:4:5:6:7',
      '1::2::3', 'fe80::1%eth0',
      '1:2:3:4:5:6:7:8::', '::12345', '::1.2.3', 'localhost', ' 10.0.0.0/8', ':'.repeat(1000)]
    for (const text of wrong) expect(parseCidr(text), text).toHaveProperty('fix')
  })

  it('accepts exactly the addresses that node:net accepts', () => {
    const made = ['::', '::1', '1::', '1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7::', '::2:3:4:5:6:7:8',
      'FE80::A', '::ffff:1.2.3.4', '64:ff9b::1.2.3.4', '1:2:3:4:5:6:1.2.3.4',
      '1:2:3:4:5:6:7:1.2.3.4', '0.0.0.0',
      '255.255.255.255', '1.2.3.256', '::g', '1:', ':1', '1.2.3.4::', '::1.2.3.4:5', '00001::']
    for (const text of made) {
      const real = isIPv4(text) || isIPv6(text)
      const parsed = parseCidr(text)
      // The mapped form is a fault of its own, which still knows what address it is.
      const known = 'bits' in parsed || parsed.message.includes('clothes')
      expect(known, text).toBe(real)
    }
  })

  it('is written in its shortest usual form', () => {
    const written = (text: string): string => formatCidr(parseCidr(text) as Cidr)
    expect(written('10.0.0.0/8')).toBe('10.0.0.0/8')
    expect(written('2001:0db8:0000:0000:0001:0000:0000:0000/80')).toBe('2001:db8:0:0:1::/80')
    expect(written('::/0')).toBe('::/0')
    expect(written('1:0:2:3:4:5:6:7')).toBe('1:0:2:3:4:5:6:7/128')
    expect(written('1::')).toBe('1::/128')
  })
})

describe('loopback', () => {
  it('is 127.0.0.0/8, ::1 and the unspecified addresses, at any offset', () => {
    const row = new Uint8Array(48)
    row.set(bytesOf('127.8.9.10'), 16)
    expect(isLoopback(row, 16)).toBe(true)
    expect(isLoopback(bytesOf('::1'), 0)).toBe(true)
    expect(isLoopback(bytesOf('::'), 0)).toBe(true)
    expect(isLoopback(bytesOf('0.0.0.0'), 0)).toBe(true)
  })

  it('is nothing else', () => {
    const others = ['126.0.0.1', '128.0.0.1', '::2', '::7f00:1', '1::1', '0.0.0.1', 'fe80::1']
    for (const text of others) {
      expect(isLoopback(bytesOf(text), 0), text).toBe(false)
    }
  })
})
