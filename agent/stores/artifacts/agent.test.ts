// The whole agent: somebody reads an artifact, and the correlator is told what is in it.

import { execFileSync } from 'node:child_process'
import { createHash, generateKeyPairSync } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { signedManifest } from '../../../test/stores/manifest-sample.ts'
import { keyIdOf } from '../../../stores/manifest/trust.ts'
import { messageOfRules } from '../../../stores/rule-message.ts'
import { startAgent } from '../../main.ts'
import { readKernelFacts } from '../../probes/kernel-facts.ts'
import { IngestStub } from '../../sample/ingest-stub.ts'
import { eventsOf, withFolder } from '../../sample/spool.ts'

const fields = ['store', 'path', 'verdict', 'reason', 'sha256', 'bytes', 'key_id', 'exe']
const root = join(import.meta.dirname, '../../..')
const canProbe = process.getuid?.() === 0 && readKernelFacts().btf && existsSync(join(root, 'build'))
if (!canProbe) console.warn('SKIPPED: reads are seen by root, with BTF and the built probes')

it.skipIf(!canProbe)('tells what a file of weights holds soon after it was read, and reads no store by itself', () =>
  withFolder(async (data) => {
    const folder = join(data, 'weights')
    mkdirSync(folder)
    const content = 'w'.repeat(3_000_000)
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
    writeFileSync(join(folder, 'a.safetensors'), content)
    writeFileSync(join(folder, 'b.bin'), 'another one')
    writeFileSync(join(folder, 'model.sig'),
      signedManifest({ 'a.safetensors': content, 'b.bin': 'b' }, privateKey, publicKey))
    const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string
    const stores = messageOfRules([{ name: 'llama', kind: 'weights', paths: [folder], mountSources: [], fileSystems: [],
      manifest: join(folder, 'model.sig'), manifestKeys: [pem] }])
    const stub = await new IngestStub({ stores }).start()
    const agent = await startAgent({
      data: join(data, 'agent'), correlator: `127.0.0.1:${stub.port}`, listen_http: '127.0.0.1:0', node_id: 'n1',
      flush_interval_ms: 20,
    })
    try {
      const stateOf = () => agent.probeStates.find(({ probe }) => probe === 'store_read')!.state
      await expect.poll(stateOf, { timeout: 20_000 }).toMatch(/^(attached|degraded)$/)
      execFileSync('sh', ['-c', `cat ${folder}/a.safetensors > /dev/null`])
      const told = () => eventsOf(stub.frames(), ...fields).filter(({ kind }) => kind === 'artifact_digest')
        .map(({ values }) => values)
      await expect.poll(() => told().length, { timeout: 30_000 }).toBe(2)
      expect(told()).toEqual(expect.arrayContaining([
        expect.objectContaining({ store: 'llama', path: join(folder, 'a.safetensors'), verdict: 'matches',
          bytes: content.length, sha256: createHash('sha256').update(content).digest('hex'),
          key_id: keyIdOf(publicKey) }),
        expect.objectContaining({ path: join(folder, 'b.bin'), verdict: 'differs' })]))
      const metrics = await (await fetch(`http://127.0.0.1:${agent.metrics_port}/metrics`)).text()
      expect(metrics).toContain('vedette_artifacts_total{verdict="matches"} 1')
      expect(metrics).toContain('vedette_artifacts_total{verdict="differs"} 1')
    } finally {
      await agent.stop()
      stub.stop()
    }
    const readers = eventsOf(stub.frames(), 'path', 'pid').filter(({ kind }) => kind === 'store_read')
    expect(readers.length).toBeGreaterThan(0)
    expect(readers.filter(({ values }) => values['path'] === join(folder, 'b.bin'))).toEqual([])
  }), 90_000)
