import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { SampleAgent } from '../sample/sample-agent.ts'
import { connection, sampleBatch, SAMPLE_NODE } from '../sample/sample-batches.ts'
import { eventually, freePort, installed, withProgram } from '../sample/program.ts'
import { startSample, withData } from '../sample/sample-correlator.ts'

interface Shown {
  fingerprint: string
  startsAt: string
  updatedAt: string
  labels: Record<string, string>
  annotations: Record<string, string>
  generatorURL: string
}

/** A real Alertmanager; gives its URL. */
function withAlertmanager<Result>(dir: string, work: (url: string) => Promise<Result>): Promise<Result> {
  return freePort().then((port) => {
    const config = join(dir, `alertmanager-${port}.yml`)
    writeFileSync(config, 'route: { receiver: none }\nreceivers: [{ name: none }]\n')
    const url = `http://127.0.0.1:${port}`
    return withProgram('prometheus-alertmanager', [
      `--config.file=${config}`, `--storage.path=${join(dir, `am-${port}`)}`, '--cluster.listen-address=',
      `--web.listen-address=127.0.0.1:${port}`,
    ], url, () => work(url))
  })
}

const alertsOf = async (url: string): Promise<Shown[]> =>
  await (await fetch(`${url}/api/v2/alerts`)).json() as Shown[]

const node = () => ({ ...SAMPLE_NODE, booted_ms: Date.now() - 60_000 })

describe.skipIf(!installed('prometheus-alertmanager'))('a real Alertmanager', () => {
  it('shows one alert per incident through updates, resends and a restart, until it is resolved', () =>
    withData((dir) => withAlertmanager(dir, async (url) => {
      const config = { data: join(dir, 'data'), alertmanager_urls: [url], alert_resend_interval_ms: 200 }
      const first = await startSample(config)
      const us = node()
      const agent = new SampleAgent(first.grpc_port)
      await agent.hello(us)
      agent.send(sampleBatch(1, [connection(7, '10.0.0.9', 4444)], us))
      const [alert] = await eventually(async () => (await alertsOf(url)).length === 1 && alertsOf(url))
      expect(alert.labels).toMatchObject({
        alertname: 'VedetteIncident', severity: 'critical', cluster: 'default', kind: 'incident', source: 'vedette',
        rule_id: 'TST-001', zone_from: 'inference', zone_to: 'storage',
      })
      expect(alert.annotations['summary']).toBe('Connection to port 4444')
      expect(alert.generatorURL).toContain(`/incidents/${alert.labels['incident_id']}`)
      expect(await first.metric('vedette_alert_latency_seconds_count')).toBe(1)

      agent.send(sampleBatch(2, [connection(7, '10.0.0.8', 4444)], us))
      const grown = await eventually(async () => {
        const [one] = await alertsOf(url)
        return one.annotations['description'].includes('10.0.0.8') && one
      })
      await eventually(async () => (await alertsOf(url))[0].updatedAt > grown.updatedAt)
      agent.close()
      await first.stop()

      const stopped = (await alertsOf(url))[0].updatedAt
      const second = await startSample(config)
      await eventually(async () => (await alertsOf(url))[0].updatedAt > stopped)
      const after = await alertsOf(url)
      expect(after).toHaveLength(1)
      expect(after[0]).toMatchObject({ fingerprint: alert.fingerprint, startsAt: alert.startsAt, labels: alert.labels })
      expect(await second.metric('vedette_alert_latency_seconds_count')).toBe(0)
      const again = new SampleAgent(second.grpc_port)
      await again.hello(us)
      again.send(sampleBatch(3, [{ kind: 'heartbeat', at_ms: 7_200_000 }], us))
      await eventually(async () => (await alertsOf(url)).length === 0)
      const listed = execFileSync('amtool', ['alert', 'query', '--alertmanager.url', url, '-o', 'json'])
      expect(JSON.parse(listed.toString())).toEqual([])
      again.close()
      await second.stop()
    })), 60_000)

  it('has all alerts although it was not there when they were raised, and its twin was', () =>
    withData((dir) => withAlertmanager(dir, async (there) => {
      const port = await freePort()
      const late = `http://127.0.0.1:${port}`
      const correlator = await startSample({
        data: join(dir, 'data'), alertmanager_urls: [there, late], alert_resend_interval_ms: 60_000,
      })
      const us = node()
      const agent = new SampleAgent(correlator.grpc_port)
      await agent.hello(us)
      agent.send(sampleBatch(1, Array.from({ length: 300 }, (_, i) => connection(100 + i, '10.0.0.9', 4444)), us))
      await eventually(async () => (await alertsOf(there)).length === 300)
      expect(await correlator.metric('vedette_alerts_pending')).toBe(300)
      const config = join(dir, 'late.yml')
      writeFileSync(config, 'route: { receiver: none }\nreceivers: [{ name: none }]\n')
      await withProgram('prometheus-alertmanager', [
        `--config.file=${config}`, `--storage.path=${join(dir, 'late')}`, '--cluster.listen-address=',
        `--web.listen-address=127.0.0.1:${port}`,
      ], late, async () => {
        await eventually(async () => (await alertsOf(late)).length === 300)
        expect(await correlator.metric(`vedette_alerts_undelivered_total{alertmanager="127.0.0.1:${port}"}`)).toBe(0)
      })
      agent.close()
      await correlator.stop()
    })), 60_000)
})
