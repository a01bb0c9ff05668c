import { join } from 'node:path'
import { expect, it, vi } from 'vitest'
import { ApiServer } from '../../kubernetes/sample/api-server.ts'
import { samplePod } from '../../kubernetes/sample/pod.ts'
import { LogReader } from '../../log/cursor.ts'
import { BatchCursor } from '../../proto/batch-cursor.ts'
import { decodeBatch } from '../../proto/batch.ts'
import { SampleAgent } from '../sample/sample-agent.ts'
import { sampleBatch } from '../sample/sample-batches.ts'
import { startSample, withData } from '../sample/sample-correlator.ts'
import type { SampleCorrelator } from '../sample/sample-correlator.ts'

/** Who told of which address, as it stands in the log. */
function told(data: string): string[] {
  const cursor = new BatchCursor()
  const lines: string[] = []
  for (const { payload } of new LogReader(join(data, 'log')).read()) {
    cursor.forEach(decodeBatch(payload), (event) => {
      if (event.kind === 'address_seen') lines.push(`${event.node_id} ${event.gone ? '-' : '+'}${event.seen_addr}`)
    })
  }
  return lines.sort()
}

/** Everything of the API is known, and nothing waits to be written. */
async function settled({ metric }: SampleCorrelator, objects: number): Promise<void> {
  await vi.waitFor(async () => {
    expect(await metric('vedette_kubernetes_objects')).toBe(objects)
    expect(await metric('vedette_names_waiting')).toBe(0)
  }, 10_000)
}

it('the correlator tells what no agent has told, once, and not again after a restart', () =>
  withData(async (data) => {
    const server = new ApiServer()
    const config = { data, kubernetes_api: (await server.listen()).href }
    const pod = (n: number) => samplePod({ uid: `u${n}`, name: `llm-${n}`, ip: `10.244.1.${n}` })
    try {
      const first = await startSample(config)
      const agent = new SampleAgent(first.grpc_port)
      await agent.hello()
      agent.send(sampleBatch(1, [{
        kind: 'address_seen',
        values: {
          seen_addr: '10.244.1.1', address_kind: 'pod', workload: 'pod:team-a/llm-1', namespace: 'team-a',
          service_account: 'serving', labels: ['app=llm', 'pod-template-hash=5d9c7b9f4'], on_node: 'gpu-07',
        },
      }]))
      await agent.stored(1)
      for (const n of [1, 2, 3]) server.put(`u${n}`, pod(n))
      // One kind is served at all paths: a pod is a node without addresses, too.
      await settled(first, 6)
      server.tell('{"type": broken')
      await vi.waitFor(async () =>
        expect(await first.metric('vedette_kubernetes_malformed_total')).toBe(3), 10_000)
      expect(await first.metric('vedette_kubernetes_left_total')).toBe(0)
      agent.close()
      await first.stop()
      const before = ['correlator +10.244.1.2', 'correlator +10.244.1.3', 'node-1 +10.244.1.1']
      expect(told(data)).toEqual(before)

      server.remove('u3')
      server.put('u4', pod(4))
      const second = await startSample(config)
      await settled(second, 6)
      await second.stop()
      expect(told(data)).toEqual([...before, 'correlator +10.244.1.4'].sort())
    } finally {
      server.close()
    }
  }), 30_000)
