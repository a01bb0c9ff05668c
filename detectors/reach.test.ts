import { describe, expect, it } from 'vitest'
import { learn, newReach, note } from './reach.ts'
import type { Reach, Usual } from './reach.ts'

/** Hosts on service 1, services of host 1. */
function reachOf(hosts: number, services: number): Reach {
  const reach = newReach(0)
  for (let i = 0; i < hosts; i++) note(reach, 100 + i, 1)
  for (let i = 0; i < services; i++) note(reach, 1, 100 + i)
  return reach
}

describe('whom one reached', () => {
  it('counts distinct hosts of a service and distinct services of a host', () => {
    const reach = reachOf(5, 3)
    expect(note(reach, 100, 1)).toBe(false)
    expect([reach.hostsOf.get(1), reach.servicesOf.get(1), reach.servicesOf.get(100)]).toEqual([5, 3, 1])
  })

  it('tells the neighbours of a network and the ports of a host apart', () => {
    const reach = newReach(0)
    for (let host = 0; host < 16; host++) {
      for (let port = 1; port <= 60; port++) note(reach, 0x0a14_0000 + host, 8 * port + 6)
    }
    expect([reach.pairs.size, reach.hostsOf.get(14), reach.servicesOf.get(0x0a14_0000)]).toEqual([960, 16, 60])
  })

  it('is bounded', () => {
    const reach = reachOf(5000, 100)
    expect([reach.pairs.size, reach.hostsOf.size, reach.servicesOf.size]).toEqual([1024, 1, 1024])
  })
})

describe('what is usual', () => {
  it('is the most of any window, where that is worth to be kept', () => {
    const usual: Usual = { hosts: new Map(), services: 0 }
    for (const [hosts, services] of [[12, 2], [30, 4], [20, 3]]) learn(usual, reachOf(hosts, services), 10)
    expect(usual).toEqual({ hosts: new Map([[1, 30]]), services: 4 })
    learn(usual, reachOf(9, 1), 10)
    expect(usual.hosts.get(1)).toBe(30)
  })

  it('is bounded, and forgets what was raised longest ago', () => {
    const usual: Usual = { hosts: new Map(), services: 0 }
    for (let service = 0; service < 200; service++) {
      const reach = newReach(0)
      note(reach, 1, service)
      learn(usual, reach, 1)
    }
    expect([usual.hosts.size, usual.hosts.has(199), usual.hosts.has(0)]).toEqual([64, true, false])
  })
})
