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
    writers: { systemd_units: [ingest.service] }
    expected: { bytes_per_day: 1 TiB }
  - { name: models, kind: weights, sensitivity: restricted, paths: [/models], manifest: /models/model.sig }
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
const rm = { ...tar, pid: 9, start_time: 7n, exe: '/bin/rm', comm: 'rm', cgroup_id: 11n }
const changed = (at_ms: number, operation: 'delete' | 'create', count: number): ExampleEvent => ({
  kind: 'store_write', at_ms, node_id: 'gpu-1', process: rm,
  values: { store: 'imagenet', operation, count, bytes: operation === 'delete' ? 7 * MIB : 0, path: '/x' } })
const digest = (name: string, verdict: string, reason = ''): ExampleEvent => ({
  kind: 'artifact_digest', at_ms: 10 * DAY_MS + 1250, node_id: 'gpu-1',
  values: { store: 'models', path: `/models/${name}`, verdict, reason } })
const probe = (node_id: string, lost: string): ExampleEvent => ({ kind: 'probe_state', at_ms: 1, node_id,
  values: { probe: 'store_read', state: 'degraded', lost, reason: 'this kernel is old' } })
const EVENTS: ExampleEvent[] = [
  seen('gpu-1', 'absent', 'not there yet', 'llm'), seen('gpu-1', 'watched'),
  seen('gpu-2', 'unresolved', 'no such folder'),
  // Ten days of a hundred reports, and a day with a hundred times as much.
  ...Array.from({ length: 10 }, (_, day) =>
    Array.from({ length: 15 }, (__, i) => read(day * DAY_MS + 60_000 * i, 10))).flat(),
  connection('connection_totals', 9 * DAY_MS, 5),
  read(10 * DAY_MS, 20_000), read(10 * DAY_MS + 1000, 3, tar),
  { kind: 'store_listing', at_ms: 10 * DAY_MS + 1001, node_id: 'gpu-1', process: tar,
    values: { store: 'imagenet', directories: 12, calls: 30 } },
  changed(10 * DAY_MS + 1100, 'delete', 2000), changed(10 * DAY_MS + 1200, 'create', 48),
  digest('a', 'differs', 'another sha256'), digest('a', 'matches'), digest('b', 'differs', 'another sha256'),
  digest('c', 'matches'), probe('gpu-1', 'reads by io_uring'), probe('gpu-2', 'reads by AIO'),
  { kind: 'gap', at_ms: 10 * DAY_MS + 1300, node_id: 'gpu-1',
    values: { event_kind: 'store_read', count: 9, stage: 'ring', reason: 'the ring was full' } },
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
    expect(lines[3]).toMatch(/^vectors +database +internal +- +at 10\.0\.0\.9:6333$/)
    expect(lines[5]).toMatch(/^STORE +BY +READ +A DAY +FILES +CHANGED +LISTED +NORMAL/)
    expect(lines[6])
      .toMatch(/^imagenet +train\.service +19\.5 GiB +19\.5 GiB +1\.50k +- +- +78 × 256 MiB$/)
    expect(lines[7]).toMatch(/^imagenet +\/bin\/tar +3\.0 MiB +3\.0 MiB +1\.50k +- +12 +not allowed$/)
    expect(lines[8]).toMatch(/^imagenet +\/bin\/rm +- +- +- +2\.05k +- +not allowed$/)
    expect(lines[9]).toMatch(/^vectors +train\.service +24\.0 MiB +24\.0 MiB +- +- +- +thin$/)
    expect(lines[11]).toMatch(/^STORE +AS SIGNED +DIFFERS +NOT LISTED +UNKNOWN +SUCH AS$/)
    expect(lines[12]).toMatch(/^models +2 +1 +- +- +\/models\/b: another sha256$/)
    expect(lines).toHaveLength(13)
  })

  it('compares with what is usual, and counts a connection once', async () => {
    const { code, stdout } = await stores('-o', 'json', '--from', '0s', ...['--to', '2030-01-10T12:00:00Z'])
    expect(code).toBe(0)
    const [imagenet, train10, models, vectors, database] = jsonLines(stdout)
    expect(imagenet).toMatchObject({ about: 'store', store: 'imagenet', store_kind: 'dataset', store_zone: 'training',
      sensitivity: 'confidential', expected_bytes_per_day: 2 ** 40, sites: [
        { node_id: 'gpu-1', state: 'watched', path: '/data/imagenet', fs_type: 'nfs4', mount_source: 'filer:/e' },
        { node_id: 'gpu-2', state: 'unresolved', reason: 'no such folder' }] })
    expect(train10).toMatchObject({ about: 'reader', workload_class: 'train.service', bytes: 1500 * MIB,
      bytes_most_per_day: 150 * MIB, calls: 1350, files_distinct: 1500, permitted: true, against_normal: 'within',
      bytes_by_mechanism: { read: 1500 * MIB }, nodes: ['gpu-1'], programs: ['/opt/train'], bytes_not_permitted: 0,
      first_read: '2030-01-01T00:00:00.000000000Z', usual: { days: 10, thin: false, usual_bytes_per_day: 256 * MIB } })
    expect(models).toMatchObject({ store: 'models', content: null })
    expect(vectors).toMatchObject({ about: 'store', sites: [] })
    expect(database).toMatchObject({ bytes: 5 * MIB, bytes_by_mechanism: { network: 5 * MIB } })
  })

  it('shows one store in full: who, by which program and how, against normal, and what is not seen', async () => {
    const { code, stdout } = await stores('imagenet', ...FROM)
    expect(code).toBe(1)
    for (const line of stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(100)
    expect(stdout).toMatch(/^imagenet {2}dataset, confidential, of training$/m)
    expect(stdout)
      .toMatch(/^ +where +watched on gpu-1 at \/data\/imagenet \(nfs4 of filer:\/e\), since 2030-01-01 00:00 UTC$/m)
    expect(stdout).toMatch(/^ +unresolved on gpu-2 at \/data\/imagenet \(nfs4 of filer:\/e\): no such folder$/m)
    expect(stdout).toMatch(/^ +may read +zones training \(line 10\)$/m)
    expect(stdout).toMatch(/^ +may write +systemd_units ingest\.service \(line 11\)$/m)
    expect(stdout).toMatch(/^ +expected +1\.0 TiB a day of one workload$/m)
    expect(stdout).toMatch(/^train\.service {2}78 × 256 MiB$/m)
    expect(stdout).toMatch(/^ +read +19\.5 GiB, up to 1,500 files by one process, at most 3\.9 GiB\/s$/m)
    expect(stdout).toMatch(/^ +19\.5 GiB by \/opt\/train \(read\)$/m)
    expect(stdout)
      .toMatch(/^ +last day +19\.5 GiB, usual up to 256 MiB \(the most of a day is 78 times that\), on 2030-01-11$/m)
    expect(stdout).toMatch(/^ +usual +seen on 10 days in 151 reports$/m)
    expect(stdout).toMatch(/^ +changed +2,000 deleted, 48 created; 7\.0 MiB of files are gone$/m)
    expect(stdout).toMatch(/^ +not allowed +2,048 changes by who is none of its writers/m)
    expect(stdout)
      .toMatch(/^Not seen\n {2}- on gpu-1: reads by io_uring\n {2}- on gpu-1: 9 events store_read of this time\n/m)
    expect(stdout).not.toMatch(/vectors|reads by AIO/)
    expect((await stores('models', ...FROM)).stdout)
      .toMatch(/^ +content +2 files as signed, 1 file not as signed\n +\/models\/b differs: another sha256\n\nNobody/m)
    const vectors = await stores('vectors', ...FROM)
    expect([vectors.code, vectors.stdout]).toEqual([0, expect.stringMatching(/over the network at 10\.0\.0\.9:6333/)])
    expect(vectors.stdout).toMatch(/^ {2}- over the network: which files are read, and what is changed$/m)
  }, 60_000)

  it('shows as many workloads as asked', async () => {
    const { stdout } = await stores('imagenet', ...FROM, '--limit', '1')
    expect(stdout).toMatch(/^2 more; --limit shows them$/m)
    expect(stdout).not.toMatch(/tar/)
    expect((await stores(...FROM, '--limit', '1')).stdout).toMatch(/^2 more used imagenet$/m)
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
