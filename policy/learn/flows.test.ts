import { describe, expect, it } from 'vitest'
import type { Edge } from './edges.ts'
import { proposeFlows } from './flows.ts'
import type { FlowOptions } from './flows.ts'

const ALL_SLICES = 0x3ff
const edge = (values: Partial<Edge>): Edge => ({
  from: 'a', to: 'b', protocol: 'tcp', port: 443, exe: '/usr/bin/app', opener: 'app.service',
  server: '10.0.0.1', server_names: [], established: true, incident: '', connections: 10,
  bytes_sent: 1, bytes_received: 2, first_ms: 0, last_ms: 1000, slices: ALL_SLICES,
  example: { node_id: 'n', boot_id: '0'.repeat(32), seq: 1 }, ...values,
})
const propose = (edges: Partial<Edge>[], options: Partial<FlowOptions> = {}) => {
  const { flows, refused } = proposeFlows(edges.map(edge),
    { zones: ['a', 'b', 'c', 'd'], connectionsMin: 2, names: true, ...options })
  return {
    flows: flows.map(({ from, to, ports, executables, to_dns }) =>
      [from, to, ports.join(' '), executables.join(' '), ...to_dns].join(' ').trim()),
    refused: refused.map(({ refusal, ports, to }) => `${refusal} ${to} ${ports.join(' ')}`),
    told: flows,
  }
}

describe('a flow', () => {
  it('is narrowed to the executables that were seen, and holds all their services', () => {
    expect(propose([{}, { port: 80 }, { protocol: 'udp', port: 123 }, { to: 'c' }]).flows).toEqual([
      'a b 80/tcp 443/tcp 123/udp /usr/bin/app', 'a c 443/tcp /usr/bin/app'])
    expect(propose([{}, { exe: '/usr/bin/other', port: 80 }]).flows).toEqual([
      'a b 443/tcp /usr/bin/app', 'a b 80/tcp /usr/bin/other'])
  })

  it('is for every executable where they are many, or none was known', () => {
    expect(propose([{ exe: '' }]).flows).toEqual(['a b 443/tcp'])
    const many = Array.from({ length: 7 }, (_, i) => ({ exe: `/usr/bin/app${i}` }))
    expect(propose(many).flows).toEqual(['a b 443/tcp'])
    // The accepting end does not see the executable: that widens nothing.
    expect(propose([{}, { exe: '' }]).flows).toEqual(['a b 443/tcp /usr/bin/app'])
  })

  it('to name servers is for every executable, and so is one with many: a rare one may too', () => {
    const rare = { exe: '/usr/bin/rare', connections: 1 }
    expect(propose([{ protocol: 'udp', port: 53 }, { protocol: 'udp', port: 53, ...rare }]))
      .toMatchObject({ flows: ['a b 53/udp'], refused: [] })
    const many = Array.from({ length: 7 }, (_, i) => ({ exe: `/usr/bin/app${i}` }))
    expect(propose([...many, rare])).toMatchObject({ flows: ['a b 443/tcp'], refused: [] })
    expect(propose([{ protocol: 'udp', port: 53, ...rare }]).refused).toEqual(['rare b 53/udp'])
  })

  it('adds up what several clients and servers did', () => {
    const { told } = propose([{}, { server: '10.0.0.2', opener: 'x', bytes_sent: 5, last_ms: 9000 }])
    expect(told[0]).toMatchObject({ connections: 20, bytes_sent: 6, last_ms: 9000,
      servers: ['10.0.0.1', '10.0.0.2'], openers: ['app.service', 'x'] })
  })

  it('from one program to many zones is one flow to any zone', () => {
    const scrape = ['b', 'c', 'd'].map((to) => ({ to, port: 9100, exe: '/usr/bin/prometheus' }))
    expect(propose(scrape).flows).toEqual(['a any 9100/tcp /usr/bin/prometheus'])
    // Two zones are not many, an unknown program could be anyone, and the outside is not a zone.
    expect(propose(scrape.slice(1)).flows).toHaveLength(2)
    expect(propose(scrape.map((one) => ({ ...one, exe: '' }))).flows).toHaveLength(3)
    expect(propose([...scrape, { ...scrape[0], to: 'external' }]).flows).not.toContain(
      'a any 9100/tcp /usr/bin/prometheus')
    expect(propose(scrape.map((one) => ({ ...one, port: 22 }))).flows).toHaveLength(3)
    // Most zones of a large policy were not asked.
    const zones = Array.from({ length: 20 }, (_, i) => `z${i}`).concat('b', 'c', 'd')
    expect(propose(scrape, { zones }).flows).toHaveLength(3)
  })

  it('to the rest of the world names the servers, when all have names', () => {
    const out = { to: 'external', server_names: ['hub.example.com'] }
    expect(propose([out]).flows).toEqual(['a external 443/tcp /usr/bin/app hub.example.com'])
    expect(propose([out], { names: false }).flows).toEqual(['a external 443/tcp /usr/bin/app'])
    expect(propose([out, { ...out, server: '192.0.2.9', server_names: [] }]).flows)
      .toEqual(['a external 443/tcp /usr/bin/app'])
    expect(propose([{ server_names: ['b.example'] }]).flows).toEqual(['a b 443/tcp /usr/bin/app'])
  })

  it('takes 32 ports, and the next flow the others', () => {
    const ports = Array.from({ length: 40 }, (_, i) => ({ port: 1000 + 10 * i }))
    const { told } = propose(ports)
    expect(told.map((flow) => flow.ports.length)).toEqual([32, 8])
  })
})

