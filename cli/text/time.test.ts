import { describe, expect, it } from 'vitest'
import { formatBytes, formatCount, formatDuration, parseSpan, parseTime } from './time.ts'

const now = Date.UTC(2030, 0, 31, 12)

describe('a time on the command line', () => {
  it('is RFC 3339, in any offset', () => {
    expect(parseTime('2030-01-31T12:00:00Z', 0)).toBe(now)
    expect(parseTime('2030-01-31T14:00:00+02:00', 0)).toBe(now)
    expect(parseTime('2030-01-31t12:00:00.250z', 0)).toBe(now + 250)
    expect(parseTime('2030-01-31 12:00:00Z', 0)).toBe(now)
    expect(parseTime('2028-02-29T00:00:00Z', 0)).toBe(Date.UTC(2028, 1, 29))
    // As events print it.
    expect(parseTime('2030-01-31T12:00:00.123456789Z', 0)).toBe(now + 123)
  })

  it('or a span before now', () => {
    expect(parseTime('15m', now)).toBe(now - 900_000)
    expect(parseTime('1h30m', now)).toBe(now - 5_400_000)
    expect(parseSpan('2d')).toBe(172_800_000)
    expect(parseSpan('250ms')).toBe(250)
    expect(parseSpan('1w')).toBe(604_800_000)
  })

  it('and nothing else', () => {
    for (const text of ['', 'yesterday', '15', 'm', '15 m', '-15m', '1.5h', '2030-01-31',
      '2030-01-31T12:00:00', '2030-02-30T12:00:00Z', '2030-13-01T00:00:00Z',
      '2030-01-00T00:00:00Z', '2030-01-31T24:00:00Z', '2030-01-31T12:60:00Z',
      '2030-01-31T12:00:00+99:00', '99999999999s', '1h\n']) {
      expect(parseTime(text, now), JSON.stringify(text)).toBeNull()
    }
  })
})

describe('amounts', () => {
  it('have three digits and a unit', () => {
    expect([0, 999, 1000, 1536, 10 * 1024 ** 2, 5 * 1024 ** 4].map(formatBytes)).toEqual(
      ['0 B', '999 B', '1.0 KiB', '1.5 KiB', '10.0 MiB', '5.0 TiB'])
    expect([0.02, 5, 1500, 61_000, 7_200_000, 260_000_000].map(formatDuration)).toEqual(
      ['20 µs', '5 ms', '1.5 s', '1 min 1 s', '2 h 0 min', '3 d 0 h'])
    expect([0, 999, 1000, 1234567].map(formatCount)).toEqual(['0', '999', '1,000', '1,234,567'])
  })
})
