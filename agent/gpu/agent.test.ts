// The whole agent on a stand-in GPU node: from the files and the library to the correlator.

import { expect, it } from 'vitest'
import { startAgent } from '../main.ts'
import { IngestStub } from '../sample/ingest-stub.ts'
import { eventsOf, withFolder } from '../sample/spool.ts'
import { hasCompiler } from '../../test/gpu/nvml.ts'
import { uuids, Watched } from '../../test/gpu/watched.ts'

const fields = ['subject', 'item', 'value', 'old_value', 'reading', 'reason', 'changes', 'pci_address', 'nonce']

it.skipIf(!hasCompiler)('tells the correlator the state of its GPUs, what changed, and evidence if it is told to', () =>
  withFolder(async (data) => {
    const watched = new Watched()
    const stub = await new IngestStub().start()
    const agent = await startAgent({
      data, correlator: `127.0.0.1:${stub.port}`, listen_http: '127.0.0.1:0', node_id: 'n1', flush_interval_ms: 20,
      gpu_root: watched.node.root, gpu_library: watched.nvml.path, gpu_interval_ms: 1000, gpu_evidence: true,
    })
    try {
      const seen = (kind: string) => eventsOf(stub.frames(), ...fields).filter((event) => event.kind === kind)
        .map(({ values }) => values)
      const ecc = () => seen('gpu_state')
        .filter(({ item, subject }) => item === 'ecc_mode' && subject === `gpu:${uuids[0]}`)
      await expect.poll(() => ecc().length, { timeout: 20_000 }).toBe(1)
      expect(ecc()[0]).toMatchObject({ value: 'enabled', reading: 'known', changes: 0, pci_address: '0000:1b:00.0' })
      watched.nvml.control({ '0.ecc_mode': 0 })
      await expect.poll(() => ecc().length, { timeout: 20_000 }).toBe(2)
      expect(ecc()[1]).toMatchObject({ value: 'disabled', old_value: 'enabled', changes: 1 })
      await expect.poll(() => seen('gpu_evidence').length, { timeout: 20_000 }).toBe(2)
      expect(seen('gpu_evidence')).toMatchObject([
        { subject: `gpu:${uuids[0]}`, reason: 'NOT_SUPPORTED', nonce: expect.stringMatching(/^[0-9a-f]{64}$/) },
        { subject: `gpu:${uuids[1]}`, reason: 'NOT_SUPPORTED' },
      ])
      const metrics = await (await fetch(`http://127.0.0.1:${agent.metrics_port}/metrics`)).text()
      expect(metrics).toMatch(/vedette_gpu_readings_total\{reader="nvml",result="ok"\} [1-9]/)
      expect(metrics).toMatch(/vedette_gpu_readings_total\{reader="nvml",result="late"\} 0/)
      expect(metrics).toMatch(/vedette_gpu_items [1-9]\d\d/)
    } finally {
      await agent.stop()
      stub.stop()
      watched.close()
    }
  }), 60_000)
