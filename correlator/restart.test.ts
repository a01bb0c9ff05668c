import { describe, expect, it } from 'vitest'
import { join } from 'node:path'
import {
  readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync,
} from 'node:fs'
import { canonicalJson } from '../detect/incident.ts'
import { replay } from '../detect/replay.ts'
import { verifyLog } from '../log/verify.ts'
import { LogReader } from '../log/cursor.ts'
import { checkConservation } from './ingest/conservation.ts'
import { SampleAgent } from './sample/sample-agent.ts'
import { connection, heartbeats, sampleBatch, SAMPLE_NODE } from './sample/sample-batches.ts'
import { sampleDetector } from './sample/sample-detector.ts'
import { startChild } from './sample/child-process.ts'
import { startSample, storedBatches, storedIncidents, withData } from './sample/sample-correlator.ts'

/** Small segments, so that a few batches roll several of them. */
const SMALL = { segment_bytes_max: 4096 }

/** 60 batches of 10 events; incidents open, grow, and close as time goes on. */
const batches = Array.from({ length: 60 }, (_, i) => sampleBatch(1 + 10 * i, Array.from(
  { length: 10 }, (_, j) => j === 4 && i % 3 === 0
    ? connection(100 + i % 7, `10.0.${i % 5}.1`, 4444, 60_000 * i)
    : connection(200 + j, '10.9.9.9', 80 + j, 60_000 * i + j))))
const LAST = 600

/** Sends everything behind what is stored, and waits for the acknowledgement of `until`. */
async function send(port: number, until: number): Promise<SampleAgent> {
  const agent = new SampleAgent(port)
  const { welcome } = await agent.hello()
  for (const batch of batches.slice(welcome!.acked_seq / 10)) agent.send(batch)
  await agent.stored(until)
  return agent
}

/** The incidents of a correlator that is never interrupted. */
const uninterrupted = withData(async (data) => {
  const correlator = await startSample({ data, batches_in_flight_max: 1024 })
  const agent = await send(correlator.grpc_port, LAST)
  agent.close()
  await correlator.stop()
  return storedIncidents(data)
})

