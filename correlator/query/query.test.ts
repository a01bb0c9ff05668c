import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { decodeBatch, decodeEnvelope } from '../../proto/batch.ts'
import { QueryClient } from '../sample/query-client.ts'
import { SampleAgent } from '../sample/sample-agent.ts'
import { connection, heartbeats, sampleBatch, SAMPLE_NODE } from '../sample/sample-batches.ts'
import { withCorrelator, withData, startSample } from '../sample/sample-correlator.ts'
import type { SampleCorrelator } from '../sample/sample-correlator.ts'

const BOOTED = SAMPLE_NODE.booted_ms
const other = { ...SAMPLE_NODE, node_id: 'node-2' }

/** A correlator with 30 events of two nodes in it: heartbeats at 1 to 20 ms, and connections. */
const withEvents = (work: (query: QueryClient, agent: SampleAgent, correlator: SampleCorrelator) => Promise<void>) =>
  withCorrelator({}, async (correlator) => {
    const agent = new SampleAgent(correlator.grpc_port)
    const second = new SampleAgent(correlator.grpc_port)
    const query = new QueryClient(correlator.grpc_port)
    try {
      await agent.hello()
      await second.hello(other)
      agent.send(heartbeats(1, 10))
      agent.send(heartbeats(11, 10))
      await agent.stored(20)
      second.send(sampleBatch(1, Array.from({ length: 10 }, (_, i) =>
        connection(50 + i, '10.0.0.9', i === 5 ? 4444 : 80, 1000 + i)), other))
      await second.stored(10)
      await work(query, agent, correlator)
    } finally {
      query.close()
      agent.close()
      second.close()
    }
  })

