import { expect, it } from 'vitest'
import { amount, bytesInWords, endpoint, printable } from './words.ts'

it('escapes what a workload could use to write over a screen', () => {
  expect(printable('a\u001b[2J\nb\u202e\u2028')).toBe('a\\u{1b}[2J\\u{a}b\\u{202e}\\u{2028}')
  expect(printable('/usr/bin/größe 日本')).toBe('/usr/bin/größe 日本')
})

it('shortens what is too long', () => {
  expect(printable('x'.repeat(500), 10)).toBe(`${'x'.repeat(10)}…`)
})

it('says amounts as people do', () => {
  expect([amount(0, 'host'), amount(1, 'host'), amount(2, 'host')])
    .toEqual(['0 hosts', '1 host', '2 hosts'])
  expect([0, 1023, 1024, 1_500_000, 2 ** 60].map(bytesInWords))
    .toEqual(['0 B', '1023 B', '1.0 KiB', '1.4 MiB', '1024 PiB'])
})

it('puts IPv6 addresses in brackets before a port', () => {
  expect([endpoint('10.0.0.1', 80), endpoint('::1', 80)]).toEqual(['10.0.0.1:80', '[::1]:80'])
})