describe('left to a person is', () => {
  it('what was seen once, or in one moment only', () => {
    expect(propose([{ connections: 1 }])).toMatchObject({ flows: [], refused: ['rare b 443/tcp'] })
    expect(propose([{ slices: 1 }])).toMatchObject({ flows: [], refused: ['one_moment b 443/tcp'] })
    expect(propose([{ slices: 1, connections: 1 }], { connectionsMin: 1 }).refused).toEqual([])
  })

  it('but not what a program of every node does once, such as an agent that stays connected', () => {
    const uplinks = ['b', 'c', 'd'].map((from) =>
      ({ from, to: 'a', port: 7411, exe: '/usr/bin/agent', connections: 1 }))
    expect(propose(uplinks).flows).toEqual(['b a', 'c a', 'd a']
      .map((zones) => `${zones} 7411/tcp /usr/bin/agent`))
    expect(propose(uplinks.slice(1)).refused).toHaveLength(2)
    expect(propose(uplinks.map((one) => ({ ...one, slices: 1 }))).refused).toHaveLength(3)
    expect(propose(uplinks.map((one) => ({ ...one, port: 22 }))).refused).toHaveLength(3)
    expect(propose(uplinks.map((one) => ({ ...one, exe: '' }))).refused).toHaveLength(3)
  })

  it('a rare program where another one is at home', () => {
    const { flows, refused } = propose([{}, { exe: '/usr/bin/curl', connections: 1 }])
    expect(flows).toEqual(['a b 443/tcp /usr/bin/app'])
    expect(refused).toEqual(['rare b 443/tcp'])
  })

  it('what belongs to an incident, while the rest of the same kind is proposed', () => {
    const { flows, refused, told } = propose([{}, { incident: 'abc', connections: 3 }])
    expect(flows).toEqual(['a b 443/tcp /usr/bin/app'])
    expect(refused).toEqual(['incident b 443/tcp'])
    expect(told[0].connections).toBe(10)
  })

  it('what never succeeded, unless the same succeeds at other times', () => {
    expect(propose([{ established: false }]))
      .toMatchObject({ flows: [], refused: ['failed b 443/tcp'] })
    expect(propose([{}, { established: false }]).refused).toEqual([])
  })

  it('a program in a folder where anyone may put one', () => {
    for (const exe of ['/tmp/x', '/dev/shm/y', '/proc/self/fd/3', '/usr/bin/a*', '/usr/x (deleted)',
      'relative', '/var/tmp/z']) {
      expect(propose([{ exe }]), exe)
        .toMatchObject({ flows: [], refused: ['odd_executable b 443/tcp'] })
    }
    expect(propose([{ exe: '/tmpfiles/x' }]).refused).toEqual([])
  })

  it('a list of ports that were chosen at run time', () => {
    const ports = Array.from({ length: 20 }, (_, i) => ({ port: 33_000 + 97 * i }))
    expect(propose(ports)).toMatchObject({ flows: [], refused: ['dynamic_ports b 32768-65535/tcp'] })
    expect(propose([{ port: 50_051 }]).flows).toEqual(['a b 50051/tcp /usr/bin/app'])
  })

  it('a protocol that the policy has no word for', () => {
    expect(propose([{ protocol: 'sctp' }])).toMatchObject({ flows: [], refused: ['no_word b 443/sctp'] })
  })

  it('nothing of a drill', () => {
    expect(propose([{ from: 'drill-source', to: 'drill-target' }]))
      .toMatchObject({ flows: [], refused: [] })
  })
})

it('the order of what was seen changes nothing', () => {
  const edges = [{}, { port: 80 }, { to: 'c', exe: '/bin/x' }, { connections: 1, port: 22 }]
  expect(propose(edges)).toEqual(propose(edges.toReversed()))
})
