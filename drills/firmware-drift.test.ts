import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { ExampleEvent } from '../detect/detector.ts'
import { Engine } from '../detect/engine.ts'
import { batchesOf } from '../detect/example.ts'
import firmware from '../detectors/drift/firmware.ts'
import { FakeNode } from '../test/gpu/node.ts'
import { hasCompiler } from '../test/gpu/nvml.ts'
import { Watched } from '../test/gpu/watched.ts'
import { drillIn } from './firmware-drift.ts'

const quietly = { say: () => {}, signal: new AbortController().signal }

describe('the drill firmware-drift', () => {
  it.skipIf(!hasCompiler)('raises GPU-002 of what an agent reads, and leaves the node as it was', async () => {
    const watched = new Watched()
    try {
      watched.open()
      await watched.settled()
      const folder = join(watched.node.root, 'lib/firmware/nvidia')
      const before = readdirSync(folder, { recursive: true })
      // Held until the agent has read twice.
      const stop = new AbortController()
      const done = drillIn(watched.node.root, 60_000).run({ say: () => {}, signal: stop.signal })
      await watched.settled(3)
      stop.abort()
      await expect(done).rejects.toThrow()
      expect(readdirSync(folder, { recursive: true })).toEqual(before)
      const events = watched.states.map(({ process: _, ...values }, at_ms): ExampleEvent =>
        ({ kind: 'gpu_state', at_ms, values }))
      const engine = new Engine({ detectors: [firmware] })
      batchesOf(events).forEach((batch, i) => engine.ingest(batch, i))
      const [{ findings, severity }] = engine.incidents()
      expect([severity, findings[0].summary]).toEqual(['low', expect.stringMatching(/files of firmware: \d+ → \d+/)])
    } finally {
      watched.close()
    }
  })

  it('does nothing where no GPU is, and never touches a folder that is there', async () => {
    const root = mkdtempSync(join(tmpdir(), 'vedette-drill-'))
    await expect(drillIn(root, 1).run(quietly)).rejects.toThrow(/no NVIDIA GPU/)
    expect(readdirSync(root)).toEqual([])
    rmSync(root, { recursive: true })
    const node = new FakeNode().gpu('0000:1b:00.0', 'GPU-b1000000-0c4b-45a1-9a54-6a5f1f8c0001')
    node.write('/lib/firmware/nvidia/0.0.1/mine', 'x')
    await expect(drillIn(node.root, 1).run(quietly)).rejects.toThrow(/already/)
    expect(existsSync(join(node.root, 'lib/firmware/nvidia/0.0.1/mine'))).toBe(true)
    rmSync(join(node.root, 'lib/firmware/nvidia'), { recursive: true })
    const { done } = await drillIn(node.root, 1).run(quietly)
    await sleep(0)
    expect([existsSync(String(done['path'])), String(done['path'])]).toEqual(
      [false, expect.stringContaining('vedette-drill')])
    expect(existsSync(join(node.root, 'lib/firmware/nvidia'))).toBe(false)
    node.close()
  })
})