describe('a correlator that was killed', () => {
  it('has every acknowledged event once, and the incidents of one that was never killed', () =>
    withData(async (data) => {
      const wanted = await uninterrupted
      expect(wanted.length).toBeGreaterThan(20)
      let acked = 0
      for (const until of [10, 120, 130, 340, 500]) {
        const child = await startChild({ data, batches_in_flight_max: 1024, ...SMALL })
        const agent = await send(child.grpc_port, until)
        // In the middle of the work: acks, detectors and incident log are at different places.
        await child.end('SIGKILL')
        expect(agent.acked).toBeGreaterThanOrEqual(until)
        acked = Math.max(acked, agent.acked)
        agent.close()
        const stored = storedBatches(data).filter(({ node_id }) => node_id === SAMPLE_NODE.node_id)
        expect(stored.map(({ first }) => first)).toEqual(stored.map((_, i) => 1 + 10 * i))
        expect(stored.at(-1)?.last).toBeGreaterThanOrEqual(acked)
      }
      const child = await startChild({ data, batches_in_flight_max: 1024, ...SMALL })
      const agent = await send(child.grpc_port, LAST)
      agent.close()
      expect(await child.end('SIGTERM')).toBe(0)
      expect(storedIncidents(data)).toEqual(wanted)
      expect((await verifyLog(join(data, 'log'))).ok).toBe(true)
      expect((await verifyLog(join(data, 'incidents'))).ok).toBe(true)
      const found = checkConservation(new LogReader(join(data, 'log')).read())
      expect(found).toMatchObject({ ok: true, events: LAST + 1, problems: [], holes: [] })
    }), 60_000)

  it('raised live what a replay of its log raises, byte for byte', () => withData(async (data) => {
    const correlator = await startSample({ data, batches_in_flight_max: 1024, ...SMALL })
    const agent = await send(correlator.grpc_port, LAST)
    agent.close()
    await correlator.stop()
    const replayed: string[] = []
    const done = replay(new LogReader(join(data, 'log')).read(), {
      detectors: [sampleDetector], onUpdate: (update) => void replayed.push(canonicalJson(update)),
    })
    expect(done.malformed).toEqual([])
    expect(replayed).toEqual(storedIncidents(data))
  }))

  it('goes on from a snapshot as if there had been none', () => withData(async (data) => {
    const wanted = await uninterrupted
    for (const until of [200, 400, LAST]) {
      const correlator = await startSample({ data, batches_in_flight_max: 1024, ...SMALL })
      const agent = new SampleAgent(correlator.grpc_port)
      const { welcome } = await agent.hello()
      for (const batch of batches.slice(welcome!.acked_seq / 10, until / 10)) agent.send(batch)
      await agent.stored(until)
      agent.close()
      await correlator.stop()
      expect(readdirSync(join(data, 'snapshots')).length).toBeGreaterThan(0)
    }
    expect(storedIncidents(data)).toEqual(wanted)
  }))

  it('uses an older snapshot, or the whole log, when one is damaged', () => withData(async (data) => {
    const wanted = await uninterrupted
    const first = await startSample({ data, batches_in_flight_max: 1024, ...SMALL })
    const agent = new SampleAgent(first.grpc_port)
    await agent.hello()
    for (const batch of batches.slice(0, 30)) agent.send(batch)
    await agent.stored(300)
    agent.close()
    await first.stop()
    const dir = join(data, 'snapshots')
    for (const name of readdirSync(dir)) writeFileSync(join(dir, name), 'not a snapshot')
    const second = await startSample({ data, batches_in_flight_max: 1024, ...SMALL })
    expect(second.lines.join('\n')).toMatch(/snapshot at \d+: .*checksum differs.*older snapshot/)
    const again = await send(second.grpc_port, LAST)
    again.close()
    await second.stop()
    expect(storedIncidents(data)).toEqual(wanted)
  }))

  it('cuts off an unfinished end, and asks for what was in it', () => withData(async (data) => {
    const wanted = await uninterrupted
    const first = await startSample({ data, batches_in_flight_max: 1024 })
    const agent = await send(first.grpc_port, LAST)
    agent.close()
    await first.stop()
    rmSync(join(data, 'snapshots'), { recursive: true })
    // As after a power cut: the end of the newest segment never reached the disk.
    const segment = join(data, 'log', `${'1'.padStart(20, '0')}.seg`)
    truncateSync(segment, statSync(segment).size - 3000)
    const second = await startSample({ data, batches_in_flight_max: 1024 })
    expect(second.lines.join()).toContain('unfinished end was cut off')
    const again = await send(second.grpc_port, LAST)
    expect(again.received[0].welcome!.acked_seq).toBeLessThan(LAST)
    again.close()
    await second.stop()
    expect(storedIncidents(data)).toEqual(wanted)
    expect(storedBatches(data).map(({ last }) => last).at(-1)).toBe(LAST)
  }))

  it('says what is damaged in the middle, and goes on', () => withData(async (data) => {
    const first = await startSample({ data, batches_in_flight_max: 1024 })
    const agent = await send(first.grpc_port, LAST)
    agent.close()
    await first.stop()
    rmSync(join(data, 'snapshots'), { recursive: true })
    const segment = join(data, 'log', `${'1'.padStart(20, '0')}.seg`)
    const bytes = readFileSync(segment)
    bytes[bytes.length >> 1] ^= 1
    writeFileSync(segment, bytes)
    const second = await startSample({ data, batches_in_flight_max: 1024 })
    expect(second.lines.join()).toMatch(/event log: 0+1\.seg: .*(checksum|header)/)
    const again = new SampleAgent(second.grpc_port)
    const { welcome } = await again.hello()
    again.send(heartbeats(welcome!.acked_seq + 1, 1))
    await again.stored(welcome!.acked_seq + 1)
    again.close()
    await second.stop()
  }))

  it('forgets old batches by retention, keeps a snapshot, and goes on', () => withData(async (data) => {
    const limits = { segment_bytes_max: 16 * 1024, log_bytes_max: 64 * 1024 }
    const big = Array.from({ length: 60 }, (_, i) => sampleBatch(1 + 500 * i, Array.from({ length: 500 },
      (_, j) => connection(1000 + 7 * j + i, `10.${i}.${j % 200}.${(i * j) % 200}`, 80 + j % 4000, i * 1000 + j))))
    const first = await startSample({ data, batches_in_flight_max: 1024, ...limits })
    const agent = new SampleAgent(first.grpc_port)
    await agent.hello()
    for (const batch of big) {
      agent.send(batch)
      await agent.until(() => agent.acked > 0)
    }
    await agent.stored(30_000)
    expect(await first.metric('vedette_log_removed_batches_total')).toBeGreaterThan(0)
    expect(await first.metric('vedette_log_bytes')).toBeLessThan(64 * 1024 + 2 * 16 * 1024)
    agent.close()
    await first.stop()
    const second = await startSample({ data, ...limits })
    const again = new SampleAgent(second.grpc_port)
    expect((await again.hello()).welcome?.acked_seq).toBe(30_000)
    again.send(heartbeats(30_001, 1))
    await again.stored(30_001)
    expect(await second.metric('vedette_log_missing_events')).toBe(0)
    again.close()
    await second.stop()
  }))
})
