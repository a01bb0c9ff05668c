import { expect, it } from 'vitest'
import { parsePorts } from '../match/ports.ts'
import { portEntries } from './port-list.ts'

const tcp = (...ports: number[]): string[] =>
  portEntries(ports.map((port) => ({ port, protocol: 'tcp' })))

it('ports become a range only where almost all of it was seen', () => {
  expect(tcp(443, 80)).toEqual(['80/tcp', '443/tcp'])
  expect(tcp(8000, 8001, 8002, 8003)).toEqual(['8000-8003/tcp'])
  expect(tcp(8000, 8001, 8003, 9000)).toEqual(['8000-8003/tcp', '9000/tcp'])
  expect(tcp(8000, 8001)).toEqual(['8000/tcp', '8001/tcp'])
  expect(tcp(8000, 8010, 8020)).toEqual(['8000/tcp', '8010/tcp', '8020/tcp'])
})

it('each protocol has its own list, and one without ports says any', () => {
  const entries = portEntries([
    { port: 53, protocol: 'udp' }, { port: 53, protocol: 'tcp' }, { port: 0, protocol: 'icmp' },
    { port: 0, protocol: 'icmpv6' }, { port: 0, protocol: 'rdma' }])
  expect(entries).toEqual(['any/icmp', 'any/rdma', '53/tcp', '53/udp'])
  for (const entry of entries) expect(parsePorts(entry)).not.toHaveProperty('message')
})

it('a range holds three ports of four at least, whatever the ports are', () => {
  const ports = Array.from({ length: 400 }, (_, i) => 2000 + (i * i * 7) % 1500)
  const seen = new Set(ports)
  for (const entry of tcp(...ports)) {
    const range = parsePorts(entry) as { from: number, to: number }
    const held = [...seen].filter((port) => port >= range.from && port <= range.to).length
    expect(4 * held, entry).toBeGreaterThanOrEqual(3 * (range.to - range.from + 1))
  }
})
