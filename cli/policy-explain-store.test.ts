import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ExampleEvent } from '../detect/detector.ts'
import { encodeEvents, eventsOf } from '../detect/example.ts'
import { SAMPLE_OPTIONS } from '../log/sample-log.ts'
import { openLog } from '../log/writer.ts'
import { jsonLines, run } from '../test/command-line.ts'

let data = ''
const file = (name: string): string => join(data, name)
const POLICY = `version: 1
zones:
  - { name: training, exposure: protected, match: { slurm_partitions: [train] } }
stores:
  - name: imagenet
    kind: dataset
    zone: training
    sensitivity: confidential
    paths: [/data/imagenet]
    readers: { zones: [training] }
    writers: { executables: [/opt/ingest] }
`
const process = (exe: string, pid: number) =>
  ({ pid, start_time: 5n, exe, cgroup_id: 9n, cgroup_path: '/system.slice/ssh.service' })
const EVENTS: ExampleEvent[] = [
  { kind: 'store_read', at_ms: 0, node_id: 'n', process: process('/bin/tar', 7),
    values: { store: 'imagenet', bytes: 4096, path: '/data/imagenet/a' } },
  { kind: 'store_write', at_ms: 5, node_id: 'n', process: process('/opt/ingest', 8),
    values: { store: 'imagenet', operation: 'create', path: '/data/imagenet/b' } },
  { kind: 'store_read', at_ms: 9, node_id: 'n', process: process('/bin/tar', 7), values: { store: 'gone' } },
]

beforeAll(async () => {
  data = mkdtempSync(join(tmpdir(), 'vedette-explain-store-'))
  writeFileSync(file('vedette.yaml'), POLICY)
  const log = openLog(file('log'), SAMPLE_OPTIONS)
  for (const bytes of encodeEvents(eventsOf({ policy: POLICY, events: EVENTS }))) log.append(bytes)
  await log.close()
})
afterAll(() => rmSync(data, { recursive: true, force: true }))

const explain = (...words: string[]) => run(['policy', 'explain', ...words])
const asked = (...words: string[]) => explain('--policy', file('vedette.yaml'), ...words)

describe('policy explain of a store', () => {
  it('says by which line a program may read or not, and what would allow it', async () => {
    const no = await asked('--from', '/bin/tar', '--read', 'imagenet')
    expect([no.code, no.stdout]).toEqual([1, expect.stringMatching(/^not allowed: unzoned to read imagenet$/m)])
    expect(no.stdout).toMatch(/It is not among the readers at .*vedette\.yaml:10\./)
    expect(no.stdout).toMatch(/add to readers of imagenet:\n +executables: \["\/bin\/tar"\]/)
    expect(no.stdout).toMatch(/store imagenet: dataset, confidential, of training/)
    const yes = await asked('--from', 'slurm_partition=train', '--read', 'imagenet')
    expect([yes.code, yes.stdout]).toEqual([0, expect.stringMatching(/vedette\.yaml:10: zones training/)])
    expect(yes.stdout).toMatch(/is in training \(protected\): .*:3: slurm_partitions train/)
    const writer = await asked('--from', '/opt/ingest', '--read', 'imagenet', '-o', 'json')
    expect(jsonLines(writer.stdout)).toMatchObject([{ allowed: true, action: 'read', store: 'imagenet', list: 'writers',
      matcher: 'executables', line: 11, zone: 'unzoned', zone_line: null, sensitivity: 'confidential' }])
    expect((await asked('--from', 'training', '--write', 'imagenet')).code).toBe(1)
  })

  it('explains reads and changes of the log', async () => {
    const read = await explain('n:1', '--data', data)
    expect([read.code, read.stdout]).toEqual([1, expect.stringMatching(/store_read 1 of n\nnot allowed: unzoned/)])
    expect(read.stdout).toMatch(/by +\/bin\/tar \(pid 7 on n\)$/m)
    const write = await explain('n:2', '--data', data, '-o', 'json')
    expect([write.code, jsonLines(write.stdout)]).toMatchObject([0, [{ kind: 'store_write', seq: 2, action: 'write',
      allowed: true, line: 11, by: { exe: '/opt/ingest', pid: 8 } }]])
    expect((await explain('n:3', '--data', data)).stderr).toMatch(/holds no connection or read of n:3/)
  })

  it('judges nobody where the policy says nothing', async () => {
    writeFileSync(file('open.yaml'), POLICY.replace(/ +readers.*\n/, ''))
    const { code, stdout } = await explain('--policy', file('open.yaml'), '--from', '/bin/tar', '--read', 'imagenet')
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^not judged: unzoned to read imagenet/)])
    expect(stdout).toMatch(/The store has no readers: in the policy/)
  })

  it('says what it needs', async () => {
    const told = async (...words: string[]) => {
      const { code, stderr } = await asked(...words)
      return `${code} ${stderr}`
    }
    expect(await told('--from', '/bin/tar', '--read', 'imagene'))
      .toMatch(/^2 .*no store "imagene"; did you mean imagenet/)
    expect(await told('--from', '10.0.0.1', '--read', 'imagenet')).toMatch(/^2 .*--from is an address; a process reads/)
    expect(await told('--read', 'imagenet')).toMatch(/^2 .*needs both --from and --to, or --from and --read/)
    expect(await told('--from', '/a', '--read', 'imagenet', '--write', 'imagenet')).toMatch(/^2 .*needs both/)
  })
})
