import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startSample } from '../correlator/sample/sample-correlator.ts'
import { openLog } from '../log/writer.ts'
import { SAMPLE_OPTIONS } from '../log/sample-log.ts'
import { parsePolicy } from '../policy/parse.ts'
import { jsonLines, run } from '../test/command-line.ts'
import { benignHour, call, framesOf, NODES } from './learn/sample-cluster.ts'

let data = ''
beforeAll(async () => {
  data = mkdtempSync(join(tmpdir(), 'vedette-learn-'))
  const log = openLog(join(data, 'log'), SAMPLE_OPTIONS)
  const { inference, training1 } = NODES
  const events = [...benignHour(),
    ...call({ from: inference, to: training1, port: 22, exe: '/usr/bin/ssh', at_ms: 600_500 })]
  for (const { payload } of framesOf(events)()) log.append(Buffer.from(payload))
  await log.close()
})
afterAll(() => rmSync(data, { recursive: true, force: true }))

it('prints a policy that can be used as it is, and the counts beside it', async () => {
  const { code, stdout, stderr } = await run(['policy', 'learn', '--data', data])
  expect([code, stderr]).toEqual([0, '7 zones, 7 flows; 1 seen and not proposed\n'])
  expect(parsePolicy(stdout).problems).toEqual([])
  const file = join(data, 'vedette.yaml')
  writeFileSync(file, stdout)
  expect((await run(['policy', 'check', file])).code).toBe(0)
  const again = await run(['policy', 'learn', '--data', data, '--policy', file, '-o', 'json',
    '--connections-min', '1'])
  expect(jsonLines(again.stdout)).toMatchObject([
    { proposed: 'flow', from: 'inference', to: 'training', ports: ['22/tcp'], connections: 1 },
    { zones: 0, flows: 1, not_proposed: 0, violations: 0, not_complete: [] },
  ])
})

it('learns the same from a correlator as from its folder', async () => {
  const words = ['policy', 'learn', '--from', '2030-01-01T00:20:00Z', '--to', '2030-01-01T00:50:00Z']
  const offline = await run([...words, '--data', data])
  const correlator = await startSample({ data })
  try {
    const online = await run([...words, '--server', `127.0.0.1:${correlator.grpc_port}`])
    expect(online).toEqual(offline)
    expect(online.stdout).toContain('00:20:00 to 00:50:00 UTC')
  } finally {
    await correlator.stop()
  }
})

it('says where there is nothing to learn from', async () => {
  const nothing = await run(['policy', 'learn', '--data', join(data, 'none')])
  expect(nothing).toMatchObject({ code: 1, stdout: '' })
  expect(nothing.stderr).toContain('there is no folder')
  const later = await run(['policy', 'learn', '--data', data, '--from', '2031-01-01T00:00:00Z'])
  expect(later).toMatchObject({ code: 1, stdout: '' })
  expect(later.stderr).toContain('holds nothing of this range')
})
