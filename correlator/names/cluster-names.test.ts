import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ApiServer } from '../../kubernetes/sample/api-server.ts'
import { samplePod } from '../../kubernetes/sample/pod.ts'
import type { SeenAddress } from '../../kubernetes/addresses.ts'
import { ClusterNames } from './cluster-names.ts'

const service = {
  metadata: { namespace: 'team-a', name: 'llm' },
  spec: { clusterIP: '10.96.4.4', clusterIPs: ['10.96.4.4'], selector: { app: 'llm' }, ports: [{ port: 80 }] },
}

let server: ApiServer
let names: ClusterNames
let written: SeenAddress[][]
let refuse: number
/** Addresses that the log knows, and whether all of it was read. */
let known: Set<string>
let caughtUp: boolean

// One server holds one kind here; the other two paths get the same list, of which they keep nothing.
async function start(): Promise<void> {
  names = new ClusterNames({
    access: { api: await server.listen() }, collectMs: 20, report: () => undefined,
    caughtUp: () => caughtUp, isKnown: ({ seen_addr }) => known.has(seen_addr),
    write(addresses) {
      if (refuse-- > 0) throw new Error('no space')
      written.push(addresses)
    },
  })
  names.start()
  await vi.waitFor(() => expect(server.watchCount).toBe(3))
}

beforeEach(() => {
  server = new ApiServer()
  written = []
  refuse = 0
  known = new Set()
  caughtUp = true
})
afterEach(async () => {
  await names.stop()
  server.close()
})

describe('the names of the cluster', () => {
  it('say which service an address and port stand for, and that it is translated', async () => {
    server.put('llm', { ...service, metadata: { ...service.metadata, uid: '' } })
    await start()
    await vi.waitFor(() => expect(written.flat().length).toBeGreaterThan(0))
    expect(written.flat().find(({ address_kind }) => address_kind === 'service')).toEqual({
      seen_addr: '10.96.4.4', port: 80, address_kind: 'service', workload: 'service:team-a/llm',
      namespace: 'team-a', service_account: '', labels: ['app=llm'], on_node: '', translated: true, gone: false,
    })
  })

  it('are collected for a moment, and taken back when the pod has gone', async () => {
    await start()
    server.put('a', samplePod({ uid: 'a', ip: '10.244.1.1' }))
    server.put('b', samplePod({ uid: 'b', ip: '10.244.1.2' }))
    await vi.waitFor(() => expect(written.flat().filter(({ address_kind: kind }) => kind === 'pod')).toHaveLength(2))
    server.remove('a')
    await vi.waitFor(() => expect(written.flat().at(-1)).toMatchObject({ seen_addr: '10.244.1.1', gone: true }))
  })

  it('wait while the log cannot be written', async () => {
    await start()
    refuse = 3
    server.put('a', samplePod({ uid: 'a', ip: '10.244.1.1' }))
    await vi.waitFor(() => expect(written.flat()).toContainEqual(
      expect.objectContaining({ seen_addr: '10.244.1.1', address_kind: 'pod' })))
    expect(refuse).toBeLessThan(0)
  })

  it('never take for an address what is none', async () => {
    await start()
    server.put('a', samplePod({ uid: 'a', ip: 'not an address' }))
    server.put('b', samplePod({ uid: 'b', ip: '10.244.1.2' }))
    await vi.waitFor(() => expect(written.flat().map(({ seen_addr }) => seen_addr)).toContain('10.244.1.2'))
    expect(written.flat().map(({ seen_addr }) => seen_addr)).not.toContain('not an address')
  })

  it('are not written when the log says them already', async () => {
    known.add('10.244.1.1')
    await start()
    server.put('a', samplePod({ uid: 'a', ip: '10.244.1.1' }))
    server.put('b', samplePod({ uid: 'b', ip: '10.244.1.2' }))
    await vi.waitFor(() => expect(written.flat()).not.toEqual([]))
    expect(new Set(written.flat().map(({ seen_addr }) => seen_addr))).toEqual(new Set(['10.244.1.2']))
  })

  it('wait until what was written before is known, and then are asked for', async () => {
    caughtUp = false
    await start()
    server.put('a', samplePod({ uid: 'a', ip: '10.244.1.1' }))
    server.put('b', samplePod({ uid: 'b', ip: '10.244.1.2' }))
    await vi.waitFor(() => expect(names.counts).toMatchObject({ waiting: 2, known: 3 }))
    expect(written).toEqual([])
    known.add('10.244.1.1')
    caughtUp = true
    await vi.waitFor(() => expect(written.flat().map(({ seen_addr }) => seen_addr)).toEqual(['10.244.1.2']))
    expect(names.counts).toMatchObject({ waiting: 0, left: 0, unwritten: 0 })
  })
})
