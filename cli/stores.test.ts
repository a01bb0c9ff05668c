import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startSample } from '../correlator/sample/sample-correlator.ts'
import type { ExampleEvent } from '../detect/detector.ts'
import { encodeEvents, eventsOf } from '../detect/example.ts'
import { SAMPLE_OPTIONS } from '../log/sample-log.ts'
import { openLog } from '../log/writer.ts'
import { jsonLines, run } from '../test/command-line.ts'

const POLICY = `version: 1
zones:
  - { name: training, exposure: protected, match: { systemd_units: [train.service] } }
stores:
  - name: imagenet
    kind: dataset
    zone: training
    sensitivity: confidential
    paths: [/data/imagenet]
    readers: { zones: [training] }
    expected: { bytes_per_day: 1 TiB }
  - { name: vectors, kind: database, sensitivity: internal, endpoints: ["10.0.0.9:6333"] }
`
const DAY_MS = 86_400_000
const MIB = 2 ** 20
const train = { pid: 7, start_time: 5n, exe: '/opt/train', comm: 'train', workload: 'train.service',
  cgroup_id: 9n, cgroup_path: '/system.slice/train.service' }
const tar = { workload: '', pid: 8, start_time: 6n, exe: '/bin/tar', comm: 'tar', cgroup_id: 10n,
  cgroup_path: '/user.slice/session-1.scope' }

const read = (at_ms: number, mib: number, process = train, node_id = 'gpu-1'): ExampleEvent => ({
  kind: 'store_read', at_ms, node_id, process,
  values: { store: 'imagenet', bytes: mib * MIB, calls: 9, files_distinct: 1500, mechanism: 'read',
    duration_ns: 2e9 } })
const seen = (node_id: string, state: string, reason = '', store = 'imagenet'): ExampleEvent => ({
  kind: 'store_seen', at_ms: 0, node_id,
  values: { store, state, path: '/data/imagenet', fs_type: 'nfs4', mount_source: 'filer:/e', reason } })
const connection = (kind: 'connection_totals' | 'connection_close', at_ms: number, mib: number): ExampleEvent => ({
  kind, at_ms, node_id: 'gpu-1', process: train,
  values: { connection_id: 77n, bytes_received: mib * MIB, direction: 'outgoing', protocol: 'tcp',
    duration_ns: (at_ms - 9 * DAY_MS) * 1e6,
    local_addr: '10.0.0.1', local_port: 4000, remote_addr: '10.0.0.9', remote_port: 6333 } })
const EVENTS: ExampleEvent[] = [
  seen('gpu-1', 'absent', 'not there yet', 'llm'), seen('gpu-1', 'watched'),
  seen('gpu-2', 'unresolved', 'no such folder'),
  // Ten days of a hundred reports, and a day with a hundred times as much.
  ...Array.from({ length: 10 }, (_, day) =>
    Array.from({ length: 15 }, (__, i) => read(day * DAY_MS + 60_000 * i, 10))).flat(),
  connection('connection_totals', 9 * DAY_MS, 5),
  read(10 * DAY_MS, 20_000), read(10 * DAY_MS + 1000, 3, tar),
  connection('connection_totals', 10 * DAY_MS + 2000, 40), connection('connection_close', 10 * DAY_MS + 9000, 64),
]

let data = ''
const file = (name: string): string => join(data, name)
beforeAll(async () => {
  data = mkdtempSync(join(tmpdir(), 'vedette-stores-'))
  writeFileSync(file('vedette.yaml'), POLICY)
  const log = openLog(file('log'), SAMPLE_OPTIONS)
  for (const bytes of encodeEvents(eventsOf({ policy: POLICY, events: EVENTS }))) log.append(bytes)
  await log.close()
})
afterAll(() => rmSync(data, { recursive: true, force: true }))

const FROM = ['--from', '2030-01-10T12:00:00Z']
const stores = (...words: string[]) => run(['stores', '--data', data, ...words])

