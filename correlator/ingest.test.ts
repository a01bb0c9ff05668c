import { describe, expect, it } from 'vitest'
import { eventually } from './sample/program.ts'
import { SampleAgent } from './sample/sample-agent.ts'
import { heartbeats, sampleBatch, SAMPLE_NODE } from './sample/sample-batches.ts'
import { storedBatches, withCorrelator } from './sample/sample-correlator.ts'
import type { SampleCorrelator } from './sample/sample-correlator.ts'

type Work = (agent: SampleAgent, correlator: SampleCorrelator) => Promise<void>

/** An agent that has said Hello to a fresh correlator. */
const withAgent = (work: Work, config = {}) => withCorrelator(config, async (correlator) => {
  const agent = new SampleAgent(correlator.grpc_port)
  try {
    await agent.hello()
    await work(agent, correlator)
  } finally {
    agent.close()
  }
})

const ofNode = (data: string) =>
  storedBatches(data).filter(({ node_id }) => node_id === SAMPLE_NODE.node_id)
    .map(({ first, last }) => [first, last])

describe('ingest', () => {
  it('says what is stored, also to a stream that comes back', () => withAgent(async (agent, { grpc_port, data }) => {
    expect(agent.received[0].welcome).toMatchObject({ acked_seq: 0, batches_in_flight_max: 16 })
    agent.send(heartbeats(1, 5))
    agent.send(heartbeats(6, 5))
    await agent.stored(10)
    const again = new SampleAgent(grpc_port)
    expect((await again.hello()).welcome?.acked_seq).toBe(10)
    again.close()
    expect(ofNode(data)).toEqual([[1, 5], [6, 10]])
  }))

  it('acknowledges a batch that comes again and stores it once', () => withAgent(async (agent, correlator) => {
    agent.send(heartbeats(1, 5))
    agent.send(heartbeats(1, 5))
    await agent.stored(5)
    agent.send(heartbeats(1, 5))
    const before = agent.received.length
    await agent.until(() => agent.received.length > before)
    expect(agent.received.at(-1)?.ack?.acked_seq).toBe(5)
    expect(ofNode(correlator.data)).toEqual([[1, 5]])
    expect(await correlator.metric('vedette_ingest_duplicate_batches_total')).toBe(2)
  }))

  it('refuses a batch that overlaps what is stored', () => withAgent(async (agent, { data }) => {
    agent.send(heartbeats(1, 5))
    await agent.stored(5)
    agent.send(heartbeats(4, 5))
    await agent.until(() => agent.refusals.length > 0)
    expect(agent.received.at(-1)?.refusal).toMatchObject({ code: 'sequence', first_seq: 4, retry_after_ms: 0 })
    expect(ofNode(data)).toEqual([[1, 5]])
  }))

  it('does not store what comes after its successor, and shows that it is missing', () =>
    withAgent(async (agent, { data, metric }) => {
      agent.send(heartbeats(6, 5))
      agent.send(heartbeats(1, 5))
      await agent.stored(10)
      await eventually(async () => await metric('vedette_ingest_duplicate_batches_total') === 1)
      expect(ofNode(data)).toEqual([[6, 10]])
      expect(await metric('vedette_log_missing_events')).toBe(5)
    }))

  it('stores what follows a hole and counts the hole, unless a fresh spool explains it', () =>
    withAgent(async (agent, correlator) => {
      agent.send(heartbeats(1, 2))
      agent.send(heartbeats(5, 2))
      await agent.stored(6)
      expect(await correlator.metric('vedette_log_missing_events')).toBe(2)
      agent.send(sampleBatch(100, [{ kind: 'agent_start', values: { first_seq: 100 } }]))
      await agent.stored(100)
      expect(await correlator.metric('vedette_log_missing_events')).toBe(2)
    }))

  it('refuses a batch of another node, of another boot, and of itself', () => withAgent(async (agent, { data }) => {
    agent.send(heartbeats(1, 1, { ...SAMPLE_NODE, node_id: 'node-2' }))
    agent.send(heartbeats(1, 1, { ...SAMPLE_NODE, boot_id: 'f'.repeat(32) }))
    agent.send(sampleBatch(1, [{ kind: 'policy_applied', values: { text: 'version: 1' } }]))
    await agent.until(() => agent.refusals.length === 3)
    expect(agent.refusals).toEqual(['wrong_node', 'sequence', 'malformed_batch'])
    expect(ofNode(data)).toEqual([])
  }))

  it('goes on with another boot after another Hello', () => withAgent(async (agent, { data }) => {
    agent.send(heartbeats(1, 3))
    await agent.stored(3)
    const boot_id = 'f'.repeat(32)
    expect((await agent.hello({ boot_id })).welcome?.acked_seq).toBe(0)
    agent.send(heartbeats(1, 4, { ...SAMPLE_NODE, boot_id }))
    await agent.stored(4)
    expect(ofNode(data)).toEqual([[1, 3], [1, 4]])
  }))

  it('refuses bytes that are no batch, whichever byte is wrong, and takes the next good one', () =>
    withAgent(async (agent, { data }) => {
      const good = heartbeats(1, 50)
      let sent = 0
      for (let at = 0; at < good.length; at += 1 + (at >> 4)) {
        const bad = Buffer.from(good)
        bad[at] ^= 0xff
        agent.send(bad)
        sent++
      }
      agent.send(Buffer.from('no batch at all'))
      agent.send(good.subarray(0, good.length >> 1))
      await agent.until(() => agent.refusals.length + agent.received.filter(({ ack }) => ack).length >= 1
        && agent.refusals.length >= sent / 2)
      agent.send(heartbeats(10_000, 1))
      await agent.stored(10_000)
      // A flipped byte may give another valid batch (a name in it), but never one that breaks a reader.
      expect(storedBatches(data).at(-1)?.last).toBe(10_000)
      expect(agent.error).toBeNull()
    }))

  it('refuses what is too large, and says the limit', () => withAgent(async (agent) => {
    agent.send(Buffer.alloc(2000))
    await agent.until(() => agent.refusals.length > 0)
    expect(agent.received.at(-1)?.refusal).toMatchObject({ code: 'batch_too_large' })
    expect(agent.received.at(-1)?.refusal?.message).toContain('1024')
  }, { batch_bytes_max: 1024 }))

  it('refuses more than it can hold, and takes all of it in order when it comes again', () =>
    withAgent(async (agent, { data }) => {
      const batches = Array.from({ length: 20 }, (_, i) => heartbeats(1 + 100 * i, 100))
      for (const batch of batches) agent.send(batch)
      await agent.until(() => agent.refusals.includes('busy') && agent.acked >= 100)
      // An agent goes back to what is not acknowledged.
      while (agent.acked < 2000) {
        const from = agent.acked
        agent.send(batches[from / 100])
        await agent.stored(from + 100)
      }
      expect(ofNode(data).map(([first]) => first)).toEqual(batches.map((_, i) => 1 + 100 * i))
    }, { ingest_bytes_max: 8192, batch_bytes_max: 4096 }))

  it('gives the place of a node to its newest stream', () => withAgent(async (agent, { grpc_port }) => {
    const newer = new SampleAgent(grpc_port)
    await newer.hello()
    await agent.until(() => agent.error !== null)
    expect(agent.error?.details).toContain('replaced by a newer stream')
    newer.send(heartbeats(1, 1))
    await newer.stored(1)
    newer.close()
  }))

  it('refuses more streams than its limit', () => withAgent(async (_agent, { grpc_port }) => {
    const second = new SampleAgent(grpc_port)
    await second.until(() => second.refusals.length > 0)
    expect(second.received[0].refusal).toMatchObject({ code: 'busy' })
    expect(second.received[0].refusal?.retry_after_ms).toBeGreaterThan(0)
    second.close()
  }, { streams_max: 1 }))

  it('refuses a Hello that it cannot serve', () => withCorrelator({}, async ({ grpc_port, metric }) => {
    const cases = [
      [{ protocol_version: 2 }, 'protocol_version'], [{ node_id: '' }, 'wrong_node'],
      [{ node_id: 'correlator' }, 'wrong_node'], [{ node_id: 'a\nb' }, 'wrong_node'],
      [{ boot_id: 'x' }, 'malformed_batch'],
    ] as const
    for (const [hello, code] of cases) {
      const agent = new SampleAgent(grpc_port)
      expect((await agent.hello(hello)).refusal?.code).toBe(code)
      await agent.until(() => agent.ended)
      agent.close()
    }
    expect(await metric('vedette_ingest_streams')).toBe(0)
  }))

  it('ends a stream that does not begin with Hello', () => withCorrelator({}, async ({ grpc_port }) => {
    const agent = new SampleAgent(grpc_port)
    agent.send(heartbeats(1, 1))
    await agent.until(() => agent.error !== null)
    expect(agent.error?.details).toContain('Hello')
    agent.close()
  }))
})
