import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openLog } from '../log/writer.ts'
import { SAMPLE_OPTIONS } from '../log/sample-log.ts'
import { decodeEnvelope } from '../proto/batch.ts'
import { codec } from '../proto/messages.ts'
import { jsonLines, run } from '../test/command-line.ts'
import { learnPolicy } from './learn/learn.ts'
import { benignHour, call, framesOf, NODES } from './learn/sample-cluster.ts'

let data = ''
const file = (name: string): string => join(data, name)
const CLIENTS = 'Connections, 2030-01-01 00:00:00 to 00:59:00 UTC'

beforeAll(async () => {
  data = mkdtempSync(join(tmpdir(), 'vedette-diff-'))
  const log = openLog(file('log'), SAMPLE_OPTIONS)
  const { inference, training1 } = NODES
  const events = [...benignHour(),
    ...call({ from: inference, to: training1, port: 22, exe: '/usr/bin/ssh', at_ms: 600_500 })]
  for (const { payload } of framesOf(events)()) log.append(Buffer.from(payload))
  await log.close()
  const options = { fromMs: -Infinity, toMs: Infinity, connectionsMin: 2 }
  const { text } = learnPolicy(framesOf(benignHour()), options)
  writeFileSync(file('old.yaml'), text)
  // One more flow for what was a violation, one less for what was not.
  const scrape = /\n  - from: ingestion\n    to: storage\n[^]*?reason: [^\n]*\n/
  if (!scrape.test(text)) throw new Error(`no flow to take away in\n${text}`)
  writeFileSync(file('new.yaml'), `${text.replace(scrape, '\n')}
  - { from: inference, to: training, ports: [22/tcp], reason: r }
`)
  writeFileSync(file('same.yaml'), text.replaceAll(/^ *#.*\n/gm, ''))
})
afterAll(() => rmSync(data, { recursive: true, force: true }))

it('shows which connections another policy would judge otherwise, and which incidents', async () => {
  const words = ['policy', 'diff', file('old.yaml'), file('new.yaml'), '--data', data]
  const { code, stdout, stderr } = await run(words)
  expect([code, stderr]).toEqual([1, ''])
  expect(stdout).toMatch(/^Flows\n  \+  inference > training +22\/tcp\n  -  ingestion > storage +9000/)
  expect(stdout).toContain(CLIENTS)
  expect(stdout).toMatch(/now a violation +12 +ingestion > storage +9000\/tcp +event \d+ of ingestion-1: /)
  expect(stdout).toContain('ingestion-1: /usr/bin/fetcher to')
  expect(stdout).toMatch(/now allowed +1 +inference > training +22\/tcp +event/)
  expect(stdout).toMatch(/\n\d+ incidents? more\n[^]*\n\d+ incidents? fewer\n/)
  expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100)
  const json = jsonLines((await run([...words, '-o', 'json'])).stdout)
  expect(json.filter(({ differs }) => differs === 'verdict')).toMatchObject([
    { now: 'violation', connections: 12, from: 'ingestion', to: 'storage', port: 9000 },
    { now: 'allowed', connections: 1, from: 'inference', to: 'training', port: 22 },
  ])
  expect(json.at(-1)).toMatchObject({ identical: false, changes: 2, verdicts: 2 })
})

it('of a range, looks at that range only', async () => {
  const { code, stdout } = await run(['policy', 'diff', file('old.yaml'), file('new.yaml'),
    '--data', data, '--from', '2030-01-01T00:20:00Z', '--to', '2030-01-01T00:31:00Z', '-o', 'json'])
  expect(code).toBe(1)
  expect(jsonLines(stdout).filter(({ differs }) => differs === 'verdict'))
    .toMatchObject([{ now: 'violation', connections: 3 }])
})

it('says that two policies are the same when only words differ', async () => {
  const words = ['policy', 'diff', file('old.yaml'), file('same.yaml')]
  const { code, stdout } = await run([...words, '--data', data])
  expect([code, stdout.split(':')[0]]).toEqual([0, 'identical'])
  const alone = await run(words)
  expect(alone).toMatchObject({ code: 0, stdout: 'identical: the policies say the same\n' })
  expect(alone.stderr).toContain('only the texts were compared')
})

it('says what of the log it could not read, in the envelope and behind it', async () => {
  const broken = openLog(join(file('broken'), 'log'), SAMPLE_OPTIONS)
  const frames = [...framesOf(benignHour())()].map(({ payload }) => Buffer.from(payload))
  for (const payload of frames) broken.append(payload)
  broken.append(Buffer.from('no batch'))
  broken.append(frames[0].subarray(0, -1))
  const { node_id, payload, ...rest } = decodeEnvelope(frames[0])
  broken.append(codec<object>('Batch').encode({
    ...rest, node_id, clock_offset_ns: Number(rest.clock_offset_ns), first_time: Number(rest.first_time),
    last_time: Number(rest.last_time), payload: payload.subarray(0, -4),
  }))
  await broken.close()
  const words = ['policy', 'diff', file('old.yaml'), file('same.yaml'), '--data', file('broken')]
  const { stderr } = await run(words)
  expect(stderr).toContain('not complete: 3 batches could not be read')
  expect(jsonLines((await run([...words, '-o', 'json'])).stdout).at(-1)).toMatchObject({ batches_unread: 3 })
})

it('needs two policies that can be used', async () => {
  expect((await run(['policy', 'diff', file('old.yaml')])).code).toBe(2)
  expect((await run(['policy', 'diff', file('old.yaml'), file('none.yaml')])).code).toBe(1)
  writeFileSync(file('bad.yaml'), 'version: 2\n')
  const bad = await run(['policy', 'diff', file('old.yaml'), file('bad.yaml')])
  expect(bad.code).toBe(2)
  expect(bad.stderr).toContain('bad.yaml:1:10')
})
