import { join } from 'node:path'
import { expect, it, vi } from 'vitest'
import { defineDetector } from '../../detect/detector.ts'
import { canonicalJson } from '../../detect/incident.ts'
import { replay } from '../../detect/replay.ts'
import { LogReader } from '../../log/cursor.ts'
import { startCorrelator } from '../main.ts'
import { SampleAgent } from '../sample/sample-agent.ts'
import { connection, heartbeats, sampleBatch } from '../sample/sample-batches.ts'
import { startSample, storedBatches, storedIncidents, withData } from '../sample/sample-correlator.ts'

/** Waits a second before it reports. */
const patient = defineDetector({
  id: 'TST-002', title: 'Held', severity: 'high', maturity: 'experimental', attack: [], atlas: [],
  blindSpots: [], runbook: '', needs: ['connection_open'], settings: {},
  key: ({ pid }) => pid,
  state: {
    initial: ({ node_id, boot_id, seq, wall_ns }) => ({ node_id, boot_id, seq, wall_ns }),
    keysMax: 10, idleMs: 60_000,
  },
  evaluate: (_, __, context) => context.wakeIn(1000),
  wake({ node_id, boot_id, seq, wall_ns }, context) {
    context.report({
      key: 'k', subject: `event ${seq}`, wallNs: wall_ns, evidence: [{ node_id, boot_id, seq }], nodes: [node_id],
      workloads: [], tell: () => ({ summary: 'It was held.', details: {}, next_steps: [] }),
    })
  },
  examples: [],
})

it('what is held is told though no event follows, and a replay says the same', () => withData(async (data) => {
  const correlator = await startCorrelator(
    { data, listen: '127.0.0.1:0', listen_http: '127.0.0.1:0' }, { detectors: [patient], report: () => {} })
  const agent = new SampleAgent(correlator.grpc_port)
  await agent.hello()
  agent.send(sampleBatch(1, [connection(1, '10.0.0.2', 80, 1)]))
  await vi.waitFor(() => expect(storedIncidents(data)).toHaveLength(1), { timeout: 10_000, interval: 50 })
  // What is due has come: it is quiet again, whatever was held before.
  const written = storedBatches(data).filter(({ node_id }) => node_id === 'correlator').length
  agent.close()
  await correlator.stop()
  expect(storedBatches(data).filter(({ node_id }) => node_id === 'correlator')).toHaveLength(written)
  const told: string[] = []
  replay(new LogReader(join(data, 'log')).read(), {
    detectors: [patient], onUpdate: (update) => told.push(canonicalJson(update)),
  })
  expect(told).toEqual(storedIncidents(data))
}))

it('writes nothing while nothing is held, and nothing before the first event', () => withData(async (data) => {
  const correlator = await startSample({ data })
  const agent = new SampleAgent(correlator.grpc_port)
  await agent.hello()
  agent.send(heartbeats(1, 3))
  await agent.stored(3)
  await new Promise((resolve) => setTimeout(resolve, 1500))
  agent.close()
  await correlator.stop()
  // The first one says which policy is in force.
  expect(storedBatches(data).map(({ node_id }) => node_id)).toEqual(['correlator', 'node-1'])
}))
