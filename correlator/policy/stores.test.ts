import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { SampleAgent } from '../sample/sample-agent.ts'
import { startSample, withData } from '../sample/sample-correlator.ts'

const policyOf = (paths: string[]) => 'version: 1\nstores:\n'
  + `  - { name: imagenet, kind: dataset, sensitivity: internal, paths: [${paths.join(', ')}] }\n`
const storesOf = (agent: SampleAgent) => agent.received.flatMap(({ stores }) => stores === undefined ? []
  : [stores.rules.filter(({ name }) => name === 'imagenet').map(({ name, paths }) =>
    `${name} ${paths.join(' ')}`).join()])

describe('the stores of the policy', () => {
  it('are told to a node after Welcome, and when they change, and not when something else does', () =>
    withData(async (data) => {
      const policy = join(data, 'vedette.yaml')
      writeFileSync(policy, policyOf(['/data/a']))
      const correlator = await startSample({ data: join(data, 'd'), policy })
      const [agent, silent] = [new SampleAgent(correlator.grpc_port), new SampleAgent(correlator.grpc_port)]
      try {
        expect((await agent.hello()).message).toBe('welcome')
        await agent.until(() => storesOf(agent).length === 1)
        writeFileSync(policy, `${policyOf(['/data/a'])}# a remark\n`)
        correlator.reloadPolicy()
        writeFileSync(policy, policyOf(['/data/a', '/data/b']))
        correlator.reloadPolicy()
        await agent.until(() => storesOf(agent).length === 2)
        writeFileSync(policy, 'version: 1\n')
        correlator.reloadPolicy()
        await agent.until(() => storesOf(agent).length === 3)
        expect(storesOf(agent)).toEqual(['imagenet /data/a', 'imagenet /data/a /data/b', ''])
        expect(agent.received.at(-1)!.stores!.sha256).toMatch(/^[0-9a-f]{64}$/)
        expect(silent.received).toEqual([])
      } finally {
        agent.close()
        silent.close()
        await correlator.stop()
      }
    }))

  it('that are more than an agent takes are not told, which is said', () => withData(async (data) => {
    const policy = join(data, 'vedette.yaml')
    const { publicKey } = generateKeyPairSync('ed25519', { publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' } })
    const key = JSON.stringify(publicKey.padEnd(2048, 'x')).slice(1, -1)
    const store = (i: number, keys: string) => `  - { name: s${i}, kind: weights, sensitivity: internal, `
      + `paths: [/data/${i}], manifest: /m.sig, manifest_keys: ${keys} }\n`
    writeFileSync(policy, `version: 1\nstores:\n${store(0, `&keys [${Array(16).fill(`"${key}"`).join()}]`)}`
      + Array.from({ length: 200 }, (_, i) => store(i + 1, '*keys')).join(''))
    const correlator = await startSample({ data: join(data, 'd'), policy })
    const agent = new SampleAgent(correlator.grpc_port)
    try {
      await agent.hello()
      expect(correlator.lines.join('\n')).toContain('agents keep those that they have')
      expect(storesOf(agent)).toEqual([])
    } finally {
      agent.close()
      await correlator.stop()
    }
  }))
})
