import { describe, expect, it } from 'vitest'
import { parsePorts, portsCover } from './ports.ts'
import type { PortRange } from './ports.ts'

const ports = (...entries: (number | string)[]): PortRange[] => {
  return entries.map((entry) => parsePorts(entry) as PortRange)
}

describe('the ports of a flow', () => {
  it('may be a number, a range or any, with or without a protocol', () => {
    expect(parsePorts(443)).toEqual({ from: 443, to: 443, protocol: null })
    expect(parsePorts('443')).toEqual({ from: 443, to: 443, protocol: null })
    expect(parsePorts('53/udp')).toEqual({ from: 53, to: 53, protocol: 'udp' })
    expect(parsePorts('8000-8010/tcp')).toEqual({ from: 8000, to: 8010, protocol: 'tcp' })
    expect(parsePorts('any/rdma')).toEqual({ from: 0, to: 65_535, protocol: 'rdma' })
  })

  it('are refused, with what to write, when upside down, too large or malformed', () => {
    expect(parsePorts('8010-8000/tcp')).toMatchObject({ fix: 'write 8000-8010/tcp' })
    expect(parsePorts(70_000)).toMatchObject({ fix: 'write 1 to 65535' })
    expect(parsePorts('80-70000')).toHaveProperty('message')
    for (const entry of ['', 'http', '80,443', '80/sctp', '-1', '1-2-3', 1.5, Number.NaN]) {
      expect(parsePorts(entry)).toHaveProperty('fix')
    }
  })

  it('cover what lies wholly inside them', () => {
    expect(portsCover(ports('8000-8010'), ports('8001/tcp', 8010))).toBe(true)
    expect(portsCover([], ports(1))).toBe(true)
    expect(portsCover([], [])).toBe(true)
  })

  it('do not cover what is wider or of another protocol', () => {
    expect(portsCover(ports('8000-8010'), ports('8010-8011'))).toBe(false)
    expect(portsCover(ports('53/udp'), ports('53/tcp'))).toBe(false)
    expect(portsCover(ports('53/udp'), ports(53))).toBe(false)
    expect(portsCover(ports('any'), [])).toBe(false)
  })
})
