import { describe, expect, it } from 'vitest'
import { isPrivate, tightCidrs } from './prefixes.ts'

describe('tight address ranges', () => {
  it('hold all addresses and little else', () => {
    expect(tightCidrs(['10.20.0.5', '10.20.0.6', '10.20.0.7'], [])).toEqual(['10.20.0.4/30'])
    expect(tightCidrs(['10.20.0.5'], [])).toEqual(['10.20.0.5/32'])
    expect(tightCidrs([], ['10.0.0.1'])).toEqual([])
  })

  it('never hide a foreign address', () => {
    expect(tightCidrs(['10.20.0.4', '10.20.0.7'], ['10.20.0.6']))
      .toEqual(['10.20.0.4/32', '10.20.0.7/32'])
    expect(tightCidrs(['10.20.0.1', '10.20.0.2', '10.20.0.200'], ['10.20.0.100']))
      .toEqual(['10.20.0.0/30', '10.20.0.200/32'])
  })

  it('do not grow beyond a /24, or a /64 of IPv6, though nothing foreign is near', () => {
    expect(tightCidrs(['10.20.0.1', '10.20.1.1'], [])).toEqual(['10.20.0.1/32', '10.20.1.1/32'])
    expect(tightCidrs(['10.20.0.1', '10.20.0.254'], [])).toEqual(['10.20.0.0/24'])
    expect(tightCidrs(['fd00::1', 'fd00::ffff:1', 'fd00:1::1'], []))
      .toEqual(['fd00::/96', 'fd00:1::1/128'])
  })

  it('keep IPv4 and IPv6 apart, and say the same whatever the order', () => {
    const addresses = ['fd00::2', '10.0.0.1', '0.0.0.1', 'fd00::3', '10.0.0.0']
    expect(tightCidrs(addresses, [])).toEqual(tightCidrs(addresses.toReversed(), []))
    expect(tightCidrs(addresses, [])).toEqual(['0.0.0.1/32', '10.0.0.0/31', 'fd00::2/127'])
  })

  it('hold every address of a thousand random ones, and none of a thousand foreign ones', () => {
    let state = 42
    const next = (): string => {
      state = Math.imul(state, 1664525) + 1013904223
      return `10.0.${(state >>> 22) & 3}.${(state >>> 12) & 255}`
    }
    const own = new Set(Array.from({ length: 300 }, next))
    const foreign = new Set(Array.from({ length: 100 }, next).filter((one) => !own.has(one)))
    const inside = (address: string): boolean => tight.some((cidr) => {
      const [base, bits] = cidr.split('/')
      const number = (text: string): number =>
        text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
      const size = 2 ** (32 - Number(bits))
      return Math.floor(number(address) / size) === Math.floor(number(base) / size)
    })
    const tight = tightCidrs(own, foreign)
    expect([...own].filter((one) => !inside(one))).toEqual([])
    expect([...foreign].filter(inside)).toEqual([])
    expect(tight.length).toBeLessThan(own.size)
  })
})

it('private addresses are those that the Internet does not carry', () => {
  for (const one of ['10.1.2.3', '172.16.0.1', '172.31.255.1', '192.168.1.1', '100.64.0.1',
    '169.254.169.254', 'fd12::1', 'fe80::1']) expect(isPrivate(one), one).toBe(true)
  for (const one of ['8.8.8.8', '172.32.0.1', '192.169.0.1', '100.128.0.1', '2001:db8::1', 'fec0::1',
    '224.0.0.1']) expect(isPrivate(one), one).toBe(false)
})