describe('events', () => {
  it('come as lines in the order of the log, with who and where', () => withEvents(async (query) => {
    const lines = await query.events({ kinds: ['connection_open'] }).all()
    expect(lines.length).toBe(10)
    expect(lines[5]).toMatchObject({
      kind: 'connection_open', node_id: 'node-2', seq: 6, pid: 55, remote_addr: '10.0.0.9', remote_port: 4444,
    })
    expect((await query.events().all()).map(({ kind }) => kind)).toEqual([
      'policy_applied', ...Array<string>(20).fill('heartbeat'), ...Array<string>(10).fill('connection_open'),
    ])
  }))

  it('can be narrowed by time, kind, node and number', () => withEvents(async (query) => {
    const count = async (request: object) => (await query.events(request).all()).length
    expect(await count({ from_ms: BOOTED + 8, to_ms: BOOTED + 12 })).toBe(5)
    expect(await count({ from_ms: BOOTED + 5, to_ms: BOOTED + 5 })).toBe(1)
    expect(await count({ from_ms: BOOTED + 2000 })).toBe(0)
    expect(await count({ kinds: ['heartbeat'], node_ids: ['node-2'] })).toBe(0)
    expect(await count({ node_ids: ['node-1'] })).toBe(20)
    expect(await count({ node_ids: ['node-1', 'node-2'], limit: 23 })).toBe(23)
    expect(await count({ kinds: ['ledger'] })).toBe(0)
  }))

  it('of an unknown kind, or of a range that is none, are refused in words', () => withEvents(async (query) => {
    await expect(query.events({ kinds: ['conection'] }).all())
      .rejects.toThrow(/no such kind: conection.*connection_open/)
    await expect(query.events({ from_ms: 2, to_ms: 1 }).all()).rejects.toThrow('ends before it begins')
  }))

  it('are followed from now on, or from a time on', () => withEvents(async (query, agent) => {
    const live = query.events({ follow: true, kinds: ['heartbeat'] })
    const since = query.events({ follow: true, kinds: ['heartbeat'], from_ms: BOOTED + 15 })
    await since.until(() => since.lines.length === 6)
    agent.send(heartbeats(21, 5))
    await live.until(() => live.lines.length === 5)
    await since.until(() => since.lines.length === 11)
    expect(live.lines.map(({ seq }) => seq)).toEqual([21, 22, 23, 24, 25])
    const limited = query.events({ follow: true, limit: 3 })
    await new Promise((resolve) => setTimeout(resolve, 50))
    agent.send(heartbeats(26, 5))
    expect((await limited.all()).map(({ seq }) => seq)).toEqual([26, 27, 28])
    live.cancel()
    since.cancel()
  }))

  it('that were read too slowly are named, and the newest go on', () => withEvents(async (query, agent, correlator) => {
    const slow = query.events({ follow: true })
    slow.stream.pause()
    await new Promise((resolve) => setTimeout(resolve, 50))
    const text = 'x'.repeat(20_000)
    for (let seq = 21; seq <= 1220; seq++) {
      agent.send(sampleBatch(seq, [{ kind: 'probe_state', values: { reason: `${seq} ${text}` } }]))
      if (seq % 10 === 0) await agent.stored(seq)
    }
    slow.stream.resume()
    await slow.until(() => slow.lines.some(({ missed }) => missed !== undefined))
    agent.send(heartbeats(1221, 1))
    await slow.until(() => slow.lines.at(-1)?.['seq'] === 1221)
    const got = slow.lines.filter(({ missed }) => missed === undefined).length
    const missed = slow.lines.reduce((sum, line) => sum + Number(line['missed_batches'] ?? 0), 0)
    expect(got + missed).toBe(1201)
    expect(await correlator.metric('vedette_query_missed_batches_total')).toBe(missed)
    slow.cancel()
  }))

  it('carry the zones of the policy in force, also after it has changed', () => withData(async (data) => {
    const policy = join(data, 'vedette.yaml')
    const text = (cidr: string) => 'version: 1\nzones:\n'
      + `  - name: inference\n    exposure: public\n    match: { cidrs: [${cidr}] }\n`
      + '  - name: storage\n    exposure: protected\n    match: { cidrs: [10.0.0.9/32] }\n'
    writeFileSync(policy, text('10.0.0.1/32'))
    const correlator = await startSample({ data: join(data, 'd'), policy })
    const agent = new SampleAgent(correlator.grpc_port)
    const query = new QueryClient(correlator.grpc_port)
    await agent.hello()
    agent.send(sampleBatch(1, [connection(7, '10.0.0.9', 80), { kind: 'heartbeat' }]))
    await agent.stored(2)
    const [event, heartbeat] = (await query.events().all()).slice(1)
    expect(event).toMatchObject({ zone: 'inference', remote_zone: 'storage' })
    expect(heartbeat).not.toHaveProperty('zone')
    writeFileSync(policy, text('10.7.7.7/32'))
    const applied = query.events({ follow: true, kinds: ['policy_applied'], from_ms: 1 })
    await applied.until(() => applied.lines.length === 2)
    const [changed] = (await query.events({ kinds: ['connection_open'] }).all())
    expect(changed).toMatchObject({ zone: 'unzoned', remote_zone: 'storage' })
    applied.cancel()
    query.close()
    agent.close()
    await correlator.stop()
  }))
})

describe('incidents', () => {
  it('are found by the beginning of their id, and by state', () => withEvents(async (query) => {
    const found = query.incidents({ follow: true })
    await found.until(() => found.lines.length > 0)
    found.cancel()
    const [incident] = await query.incidents().all()
    expect(incident).toMatchObject({ state: 'open', severity: 'high', nodes: ['node-2'] })
    const id = String(incident['incident_id'])
    expect(await query.incidents({ incident_id: id.slice(0, 4) }).all()).toEqual([incident])
    expect(await query.incidents({ state: 'closed' }).all()).toEqual([])
    expect(await query.incidents({ incident_id: id, state: 'open' }).all()).toEqual([incident])
    await expect(query.incidents({ incident_id: 'zz' }).all()).rejects.toThrow(/no incident begins with "zz"/)
    await expect(query.incidents({ state: 'ajar' }).all()).rejects.toThrow('not "ajar"')
  }))

  it('are followed as they open and close', () => withEvents(async (query, agent) => {
    const feed = query.incidents({ follow: true })
    await feed.until(() => feed.lines.length === 1)
    agent.send(sampleBatch(21, [connection(99, '10.1.1.1', 4444, 2000)]))
    await feed.until(() => feed.lines.length === 2)
    expect(feed.lines[1]).toMatchObject({ state: 'open', nodes: ['node-1'] })
    agent.send(sampleBatch(22, [{ kind: 'heartbeat', at_ms: 7_200_000 }]))
    await feed.until(() => feed.lines.filter(({ state }) => state === 'closed').length === 2)
    feed.cancel()
  }))

  it('whose ids begin the same must be named further', () => withEvents(async (query, agent) => {
    agent.send(sampleBatch(21, Array.from({ length: 40 }, (_, i) => connection(300 + i, '10.1.1.1', 4444, 2000))))
    await agent.stored(60)
    const feed = query.incidents({ follow: true })
    await feed.until(() => feed.lines.length >= 41)
    feed.cancel()
    // 41 ids in hex: two must share their first digit.
    const ids = feed.lines.map((line) => String(line['incident_id']))
    const shared = ids.map((id) => id[0]).find((digit, i, all) => all.indexOf(digit) !== i)!
    await expect(query.incidents({ incident_id: shared }).all()).rejects.toThrow(/incidents begin so/)
  }))
})

