import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readBaseline, writeBaseline } from '../../gpu/baseline/baseline.ts'
import { signBaseline } from '../../gpu/baseline/signature.ts'
import { parsePolicy } from '../../policy/parse.ts'
import type { Policy } from '../../policy/policy.ts'
import { QueryClient } from '../sample/query-client.ts'
import { startSample, withData } from '../sample/sample-correlator.ts'
import type { SampleCorrelator } from '../sample/sample-correlator.ts'
import { readBaselines } from './baselines.ts'

const pair = () => generateKeyPairSync('ed25519', { privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' } })
const [ours, other] = [pair(), pair()]
const text = (version: string) => 'version: 1\nnode_class: h100\nitems:\n'
  + `  - {subject: driver, item: version, value: "${version}"}\n`
const signed = (version: string, key = ours.privateKey) =>
  writeBaseline(signBaseline(readBaseline(text(version)), key))
const policyText = (files: string[], keys: string[] = []) => 'version: 1\ngpus:\n  baselines:\n'
  + files.map((file) => `    - file: ${file}\n`).join('')
  + (keys.length === 0 ? '' : `  baseline_keys:\n${keys.map((key) => `    - ${JSON.stringify(key)}\n`).join('')}`)
const policyOf = (files: string[], keys?: string[]): Policy => parsePolicy(policyText(files, keys)).policy!

/** Kind, path and key of what was put in force, when there are `count`. */
async function applied({ grpc_port }: SampleCorrelator, count: number): Promise<string[]> {
  const query = new QueryClient(grpc_port)
  const answer = query.events({ kinds: ['policy_applied', 'baseline_applied'], follow: true, from_ms: 1 })
  await answer.until(() => answer.lines.length >= count)
  answer.cancel()
  query.close()
  return answer.lines.map((line) => line['kind'] === 'policy_applied' ? 'policy'
    : `${String(line['path'])} ${readBaseline(String(line['text'])).items[0].value}`)
}

describe('the baselines of a policy', () => {
  it('lie relative to its folder, and are used once', () => withData(async (data) => {
    mkdirSync(join(data, 'b'))
    writeFileSync(join(data, 'b', 'h100.yaml'), text('1'))
    const { baselines, problems } = readBaselines(policyOf(['b/h100.yaml', 'b/h100.yaml']), join(data, 'vedette.yaml'))
    expect(problems).toEqual([])
    expect(baselines).toMatchObject([{ path: 'b/h100.yaml', node_class: 'h100', key_id: '', text: text('1') }])
  }))

  it('that are absent, too large, no files or no baselines are problems of a place', () => withData(async (data) => {
    writeFileSync(join(data, 'large.yaml'), 'x'.repeat(8 * 1024 * 1024 + 1))
    writeFileSync(join(data, 'wrong.yaml'), 'version: 1\nnode_class: h100\nitems: []\n')
    const { baselines, problems } = readBaselines(policyOf(['absent.yaml', 'large.yaml', '/dev/zero', 'wrong.yaml']),
      join(data, 'vedette.yaml'))
    expect(baselines).toEqual([])
    expect(problems.map(({ line, path, message }) => [line, path, message.replace(data, '')])).toEqual([
      [4, 'gpus.baselines[0].file', expect.stringContaining('absent.yaml cannot be read (ENOENT)')],
      [5, 'gpus.baselines[1].file', expect.stringContaining('8388609 bytes: a baseline has at most')],
      [6, 'gpus.baselines[2].file', expect.stringContaining('/dev/zero is no baseline: it is no file')],
      [7, 'gpus.baselines[3].file', expect.stringContaining('line 3, column 8')],
    ])
  }))

  it('are believed only with a signature of one of the keys, where there are any', () => withData(async (data) => {
    const file = join(data, 'h100.yaml')
    const problem = (content: string, keys = [other.publicKey, ours.publicKey]) => {
      writeFileSync(file, content)
      const { problems, baselines } = readBaselines(policyOf(['h100.yaml'], keys), join(data, 'vedette.yaml'))
      expect(baselines.length + problems.length).toBe(1)
      return problems[0]?.message ?? `key ${baselines[0].key_id}`
    }
    expect(problem(signed('1'))).toMatch(/^key [0-9a-f]{16}$/)
    expect(problem(text('1'))).toContain('is not signed')
    expect(problem(signed('1').replace('"1"', '"2"').replace('value: 1', 'value: 2'))).toMatch(/was changed after/)
    expect(problem(signed('1', other.privateKey), [ours.publicKey])).toContain('baseline_keys does not list')
    expect(problem(signed('1'), ['-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n']))
      .toContain('a key of baseline_keys is wrong')
  }))
})

describe('the baselines in force', () => {
  it('are in the log once, behind the policy, however often the correlator starts', () => withData(async (data) => {
    const policy = join(data, 'vedette.yaml')
    writeFileSync(policy, policyText(['h100.yaml']))
    writeFileSync(join(data, 'h100.yaml'), text('1'))
    for (let i = 0; i < 3; i++) {
      const correlator = await startSample({ data: join(data, 'd'), policy })
      expect(await applied(correlator, 2)).toEqual(['policy', 'h100.yaml 1'])
      await correlator.stop()
    }
    writeFileSync(join(data, 'h100.yaml'), text('2'))
    const correlator = await startSample({ data: join(data, 'd'), policy })
    expect(await applied(correlator, 3)).toEqual(['policy', 'h100.yaml 1', 'h100.yaml 2'])
    await correlator.stop()
  }))

  it('change with their files, and with the policy that names them', () => withData(async (data) => {
    const policy = join(data, 'vedette.yaml')
    mkdirSync(join(data, 'b'))
    writeFileSync(policy, policyText(['b/h100.yaml']))
    writeFileSync(join(data, 'b', 'h100.yaml'), text('1'))
    const correlator = await startSample({ data: join(data, 'd'), policy })
    writeFileSync(join(data, 'b', 'h100.yaml'), text('2'))
    await applied(correlator, 3)
    writeFileSync(join(data, 'a100.yaml'), text('3'))
    writeFileSync(policy, policyText(['a100.yaml']))
    await applied(correlator, 5)
    // Whoever reads the log forgot it with the policy before.
    writeFileSync(policy, policyText(['a100.yaml', 'b/h100.yaml']))
    expect(await applied(correlator, 7)).toEqual(['policy', 'b/h100.yaml 1', 'b/h100.yaml 2', 'policy', 'a100.yaml 3',
      'policy', 'b/h100.yaml 2'])
    await correlator.stop()
  }))

  it('stay when a new one cannot be used, which is said and counted', () => withData(async (data) => {
    const policy = join(data, 'vedette.yaml')
    writeFileSync(policy, policyText(['h100.yaml'], [ours.publicKey]))
    writeFileSync(join(data, 'h100.yaml'), signed('1'))
    const correlator = await startSample({ data: join(data, 'd'), policy })
    writeFileSync(join(data, 'h100.yaml'), text('2'))
    correlator.reloadPolicy()
    rmSync(join(data, 'h100.yaml'))
    correlator.reloadPolicy()
    const said = correlator.lines.join('\n')
    expect(said).toMatch(/vedette\.yaml:4:\d+: error: the baseline h100\.yaml is not signed/)
    expect(said).toContain('stays in force')
    expect(await correlator.metric('vedette_policy_reload_failures_total')).toBeGreaterThanOrEqual(2)
    expect(await applied(correlator, 2)).toEqual(['policy', 'h100.yaml 1'])
    // It is looked for where it was.
    writeFileSync(join(data, 'h100.yaml'), signed('3'))
    expect(await applied(correlator, 3)).toEqual(['policy', 'h100.yaml 1', 'h100.yaml 3'])
    await correlator.stop()
    rmSync(join(data, 'h100.yaml'))
    symlinkSync('nowhere', join(data, 'h100.yaml'))
    await expect(startSample({ data: join(data, 'd'), policy })).rejects.toThrow(/h100\.yaml cannot be read \(ENOENT\)/)
  }))
})
