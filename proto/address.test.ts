import { expect, it } from 'vitest'
import { formatAddress, parseAddress } from './address.ts'

it('gives addresses back in their canonical form', () => {
  const pairs = [
    ['10.1.2.3', '10.1.2.3'], ['::ffff:10.1.2.3', '10.1.2.3'], ['::', '::'], ['::1', '::1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'], ['fe80::', 'fe80::'],
    ['1:0:2:0:3:0:4:0', '1:0:2:0:3:0:4:0'], ['64:ff9b::1.2.3.4', '64:ff9b::102:304'],
  ]
  for (const [text, canonical] of pairs) expect(formatAddress(parseAddress(text))).toBe(canonical)
})

it('refuses what is not one address', () => {
  for (const text of ['', '10.0.0', '10.0.0.0/8', 'fe80::1%eth0', 'example.org', ':::']) {
    expect(() => parseAddress(text)).toThrow(RangeError)
  }
})