describe('stores', () => {
  it('shows where they are watched, who read how much, and fails when one may not', async () => {
    const { code, stdout } = await stores(...FROM)
    expect(code).toBe(1)
    const lines = stdout.trimEnd().split('\n')
    for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(100)
    expect(lines[1])
      .toMatch(/^imagenet +dataset +confidential +training +watched on gpu-1; unresolved on gpu-2 \(no suc/)
    expect(lines[2]).toMatch(/^vectors +database +internal +- +at 10\.0\.0\.9:6333$/)
    expect(lines[4]).toMatch(/^STORE +READER +READ +A DAY +USUAL +FILES +RATE +NORMAL/)
    expect(lines[5])
      .toMatch(/^imagenet +train\.service +19\.5 GiB +19\.5 GiB +256 MiB +1\.50k +3\.9 GiB\/s +78 × usual$/)
    expect(lines[6]).toMatch(/^imagenet +\/bin\/tar +3\.0 MiB +3\.0 MiB +- +1\.50k +614 KiB\/s +not allowed$/)
    expect(lines[7]).toMatch(/^vectors +train\.service +24\.0 MiB +24\.0 MiB +8\.0 MiB +- +3\.4 MiB\/s +thin$/)
    expect(lines).toHaveLength(8)
  })

  it('compares with what is usual, and counts a connection once', async () => {
    const { code, stdout } = await stores('-o', 'json', '--from', '0s', ...['--to', '2030-01-10T12:00:00Z'])
    expect(code).toBe(0)
    const [imagenet, train10, vectors, database] = jsonLines(stdout)
    expect(imagenet).toMatchObject({ about: 'store', store: 'imagenet', store_kind: 'dataset', store_zone: 'training',
      sensitivity: 'confidential', expected_bytes_per_day: 2 ** 40, sites: [
        { node_id: 'gpu-1', state: 'watched', path: '/data/imagenet', fs_type: 'nfs4', mount_source: 'filer:/e' },
        { node_id: 'gpu-2', state: 'unresolved', reason: 'no such folder' }] })
    expect(train10).toMatchObject({ about: 'reader', workload_class: 'train.service', bytes: 1500 * MIB,
      bytes_most_per_day: 150 * MIB, calls: 1350, files_distinct: 1500, permitted: true, against_normal: 'within',
      bytes_by_mechanism: { read: 1500 * MIB }, nodes: ['gpu-1'], programs: ['/opt/train'], bytes_not_permitted: 0,
      first_read: '2030-01-01T00:00:00.000000000Z', usual: { days: 10, thin: false, usual_bytes_per_day: 256 * MIB } })
    expect(vectors).toMatchObject({ about: 'store', sites: [] })
    expect(database).toMatchObject({ bytes: 5 * MIB, bytes_by_mechanism: { network: 5 * MIB } })
  })

  it('shows one store, and as many readers as asked', async () => {
    const { stdout } = await stores('imagenet', ...FROM, '--limit', '1')
    expect(stdout).toMatch(/^1 more read imagenet$/m)
    expect(stdout).not.toMatch(/vectors|tar/)
    expect(await stores('imagenit')).toMatchObject({ code: 1,
      stderr: expect.stringMatching(/there is no store "imagenit"; did you mean imagenet\?/) as string })
  })

  it('asks a correlator as well, which knows the same', async () => {
    const offline = await stores(...FROM, '-o', 'json')
    const words = ['stores', ...FROM, '-o', 'json']
    const correlator = await startSample({ data, policy: file('vedette.yaml') })
    try {
      expect(await run([...words, '--server', `127.0.0.1:${correlator.grpc_port}`])).toEqual(offline)
    } finally {
      await correlator.stop()
    }
    // It saved a snapshot, which says the same as the log before it.
    expect(readdirSync(file('snapshots'))).toHaveLength(1)
    expect(await stores(...FROM, '-o', 'json')).toEqual(offline)
    writeFileSync(join(file('snapshots'), readdirSync(file('snapshots'))[0]), 'no snapshot')
    const { stdout, stderr } = await stores(...FROM, '-o', 'json')
    expect([stdout, stderr]).toEqual([offline.stdout, expect.stringMatching(/vedette: snapshot at \d+: /)])
  }, 60_000)

  it('learns the policy in force, and the class of readers of a store that it lost', async () => {
    const correlator = await startSample({ data })
    try {
      const server = ['--server', `127.0.0.1:${correlator.grpc_port}`]
      const { code, stdout } = await run(['stores', ...FROM, ...server])
      expect([code, stdout]).toEqual([0, expect.stringMatching(/^imagenet +- +- +- +watched on gpu-1;/m)])
      expect(stdout).toMatch(/^imagenet +\/bin\/tar +.* new$/m)
      expect(stdout).not.toMatch(/vectors/)
    } finally {
      await correlator.stop()
    }
  }, 60_000)

  it('says so where there is nothing', async () => {
    const empty = mkdtempSync(join(tmpdir(), 'vedette-stores-'))
    const log = openLog(join(empty, 'log'), SAMPLE_OPTIONS)
    const [bytes] = encodeEvents([{ kind: 'heartbeat', at_ms: 0, values: {} }])
    log.append(bytes)
    await log.close()
    const { code, stdout, stderr } = await run(['stores', '--data', empty])
    rmSync(empty, { recursive: true })
    expect([code, stdout, stderr]).toEqual([0, '', expect.stringContaining('the policy names no stores')])
    expect((await run(['stores', '--data', join(empty, 'gone')])).code).toBe(1)
  })
})
