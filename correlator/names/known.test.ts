import { describe, expect, it } from 'vitest'
import type { ExampleEvent } from '../../detect/detector.ts'
import { batchesOf } from '../../detect/example.ts'
import { KnownFacts } from '../../detect/names/known.ts'
import { addressesOfNode, addressesOfPod, addressesOfService } from '../../kubernetes/addresses.ts'
import { BatchCursor } from '../../proto/batch-cursor.ts'
import { saysAlready } from './known.ts'

const [pod] = addressesOfPod({
  uid: 'u', namespace: 'team-a', name: 'llm-0', service_account: 'serving', labels: ['app=llm'], owner: '',
  node: 'gpu-07', addresses: ['10.244.1.17'], ended: false,
})
const [service] = addressesOfService({
  namespace: 'team-a', name: 'llm', labels: ['app=llm'], addresses: ['10.96.4.4'], ports: [80],
})
const [node] = addressesOfNode({ name: 'gpu-07', labels: ['zone=a'], addresses: ['10.1.0.7'] })

/** What is known after these events. */
function knowing(...events: ExampleEvent[]): KnownFacts {
  const known = new KnownFacts()
  const cursor = new BatchCursor()
  for (const batch of batchesOf(events, 1)) cursor.forEach(batch, (event) => known.learn(event))
  return known
}
const seen = (values: object, at_ms = 0): ExampleEvent => ({ kind: 'address_seen', at_ms, values })
const answer = (address: string, ttl_s: number): ExampleEvent =>
  ({ kind: 'dns_answer', at_ms: 0, values: { name: 'llm.example', addresses: [address], ttl_s } })

describe('what the log says already', () => {
  it('is what was told in the same words, and nothing before that', () => {
    for (const address of [pod, service, node]) {
      expect(saysAlready(knowing(), address)).toBe(false)
      expect(saysAlready(knowing(seen(address)), address)).toBe(true)
    }
  })

  it('is not what was told in other words, whichever differs', () => {
    const changes = [
      { workload: 'pod:team-a/llm-1' }, { labels: [] }, { labels: ['app=other'] }, { on_node: 'gpu-08' },
      { service_account: 'default' }, { namespace: 'team-b' }, { translated: true }, { address_kind: 'external' },
    ]
    for (const change of changes) expect(saysAlready(knowing(seen({ ...pod, ...change })), pod)).toBe(false)
    expect(saysAlready(knowing(seen({ ...service, port: 443 })), service)).toBe(false)
  })

  it('is not what was told to be gone since, though it counts for a while', () => {
    const known = knowing(seen(pod), seen({ ...pod, gone: true }, 1000))
    expect(saysAlready(known, pod)).toBe(false)
    const named = knowing(seen(pod), seen({ ...pod, gone: true }, 1000), answer('10.244.1.17', 1))
    expect(saysAlready(named, pod)).toBe(false)
  })

  it('is not in doubt for a DNS name that lasts', () => {
    expect(saysAlready(knowing(answer('10.244.1.17', 60), seen(pod)), pod)).toBe(true)
  })

  it('is that an address is gone when it was told so, or never was that of the pod', () => {
    const gone = { ...pod, gone: true }
    expect(saysAlready(knowing(), gone)).toBe(true)
    expect(saysAlready(knowing(seen(pod)), gone)).toBe(false)
    expect(saysAlready(knowing(seen(pod), seen(gone, 1000)), gone)).toBe(true)
    expect(saysAlready(knowing(seen(pod), seen({ ...pod, workload: 'pod:team-a/new' }, 10)), gone)).toBe(true)
  })
})
