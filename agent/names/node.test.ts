import { describe, expect, it } from 'vitest'
import type { NodeSeen } from '../../proto/gen/events.ts'
import { addressesOf, NodeNames } from './node.ts'

const entry = (address: string, internal = false) => ({
  address, internal, netmask: '', mac: '', cidr: null, family: 'IPv4' as const, scopeid: 0,
})

describe('what a node says of itself', () => {
  it('is told at the start, and again only when something differs', async () => {
    const told: Partial<NodeSeen>[] = []
    let interfaces = { eth0: [entry('10.1.0.7')] }
    const names = new NodeNames({
      seen: (node) => { told.push(node) }, group: 'h100', partitions: () => Promise.resolve(['gpu', 'debug']),
      interfaces: () => interfaces, intervalMs: 3_600_000,
    })
    names.start()
    await Promise.resolve()
    await Promise.resolve()
    names.look()
    interfaces = { eth0: [entry('10.1.0.7'), entry('10.2.0.7')] }
    names.look()
    names.setLabels(['a=b'])
    names.stop()
    expect(told).toEqual([
      { node_group: 'h100', labels: [], slurm_partitions: [], addresses: ['10.1.0.7'] },
      { node_group: 'h100', labels: [], slurm_partitions: ['debug', 'gpu'], addresses: ['10.1.0.7'] },
      { node_group: 'h100', labels: [], slurm_partitions: ['debug', 'gpu'], addresses: ['10.1.0.7', '10.2.0.7'] },
      { node_group: 'h100', labels: ['a=b'], slurm_partitions: ['debug', 'gpu'], addresses: ['10.1.0.7', '10.2.0.7'] },
    ])
  })

  it('holds 256 addresses, and the others are counted each time that it is told', () => {
    const told: Partial<NodeSeen>[] = []
    let interfaces = { eth0: Array.from({ length: 300 }, (_, i) => entry(`10.1.${i >> 8}.${i & 255}`)) }
    const names = new NodeNames({
      seen: (node) => { told.push(node) }, group: '', partitions: () => Promise.resolve([]),
      interfaces: () => interfaces,
    })
    names.look()
    names.look()
    expect([told.length, told[0].addresses?.length, names.misses]).toEqual([1, 256, 44])
    interfaces = { eth0: interfaces.eth0.slice(0, 256) }
    names.setLabels(['a=b'])
    expect([told[1].addresses?.length, names.misses]).toEqual([256, 44])
  })

  it('leaves out addresses that mean nothing to others', () => {
    expect(addressesOf({
      lo: [entry('127.0.0.1', true)], eth0: [entry('10.1.0.7'), entry('fe80::1'), entry('169.254.3.4')],
      eth1: [entry('10.1.0.7')],
    })).toEqual(['10.1.0.7'])
  })
})
