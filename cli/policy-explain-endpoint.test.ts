import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ExampleEvent } from '../detect/detector.ts'
import { encodeEvents, eventsOf } from '../detect/example.ts'
import { SAMPLE_OPTIONS } from '../log/sample-log.ts'
import { openLog } from '../log/writer.ts'
import { jsonLines, run } from '../test/command-line.ts'

const POLICY = `version: 1
zones:
  - { name: training, exposure: protected, match: { systemd_units: [train.service], cidrs: [10.0.0.0/24] } }
  - { name: serving, exposure: public, match: { systemd_units: [vllm.service], cidrs: [10.0.1.0/24] } }
  - { name: storage, exposure: protected, match: { cidrs: [10.0.9.0/24] } }
flows:
  - { from: training, to: storage, ports: [6333/tcp], reason: vectors }
stores:
  - name: vectors
    kind: database
    sensitivity: confidential
    endpoints: ["10.0.9.7:6333"]
    readers: { zones: [training] }
  - { name: objects, kind: objects, sensitivity: internal, endpoints: ["service:storage/minio:9000", "10.0.9.8"] }
`
let data = ''
const file = (name: string): string => join(data, name)
const process = { pid: 7, start_time: 5n, exe: '/opt/vllm', comm: 'vllm', cgroup_id: 9n, workload: 'vllm.service',
  cgroup_path: '/system.slice/vllm.service' }
const values = { protocol: 'tcp', direction: 'outgoing', local_addr: '10.0.1.1', local_port: 4000,
  remote_addr: '10.0.9.7', remote_port: 6333, bytes_received: 2 ** 20, connection_id: 5n } as const
const EVENTS: ExampleEvent[] = [
  { kind: 'connection_open', at_ms: 0, node_id: 'n', process,
    values: { ...values, bytes_received: undefined } as object },
  { kind: 'connection_totals', at_ms: 9, node_id: 'n', process, values },
  { kind: 'heartbeat', at_ms: 30_000, node_id: 'n', values: {} },
]

beforeAll(async () => {
  data = mkdtempSync(join(tmpdir(), 'vedette-explain-endpoint-'))
  writeFileSync(file('vedette.yaml'), POLICY)
  const log = openLog(file('log'), SAMPLE_OPTIONS)
  for (const bytes of encodeEvents(eventsOf({ policy: POLICY, events: EVENTS }))) log.append(bytes)
  await log.close()
})
afterAll(() => rmSync(data, { recursive: true, force: true }))

const asked = (...words: string[]) => run(['policy', 'explain', '--policy', file('vedette.yaml'), ...words])

describe('policy explain of a store behind endpoints', () => {
  it('says who may read it, and whether a flow lets it connect', async () => {
    const yes = await asked('--from', 'training', '--read', 'vectors')
    expect([yes.code, yes.stdout]).toEqual([0, expect.stringMatching(/^allowed: training to read vectors$/m)])
    expect(yes.stdout).toMatch(/^ {2}over {2}10\.0\.9\.7:6333: the connection is allowed, by the flow at .*yaml:7$/m)
    expect(yes.stdout).toMatch(/which part, nobody sees/)
    const no = await asked('--from', 'serving', '--read', 'vectors')
    expect([no.code, no.stdout]).toEqual([1, expect.stringMatching(/^not allowed: serving to read vectors$/m)])
    expect(no.stdout)
      .toMatch(/10\.0\.9\.7:6333: the connection is not allowed, no flow lets serving connect to storage$/m)
    expect(no.stdout).toMatch(/To allow it, add below flows:\n +- from: serving/)
    // Nobody is named as a reader, but there is no way to it.
    const shut = await asked('--from', 'training', '--read', 'objects', '-o', 'json')
    expect([shut.code, jsonLines(shut.stdout)]).toMatchObject([1, [{ allowed: null, endpoints: [
      { endpoint: 'service:storage/minio:9000', allowed: false, from_zone: 'training' }] }]])
    const write = await asked('--from', 'training', '--write', 'vectors')
    expect(write.stdout).toMatch(/Over the network nobody sees what is changed: writers are not asked there\./)
  }, 90_000)

  it('says of a connection to an endpoint who may read the store there', async () => {
    const no = await asked('--from', 'unit=vllm.service', '--to', '10.0.9.7:6333')
    expect([no.code, no.stdout])
      .toEqual([1, expect.stringMatching(/^not allowed: serving to storage, port 6333\/tcp$/m)])
    expect(no.stdout).toMatch(/^not allowed: serving to read vectors$/m)
    const yes = await asked('--from', 'unit=train.service', '--to', '10.0.9.7:6333', '-o', 'json')
    expect([yes.code, jsonLines(yes.stdout)])
      .toMatchObject([0, [{ allowed: true, read: { allowed: true, store: 'vectors' } }]])
    const other = await asked('--from', 'unit=train.service', '--to', '10.0.9.7:22', '-o', 'json')
    expect(jsonLines(other.stdout)[0]).not.toHaveProperty('read')
  }, 90_000)

  it('explains connections of the log that bring something of a store, also while they are open', async () => {
    for (const [event, kind] of [['n:1', 'connection_open'], ['n:2', 'connection_totals']]) {
      const { code, stdout } = await run(['policy', 'explain', event, '--data', data, '-o', 'json'])
      expect([code, jsonLines(stdout)]).toMatchObject([1, [{ kind, allowed: false, read: { allowed: false,
        store: 'vectors', line: 13 } }]])
    }
    const { stdout } = await run(['policy', 'explain', 'n:2', '--data', data])
    expect(stdout)
      .toMatch(/^not allowed: serving to read vectors\n {2}by {4}10\.0\.1\.1:4000 {2}\/opt\/vllm \(pid 7 on n\)/m)
  }, 90_000)
})