describe('status', () => {
  it('says what is stored, of whom, and where the chain ends', () => withEvents(async (query) => {
    const [correlator, ...nodes] = await query.status()
    expect(correlator).toMatchObject({
      component: 'correlator', log_first: 1, log_last: 4, storing: true, streams: 2, trouble: '',
    })
    expect(correlator['chain_head']).toMatch(/^[0-9a-f]{64}$/)
    expect(correlator['policy_sha256']).toMatch(/^[0-9a-f]{64}$/)
    expect(nodes.map(({ node_id, acked_seq, events, connected }) => [node_id, acked_seq, events, connected]))
      .toEqual([['node-1', 20, 20, true], ['node-2', 10, 10, true]])
  }))
})

describe('batches', () => {
  const firstSeqs = (batches: { payload: Uint8Array }[]) =>
    batches.map(({ payload }) => decodeEnvelope(payload)).map((one) => `${one.node_id} ${one.first_seq}`)

  it('come as they stand in the log', () => withEvents(async (query) => {
    const batches = await query.batches()
    expect(firstSeqs(batches).slice(1)).toEqual(['node-1 1', 'node-1 11', 'node-2 1'])
    expect(batches.map(({ position }) => position)).toEqual([1, 2, 3, 4])
    expect(batches.every(({ missed }) => missed === '')).toBe(true)
    expect(decodeBatch(batches[3].payload).columns.connection_open!.rows).toBe(10)
  }))

  it('of a range come with those from before it that hold what is asked for', () => withEvents(async (query) => {
    const from_ms = BOOTED + 11
    const to_ms = BOOTED + 20
    const found = async (request: object) => firstSeqs(await query.batches(request))
    expect(await found({ from_ms, to_ms })).toEqual(['node-1 11'])
    expect(await found({ from_ms, to_ms, kinds_before: ['heartbeat'] })).toEqual(['node-1 1', 'node-1 11'])
    expect(await found({ to_ms: 1 })).toEqual([])
  }))

  it('are only those that hold an event, when one is asked for', () => withEvents(async (query) => {
    const holding = async (...events: object[]) => firstSeqs(await query.batches({ events: events as [] }))
    const { boot_id } = SAMPLE_NODE
    expect(await holding({ node_id: 'node-1', boot_id, seq: 11 })).toEqual(['node-1 11'])
    expect(await holding({ node_id: 'node-1', seq: 10 })).toEqual(['node-1 1'])
    expect(await holding({ node_id: 'node-1', boot_id, seq: 20 }, { node_id: 'node-2', seq: 1 }))
      .toEqual(['node-1 11', 'node-2 1'])
    expect(await holding({ node_id: 'node-1', boot_id, seq: 21 })).toEqual([])
    expect(await holding({ node_id: 'node-1', boot_id: 'f'.repeat(32), seq: 1 })).toEqual([])
    const many = Array.from({ length: 65 }, (_, i) => ({ node_id: 'node-1', seq: i + 1 }))
    await expect(holding(...many)).rejects.toThrow('at most 64 events')
  }))

  it('of an unknown kind, or of a range that is none, are refused in words', () => withEvents(async (query) => {
    await expect(query.batches({ kinds_before: ['conection'] })).rejects.toThrow('no such kind: conection')
    await expect(query.batches({ from_ms: 2, to_ms: 1 })).rejects.toThrow('ends before it begins')
  }))
})
