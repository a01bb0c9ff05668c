import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ApiServer } from '../../kubernetes/sample/api-server.ts'
import { samplePod } from '../../kubernetes/sample/pod.ts'
import type { AddressSeen } from '../../proto/gen/events.ts'
import { ClusterNames } from './cluster-names.ts'

const service = {
  metadata: { namespace: 'team-a', name: 'llm' },
  spec: { clusterIP: '10.96.4.4', clusterIPs: ['10.96.4.4'], selector: { app: 'llm' }, ports: [{ port: 80 }] },
}

let server: ApiServer
let names: ClusterNames
let written: Partial<AddressSeen>[][]
let refuse: number

// One server holds one kind here; the other two paths get the same list, of which they keep nothing.
async function start(): Promise<void> {
  names = new ClusterNames({
    access: { api: await server.listen() }, collectMs: 20, report: () => undefined,
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
      namespace: 'team-a', labels: ['app=llm'], translated: true,
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
})
