// The whole agent with stores: from what the correlator says to what somebody reads.

import { execFileSync } from 'node:child_process'
import { existsSync, linkSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { startAgent } from '../main.ts'
import { readKernelFacts } from '../probes/kernel-facts.ts'
import { messageOfRules } from '../../stores/rule-message.ts'
import { IngestStub } from '../sample/ingest-stub.ts'
import { eventsOf, withFolder } from '../sample/spool.ts'

const fields = ['store', 'state', 'path', 'probe', 'bytes', 'files_distinct', 'store_id', 'reason']
const facts = readKernelFacts()
const canProbe = process.getuid?.() === 0 && facts.btf && existsSync(join(import.meta.dirname, '../../build'))

it('keeps the stores that it is told of, and says again what is there at the next start', () =>
  withFolder(async (data) => {
    const folder = join(data, 'set')
    mkdirSync(folder)
    const stores = messageOfRules([{ name: 'imagenet', kind: 'dataset', paths: [folder, '/nowhere'], mountSources: [],
      fileSystems: [], manifest: '', manifestKeys: [] }])
    for (const told of [stores, undefined]) {
      const stub = await new IngestStub({ stores: told }).start()
      const agent = await startAgent({
        data: join(data, 'agent'), correlator: `127.0.0.1:${stub.port}`, listen_http: '127.0.0.1:0', node_id: 'n1',
        flush_interval_ms: 20,
      })
      try {
        const seen = () => eventsOf(stub.frames(), ...fields).filter(({ kind }) => kind === 'store_seen')
          .map(({ values }) => values)
        await expect.poll(seen, { timeout: 20_000 })
          .toMatchObject([{ store: 'imagenet', state: 'watched', path: folder }])
        const metrics = await (await fetch(`http://127.0.0.1:${agent.metrics_port}/metrics`)).text()
        expect(metrics).toContain('vedette_stores{state="watched"} 1')
        expect(metrics).toContain('vedette_stores{state="absent"} 0')
        expect(metrics).toContain('vedette_store_roots 1')
        expect(JSON.parse(readFileSync(join(data, 'agent/stores.json'), 'utf8'))).toEqual(stores)
      } finally {
        await agent.stop()
        stub.stop()
      }
    }
  }), 60_000)

it.skipIf(!canProbe)('attaches the probes with the first store, and names it in what is read', () =>
  withFolder(async (data) => {
    const folder = join(data, 'set')
    mkdirSync(folder)
    for (let i = 0; i < 20; i++) writeFileSync(join(folder, `f${i}`), 'x'.repeat(1000))
    linkSync(join(folder, 'f0'), join(data, 'other-name'))
    writeFileSync(join(data, 'beside'), 'x'.repeat(1000))
    const rules = messageOfRules([{ name: 'imagenet', kind: 'dataset', paths: [folder], mountSources: [],
      fileSystems: [], manifest: '', manifestKeys: [] }])
    const stub = await new IngestStub({ stores: rules }).start()
    const agent = await startAgent({
      data: join(data, 'agent'), correlator: `127.0.0.1:${stub.port}`, listen_http: '127.0.0.1:0', node_id: 'n1',
      flush_interval_ms: 20,
    })
    try {
      const stateOf = () => agent.probeStates.find(({ probe }) => probe === 'store_read')!
      await expect.poll(() => stateOf().state, { timeout: 20_000 }).toMatch(/^(attached|degraded)$/)
      execFileSync('sh', ['-c', `cat ${folder}/* ${data}/beside > /dev/null`])
      const reads = () => eventsOf(stub.frames(), ...fields).filter(({ kind, values }) =>
        kind === 'store_read' && String(values['path']).startsWith(data)).map(({ values }) => values)
      const bytes = () => reads().reduce((sum, one) => sum + Number(one['bytes']), 0)
      await expect.poll(bytes, { timeout: 20_000 }).toBe(20_000)
      expect(reads().every(({ store }) => store === 'imagenet')).toBe(true)
      expect(Math.max(...reads().map((one) => Number(one['files_distinct'])))).toBe(20)
      // Known by its inode, whether or not the kernel ever saw its name in the store.
      const metrics = async () =>
        (await fetch(`http://127.0.0.1:${agent.metrics_port}/metrics`)).text()
      await expect.poll(metrics, { timeout: 20_000 }).toContain('vedette_store_links 1')
      execFileSync('cat', [join(data, 'other-name')])
      await expect.poll(bytes, { timeout: 20_000 }).toBe(21_000)
      expect(eventsOf(stub.frames(), ...fields).filter(({ kind, values }) =>
        kind === 'probe_state' && values['probe'] === 'store_read').map(({ values }) => values['state']))
        .toEqual(['waiting', stateOf().state])
    } finally {
      await agent.stop()
      stub.stop()
    }
  }), 60_000)
