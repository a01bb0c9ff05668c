import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ExampleEvent } from '../detect/detector.ts'
import { Engine } from '../detect/engine.ts'
import { encodeEvents, EXAMPLE_BOOT_ID, eventsOf } from '../detect/example.ts'
import { canonicalJson } from '../detect/incident.ts'
import type { IncidentUpdate } from '../detect/incident.ts'
import zoneViolation from '../detectors/zone-violation.ts'
import { startSample } from '../correlator/sample/sample-correlator.ts'
import { LogReader } from '../log/cursor.ts'
import { SAMPLE_OPTIONS } from '../log/sample-log.ts'
import { openLog } from '../log/writer.ts'
import { decodeBatch } from '../proto/batch.ts'
import { jsonLines, run } from '../test/command-line.ts'

let data = ''
const file = (name: string): string => join(data, name)
const POLICY = `version: 1
zones:
  - { name: serving, exposure: public, match: { namespaces: [serving] } }
  - { name: training, exposure: protected, match: { node_groups: [gpu] } }
flows:
  - { from: serving, to: training, ports: [8080], service_accounts: [serving/agent], reason: r }
`

const end = (node_id: string, at_ms: number, exe: string, values: object): ExampleEvent => ({
  kind: 'connection_open', at_ms, node_id,
  process: { pid: 7, start_time: 5n, exe, cgroup_id: 9n, cgroup_path: '/c' },
  values: { protocol: 'tcp', ...values },
})
const EVENTS: ExampleEvent[] = [
  { kind: 'workload_seen', at_ms: 0, node_id: 'inf-1',
    values: { cgroup_id: 9n, workload: 'pod:serving/llm-0', namespace: 'serving', service_account: 'llm',
      pod_uid: 'u', facts_source: 'kubernetes' } },
  { kind: 'node_seen', at_ms: 0, node_id: 'gpu-1',
    values: { node_group: 'gpu', addresses: ['172.31.0.5'] } },
  end('inf-1', 100, '/usr/bin/ssh', {
    direction: 'outgoing', local_addr: '10.244.0.3', local_port: 40_000, remote_addr: '172.31.0.5', remote_port: 22 }),
  end('gpu-1', 150, '/usr/sbin/sshd', {
    direction: 'accepted', local_addr: '172.31.0.5', local_port: 22, remote_addr: '10.244.0.3', remote_port: 40_000 }),
  { kind: 'heartbeat', at_ms: 30_000, node_id: 'inf-1', values: {} },
]

let incident = ''
beforeAll(async () => {
  data = mkdtempSync(join(tmpdir(), 'vedette-explain-'))
  writeFileSync(file('vedette.yaml'), POLICY)
  writeFileSync(file('other.yaml'), POLICY.replace('[8080]', '[22]'))
  const log = openLog(file('log'), SAMPLE_OPTIONS)
  const incidents = openLog(file('incidents'), SAMPLE_OPTIONS)
  const engine = new Engine({ detectors: [zoneViolation] })
  for (const [i, bytes] of encodeEvents(eventsOf({ policy: POLICY, events: EVENTS })).entries()) {
    log.append(bytes)
    for (const update of engine.ingest(decodeBatch(bytes), i + 1)) {
      incidents.append(Buffer.from(canonicalJson(update)))
      incident = update.incident.incident_id
    }
  }
  await log.close()
  await incidents.close()
})
afterAll(() => rmSync(data, { recursive: true, force: true }))

const explain = (...words: string[]) => run(['policy', 'explain', ...words])

