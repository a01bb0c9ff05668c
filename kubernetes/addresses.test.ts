import { describe, expect, it } from 'vitest'
import { AddressBook, addressesOfNode, addressesOfPod, addressesOfService } from './addresses.ts'
import type { PodFacts } from './objects.ts'

const pod = (changes: Partial<PodFacts> = {}): PodFacts => ({
  uid: 'u', namespace: 'team-a', name: 'llm-0', service_account: 'serving', labels: ['app=llm'], owner: '',
  node: 'gpu-07', addresses: ['10.244.1.17'], ended: false, ...changes,
})
const words = (seen: { seen_addr: string, workload: string, gone: boolean }[]) =>
  seen.map(({ seen_addr, workload, gone }) => `${gone ? '-' : '+'}${seen_addr} ${workload}`)

describe('the addresses of an object', () => {
  it('of a pod say who it is and where', () => {
    expect(addressesOfPod(pod())).toEqual([{
      seen_addr: '10.244.1.17', port: 0, address_kind: 'pod', workload: 'pod:team-a/llm-0', namespace: 'team-a',
      service_account: 'serving', labels: ['app=llm'], on_node: 'gpu-07', translated: false, gone: false,
    }])
  })

  it('of a pod that has ended are none', () => {
    expect(addressesOfPod(pod({ ended: true }))).toEqual([])
  })

  it('of a service are one by port, since it translates no other', () => {
    const addresses = ['10.96.4.4', 'fd00::4']
    const service = { namespace: 'team-a', name: 'llm', labels: [], addresses, ports: [80, 443] }
    expect(addressesOfService(service).map(({ seen_addr, port, translated }) => [seen_addr, port, translated]))
      .toEqual([['10.96.4.4', 80, true], ['10.96.4.4', 443, true], ['fd00::4', 80, true], ['fd00::4', 443, true]])
    expect(addressesOfService({ ...service, ports: [] })).toEqual([])
  })

  it('are only what is an address', () => {
    const addresses = ['10.0.0.7', 'gpu-07.example', '', '10.0.0.256', 'None', 'fe80::1%eth0']
    expect(words(addressesOfNode({ name: 'gpu-07', labels: [], addresses }))).toEqual(['+10.0.0.7 node:gpu-07'])
    expect(words(addressesOfPod(pod({ addresses })))).toEqual(['+10.0.0.7 pod:team-a/llm-0'])
    expect(addressesOfService({ namespace: '', name: '', labels: [], addresses: ['x'], ports: [1] })).toEqual([])
  })
})

describe('the book of addresses', () => {
  it('takes back what an object has lost, before what it has got', () => {
    const book = new AddressBook()
    book.changed('u', addressesOfPod(pod()))
    expect(words(book.changed('u', addressesOfPod(pod({ addresses: ['10.244.1.99'] })))))
      .toEqual(['-10.244.1.17 pod:team-a/llm-0', '+10.244.1.99 pod:team-a/llm-0'])
    expect(words(book.changed('u', []))).toEqual(['-10.244.1.99 pod:team-a/llm-0'])
    expect(book.changed('u', [])).toEqual([])
  })

  it('takes nothing back from the new pod when the end of the old one is told late', () => {
    const book = new AddressBook()
    book.changed('old', addressesOfPod(pod()))
    book.changed('new', addressesOfPod(pod({ name: 'llm-1' })))
    expect(book.changed('old', [])).toEqual([])
    expect(words(book.changed('new', []))).toEqual(['-10.244.1.17 pod:team-a/llm-1'])
  })

  it('tells one port of an address apart from another', () => {
    const book = new AddressBook()
    const service = { namespace: 'a', name: 's', labels: [], addresses: ['10.96.4.4'], ports: [80, 443] }
    book.changed('s', addressesOfService(service))
    const seen = book.changed('s', addressesOfService({ ...service, ports: [80] }))
    expect(seen.map(({ port, gone }) => [port, gone])).toEqual([[443, true], [80, false]])
  })
})
