import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { ExampleEvent } from '../detect/detector.ts'
import { SAMPLE_OPTIONS } from '../log/sample-log.ts'
import { openLog } from '../log/writer.ts'
import { jsonLines, run } from '../test/command-line.ts'
import { framesOf } from './learn/sample-cluster.ts'

const MIB = 2 ** 20
const OLD = `version: 1
zones:
  - { name: training, exposure: protected, match: { systemd_units: [train.service] } }
stores:
  - { name: corpus, kind: dataset, sensitivity: confidential, paths: [/data/corpus], readers: { zones: [training] } }
  - { name: llm, kind: weights, sensitivity: restricted, paths: [/models], writers: { systemd_units: [train.service] } }
  - { name: vectors, kind: database, sensitivity: internal, endpoints: ["10.0.0.9:6333"] }
`
/** Indexing may read the corpus, training may change nothing, and only training reads vectors. */
const NEW = OLD
  .replace('readers: { zones: [training] }', 'readers: { zones: [training], systemd_units: [index.service] }')
  .replace('writers: { systemd_units: [train.service] }', 'writers: { systemd_units: [ci.service] }')
  .replace('endpoints: ["10.0.0.9:6333"]', 'endpoints: ["10.0.0.9:6333"], readers: { zones: [training] }')

let data = ''
const file = (name: string): string => join(data, name)
const service = (name: string, pid: number) => ({ pid, start_time: 1n, ppid: 1, exe: `/opt/${name}`, comm: name,
  workload: `${name}.service`, cgroup_id: BigInt(pid), cgroup_path: `/system.slice/${name}.service` })
const [train, index] = [service('train', 10), service('index', 11)]
const EVENTS: ExampleEvent[] = [
  { kind: 'store_read', at_ms: 0, node_id: 'n', process: train,
    values: { store: 'corpus', bytes: MIB, mechanism: 'read' } },
  { kind: 'store_read', at_ms: 1, node_id: 'n', process: index,
    values: { store: 'corpus', bytes: 3 * MIB, mechanism: 'read' } },
  { kind: 'store_write', at_ms: 2, node_id: 'n', process: train,
    values: { store: 'llm', operation: 'create', count: 5, path: '/models/a' } },
  { kind: 'connection_close', at_ms: 3, node_id: 'n', process: index,
    values: { connection_id: 5n, bytes_received: 7 * MIB, direction: 'outgoing', protocol: 'tcp',
      local_addr: '10.0.0.1', local_port: 4000, remote_addr: '10.0.0.9', remote_port: 6333 } },
]

beforeAll(async () => {
  data = mkdtempSync(join(tmpdir(), 'vedette-diff-stores-'))
  const log = openLog(file('log'), SAMPLE_OPTIONS)
  for (const { payload } of framesOf(EVENTS)()) log.append(Buffer.from(payload))
  await log.close()
  writeFileSync(file('old.yaml'), OLD)
  writeFileSync(file('new.yaml'), NEW)
})
afterAll(() => rmSync(data, { recursive: true, force: true }))

it('shows reads and changes of stores that another policy would judge otherwise, and their incidents', async () => {
  const words = ['policy', 'diff', file('old.yaml'), file('new.yaml'), '--data', data]
  const { code, stdout } = await run(words)
  expect(code).toBe(1)
  expect(stdout).toMatch(/^Reads and changes of stores, 2030-01-01 00:00:00/m)
  expect(stdout)
    .toMatch(/^ {2}now a violation +7\.0 MiB +read of +vectors +event \d of n: \/opt\/index of index\.service$/m)
  expect(stdout).toMatch(/^ {2}now a violation +5 +changes of +llm +event \d of n: \/opt\/train of train\.service$/m)
  expect(stdout).toMatch(/^ {2}now allowed +3\.0 MiB +read of +corpus +event \d of n: \/opt\/index/m)
  const json = jsonLines((await run([...words, '-o', 'json'])).stdout)
  expect(json.at(-1)).toMatchObject({ identical: false, stores: 3 })
  const detectors = json.filter(({ differs }) => differs === 'incident').map((one) => {
    const { findings } = one['incident'] as { findings: { detector: string, summary: string }[] }
    return `${String(one['only'])} ${findings.map(({ detector }) => detector).join()}`
  })
  expect(detectors.sort()).toEqual(['new STO-004', 'new STO-009', 'old STO-004'])
}, 60_000)

it('finds nothing to tell where two policies let the same ones in, however they name them', async () => {
  writeFileSync(file('same.yaml'), OLD
    .replace('readers: { zones: [training] }', 'readers: { executables: [/opt/train] }'))
  const { stdout } = await run(['policy', 'diff', file('old.yaml'), file('same.yaml'), '--data', data, '-o', 'json'])
  expect(jsonLines(stdout).at(-1))
    .toMatchObject({ changes: 1, stores: 0, incidents_only_old: [], incidents_only_new: [] })
})
