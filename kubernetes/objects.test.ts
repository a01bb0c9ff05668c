import { describe, expect, it } from 'vitest'
import { keepNode, keepPod, keepService } from './objects.ts'
import { samplePod } from './sample/pod.ts'

describe('what is kept of an object', () => {
  it('is what names a pod: namespace, labels, service account, the Deployment behind it', () => {
    expect(keepPod(samplePod())).toEqual({
      key: '6d83fd9f-b7d4-4808-9784-b6e53db4cbc5',
      value: {
        uid: '6d83fd9f-b7d4-4808-9784-b6e53db4cbc5', namespace: 'team-a', name: 'llm-5d9c7b9f4-x2x2x',
        service_account: 'serving', labels: ['app=llm', 'pod-template-hash=5d9c7b9f4'],
        owner: 'Deployment/llm', node: 'gpu-07', addresses: ['10.244.1.17'], ended: false,
      },
    })
  })

  it('gives the address of a node to no pod that borrows it', () => {
    expect(keepPod(samplePod({ hostNetwork: true }))?.value.addresses).toEqual([])
  })

  it('knows a static pod by the hash that stands in its cgroups', () => {
    const annotations = { 'kubernetes.io/config.mirror': '0123456789abcdef0123456789abcdef' }
    expect(keepPod(samplePod({ annotations }))?.key).toBe('0123456789abcdef0123456789abcdef')
  })

  it('names a service by the pods that it selects, and skips one without an address', () => {
    const service = {
      metadata: { namespace: 'team-a', name: 'llm', labels: { tier: 'web' } },
      spec: { clusterIP: '10.96.4.4', clusterIPs: ['10.96.4.4', 'fd00::4'], selector: { app: 'llm' },
        ports: [{ port: 80, targetPort: 8080 }, { port: 443 }] },
    }
    expect(keepService(service)).toEqual({
      key: 'team-a/llm',
      value: { namespace: 'team-a', name: 'llm', labels: ['app=llm'], addresses: ['10.96.4.4', 'fd00::4'],
        ports: [80, 443] },
    })
    expect(keepService({ ...service, spec: { clusterIP: 'None' } })).toBeNull()
  })

  it('takes the addresses of a node that others can reach', () => {
    const node = {
      metadata: { name: 'gpu-07', labels: { 'nvidia.com/gpu.present': 'true' } },
      status: { addresses: [{ type: 'InternalIP', address: '10.1.0.7' }, { type: 'Hostname', address: 'gpu-07' }] },
    }
    expect(keepNode(node)).toEqual({ key: 'gpu-07',
      value: { name: 'gpu-07', labels: ['nvidia.com/gpu.present=true'], addresses: ['10.1.0.7'] } })
  })

  it('survives whatever someone wrote into the API, and stays small', () => {
    for (const object of [null, undefined, 7, 'pod', [], {}, { metadata: 3 }, { metadata: { uid: {} } },
      { metadata: { uid: 'a', labels: [1, 2], ownerReferences: 'x' }, spec: null, status: { podIPs: [null, 4] } }]) {
      expect(() => [keepPod(object), keepService(object), keepNode(object)]).not.toThrow()
    }
    const labels = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`l${i}`, 'v'.repeat(9999)]))
    const kept = keepPod(samplePod({ labels }))
    expect(JSON.stringify(kept).length).toBeLessThan(20_000)
  })
})
