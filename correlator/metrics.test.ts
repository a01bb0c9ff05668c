import { spawnSync } from 'node:child_process'
import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { decodeBatch } from '../proto/batch.ts'
import { createMetrics, StoredCounter } from './metrics.ts'
import { SampleAgent } from './sample/sample-agent.ts'
import { connection, heartbeats, sampleBatch, SAMPLE_NODE } from './sample/sample-batches.ts'
import type { SampleEvent } from './sample/sample-batches.ts'
import { eventually, freePort, installed, withProgram } from './sample/program.ts'
import { withCorrelator } from './sample/sample-correlator.ts'
import type { SampleCorrelator } from './sample/sample-correlator.ts'

/** A correlator that has stored, detected and refused something. */
type Work = (correlator: SampleCorrelator) => Promise<void>
const withTraffic = (work: Work) => withCorrelator({}, async (correlator) => {
  const agent = new SampleAgent(correlator.grpc_port)
  await agent.hello()
  agent.send(sampleBatch(1, [connection(7, '10.0.0.9', 4444), { kind: 'heartbeat' }]))
  agent.send(Buffer.from('?'))
  await agent.stored(2)
  await agent.until(() => agent.refusals.length === 1)
  await eventually(async () => await correlator.metric('vedette_incidents_open{severity="high"}') === 1)
  await work(correlator)
  agent.close()
})

describe('the metrics of a correlator', () => {
  it.skipIf(!installed('promtool'))('are what promtool wants them to be', () => withTraffic(async ({ http_port }) => {
    const response = await fetch(`http://127.0.0.1:${http_port}/metrics`)
    const checked = spawnSync('promtool', ['check', 'metrics'], { input: await response.text() })
    expect(`${checked.stdout}${checked.stderr}`).toBe('')
    expect(checked.status).toBe(0)
  }))

  it('count what happened', () => withTraffic(async ({ metric }) => {
    expect(await metric('vedette_ingest_refused_total{reason="malformed_batch"}')).toBe(1)
    expect(await metric('vedette_log_events_total{kind="heartbeat"}')).toBe(1)
    expect(await metric('vedette_findings_total{detector="TST-001"}')).toBe(1)
    expect(await metric('vedette_detector_evictions_total{detector="TST-001"}')).toBe(0)
    expect(await metric('vedette_incidents_total{change="opened"}')).toBe(1)
    expect(await metric('vedette_log_bytes')).toBeGreaterThan(100)
    expect(await metric('vedette_log_storing')).toBe(1)
    expect(await metric('vedette_node_last_event_timestamp_seconds{node="node-1"}'))
      .toBeCloseTo(SAMPLE_NODE.booted_ms / 1000, 1)
    expect(await metric('vedette_node_last_event_timestamp_seconds{node="correlator"}')).toBeNaN()
    expect(await metric('vedette_ingest_waiting_bytes')).toBe(0)
    for (const table of ['processes', 'names', 'incidents', 'findings', 'amendments']) {
      expect(await metric(`vedette_engine_evictions_total{table="${table}"}`)).toBe(0)
    }
    expect(await metric('vedette_names_unwritten_total')).toBe(0)
  }))

  it('give no more than 4,096 nodes a series of their own, and count the others', async () => {
    const metrics = createMetrics()
    const counter = new StoredCounter(metrics)
    const batch = decodeBatch(heartbeats(1, 1))
    for (let i = 0; i < 4200; i++) {
      counter.count({ ...batch, envelope: { ...batch.envelope, node_id: `n${i}` } }, 1, 1)
    }
    expect((await metrics.nodeEvent.get()).values).toHaveLength(4096)
    expect((await metrics.labelOverflow.get()).values[0].value).toBe(104)
  })

  it('show when an agent tells who has an address that is not of its node', async () => {
    const metrics = createMetrics()
    const counter = new StoredCounter(metrics)
    const names = ['node-1', 'node-2', 'node-1', ''].map((on_node, i): SampleEvent =>
      ({ kind: 'address_seen', values: { seen_addr: `10.0.0.${i + 1}`, on_node } }))
    const foreign = async () => (await metrics.foreignNames.get()).values[0].value
    counter.count(decodeBatch(sampleBatch(1, [names[0], names[2]])), 1, 1)
    expect(await foreign()).toBe(0)
    counter.count(decodeBatch(sampleBatch(3, names)), 1, 1)
    expect(await foreign()).toBe(2)
    counter.count(decodeBatch(sampleBatch(1, names, { ...SAMPLE_NODE, node_id: 'correlator' })), 1, 1)
    expect(await foreign()).toBe(2)
  })

  it('are beside what tells whether it lives and works', () => withTraffic(async ({ http_port }) => {
    const get = async (path: string, method = 'GET') =>
      (await fetch(`http://127.0.0.1:${http_port}${path}`, { method })).status
    expect(await get('/livez')).toBe(200)
    expect(await get('/readyz')).toBe(200)
    expect(await get('/nowhere')).toBe(404)
    expect(await get('/metrics', 'POST')).toBe(405)
  }))

  it.skipIf(!installed('prometheus'))('are scraped by a real Prometheus, which loads the rules', () =>
    withTraffic(async ({ http_port, data }) => {
      const port = await freePort()
      copyFileSync(new URL('../deploy/prometheus/vedette.rules.yaml', import.meta.url), join(data, 'rules.yaml'))
      writeFileSync(join(data, 'prometheus.yml'), JSON.stringify({
        global: { scrape_interval: '200ms', evaluation_interval: '200ms' }, rule_files: ['rules.yaml'],
        scrape_configs: [{
          job_name: 'vedette-correlator', static_configs: [{ targets: [`127.0.0.1:${http_port}`] }],
        }],
      }))
      const url = `http://127.0.0.1:${port}`
      await withProgram('prometheus', [
        `--config.file=${join(data, 'prometheus.yml')}`, `--storage.tsdb.path=${join(data, 'tsdb')}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ], url, async () => {
        const query = async (text: string) => {
          const response = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(text)}`)
          return (await response.json() as { data: { result: { value: [number, string] }[] } }).data.result
        }
        await eventually(async () => (await query('up{job="vedette-correlator"} == 1')).length === 1)
        expect((await query('vedette_build_info{component="correlator"}')).length).toBe(1)
        expect((await query('sum(vedette_incidents_open)'))[0].value[1]).toBe('1')
        const firing = async (name: string) =>
          (await query(`ALERTS{alertname="${name}",alertstate="firing"}`)).length
        await eventually(async () => await firing('VedetteDeadMan') === 1)
        expect(await firing('VedetteCorrelatorDown')).toBe(0)
      })
    }))
})