describe('policy explain', () => {
  it('says why a connection that nobody made is allowed or not, by a policy file', async () => {
    const asked = ['--policy', file('vedette.yaml'), '--from', 'namespace=serving,service_account=serving/x']
    const { code, stdout } = await explain(...asked, '--to', 'node_group=gpu:8080')
    expect(code).toBe(1)
    expect(stdout).toContain('not allowed: serving to training, port 8080/tcp')
    expect(stdout).toMatch(/vedette\.yaml:3: namespaces serving/)
    expect(stdout).toMatch(/vedette\.yaml:4: node_groups gpu/)
    expect(stdout).toMatch(/vedette\.yaml:6: serving to training does not: another service account/)
    const agent = ['service_account=serving/agent', '--to', 'training:8080', '-o', 'json']
    const good = await explain(...asked.slice(0, 3), ...agent)
    expect(good.code).toBe(0)
    expect(jsonLines(good.stdout))
      .toMatchObject([{ allowed: true, because: 'flow', flow_line: 6, from_zone: 'serving' }])
  })

  it('explains an event with both ends and all names that the log knew, from either end', async () => {
    for (const event of [`inf-1:${EXAMPLE_BOOT_ID}:2`, 'gpu-1:2']) {
      const { code, stdout } = await explain(event, '--data', data)
      expect(code, event).toBe(1)
      expect(stdout).toContain('not allowed: serving to training, port 22/tcp')
      expect(stdout).toMatch(/from  10\.244\.0\.3:40000  \/usr\/bin\/ssh \(pid 7 on inf-1\)  pod:serving\/llm-0/)
      expect(stdout).toMatch(/to    172\.31\.0\.5:22  node:gpu-1  \/usr\/sbin\/sshd \(pid 7 on gpu-1\)/)
      expect(stdout).toContain('another port or protocol, another service account')
    }
  })

  it('explains an event under another policy', async () => {
    const { code, stdout } = await explain('inf-1:2', '--data', data, '--policy', file('other.yaml'), '-o', 'json')
    expect(code).toBe(1)
    expect(jsonLines(stdout)).toMatchObject([{ seq: 2, flows_not_fitting: [{ line: 6, fails: ['service_accounts'] }],
      from: { workload: 'pod:serving/llm-0' }, to: { name: 'node:gpu-1' } }])
  })

  it('explains the connections of an incident', async () => {
    const { code, stdout } = await explain(incident.slice(0, 8), '--data', data, '-o', 'json')
    expect(code).toBe(1)
    expect(jsonLines(stdout).map(({ node_id, allowed }) => [node_id, allowed]))
      .toEqual([['inf-1', false], ['gpu-1', false]])
  })

  it('says what it does not look at of a large incident, and cannot read of the log', async () => {
    const other = file('large')
    cpSync(file('log'), join(other, 'log'), { recursive: true })
    const [{ payload }] = new LogReader(file('incidents')).read()
    const update = JSON.parse(payload.toString()) as IncidentUpdate
    update.incident.findings[0].evidence = Array.from({ length: 40 }, (_, i) =>
      ({ node_id: 'inf-1', boot_id: EXAMPLE_BOOT_ID, seq: i + 1 }))
    const incidents = openLog(join(other, 'incidents'), SAMPLE_OPTIONS)
    incidents.append(Buffer.from(JSON.stringify(update)))
    const log = openLog(join(other, 'log'), SAMPLE_OPTIONS)
    const broken = log.append(Buffer.from('no batch'))
    for (const one of [incidents, log]) await one.close()
    const { stderr } = await explain(incident, '--data', other)
    expect(stderr).toContain(`batch ${broken} of the event log cannot be read: `)
    expect(stderr).toMatch(/\d+ more events of the incident were not looked at/)
    expect((await explain(incident, '--data', data)).stderr).not.toContain('not looked at')
  })

  it('asks a correlator where it is told no folder', async () => {
    const words = [incident, '-o', 'json']
    const offline = await explain(...words, '--data', data)
    const correlator = await startSample({ data, policy: file('vedette.yaml') })
    try {
      const server = ['--server', `127.0.0.1:${correlator.grpc_port}`]
      expect(await explain(...words, ...server)).toEqual(offline)
      const { code, stdout } = await explain('gpu-1:2', ...server)
      expect(code).toBe(1)
      expect(stdout).toMatch(/from  10\.244\.0\.3:40000  \/usr\/bin\/ssh \(pid 7 on inf-1\)  pod:serving\/llm-0/)
      expect(await explain('inf-1:99', ...server)).toMatchObject({ code: 1,
        stderr: expect.stringContaining('the event log holds no event inf-1:99') as string })
      const shown = await run(['events', '--kind', 'connection_open', '-o', 'json', ...server])
      expect(jsonLines(shown.stdout)).toMatchObject([
        { zone: 'serving', remote_zone: 'training', remote_workload: 'node:gpu-1' },
        { zone: 'training', remote_zone: 'external' }])
    } finally {
      await correlator.stop()
    }
  })

  it('says what it needs, and what it did not find', async () => {
    const told = async (...words: string[]): Promise<[number | null, string]> => {
      const { code, stderr } = await explain(...words)
      return [code, stderr]
    }
    expect(await told('--from', '10.0.0.1')).toEqual([2, expect.stringContaining('both --from and --to')])
    expect(await told('inf-1:99', '--data', data))
      .toEqual([1, expect.stringContaining('holds no connection or read of inf-1:99')])
    expect(await told('what?')).toEqual([2, expect.stringContaining('neither an event')])
  })
})
