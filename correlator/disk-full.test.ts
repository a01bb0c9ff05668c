import { rmSync, writeFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { SampleAgent } from './sample/sample-agent.ts'
import { heartbeats } from './sample/sample-batches.ts'
import { startChild } from './sample/child-process.ts'
import { storedBatches, withData } from './sample/sample-correlator.ts'

const root = process.getuid?.() === 0
if (!root) console.warn('SKIPPED: the disk-full test mounts a file system of its own: run as root')

// A small file system in a mount namespace that ends with the child.
const onTmpfs = (data: string) =>
  ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs -o size=2m tmpfs "$0" && exec "$@"', data]

it.skipIf(!root)('a full disk refuses batches, loses none, and is forgotten when there is space again', () =>
  withData(async (data) => {
    const child = await startChild({ data, segment_bytes_max: 65536 }, onTmpfs(data))
    const inside = `/proc/${child.pid}/root${data}`
    const agent = new SampleAgent(child.grpc_port)
    try {
      await agent.hello()
      agent.send(heartbeats(1, 10))
      await agent.stored(10)
      const filler = `${inside}/filler`
      expect(() => {
        for (;;) writeFileSync(filler, Buffer.alloc(65_536), { flag: 'a' })
      }).toThrow('ENOSPC')
      // Each of these is a batch of its own; sooner or later the last page is full.
      let seq = 10
      while (!agent.refusals.includes('disk_full')) {
        agent.send(heartbeats(seq + 1, 500))
        seq += 500
        // The first one that does not fit is held: nothing is said of it until the next one comes.
        await setTimeout(20)
      }
      const { acked } = agent
      expect(acked).toBeLessThan(seq)
      const refusal = agent.received.findLast((message) => message.refusal !== undefined)!.refusal!
      expect(refusal.message).toContain('Free space on this disk')
      expect(refusal.retry_after_ms).toBeGreaterThan(0)
      const ready = await fetch(`http://127.0.0.1:${child.http_port}/readyz`)
      expect(ready.status).toBe(503)
      expect(await ready.text()).toContain('Free space')
      expect((await fetch(`http://127.0.0.1:${child.http_port}/livez`)).status).toBe(200)

      rmSync(filler)
      for (let from = acked; from < seq; from += 500) {
        // What was refused comes again; what was held is acknowledged by itself.
        while (agent.acked < from + 500) {
          agent.send(heartbeats(from + 1, 500))
          const { length } = agent.received
          await agent.until(() => agent.acked >= from + 500 || agent.received.length > length)
        }
      }
      expect(agent.acked).toBe(seq)
      expect((await fetch(`http://127.0.0.1:${child.http_port}/readyz`)).status).toBe(200)
      const stored = storedBatches(inside).filter(({ node_id }) => node_id === 'node-1')
      expect(stored.map(({ first }) => first)).toEqual(
        [1, ...Array.from({ length: (seq - 10) / 500 }, (_, i) => 11 + 500 * i)])
    } finally {
      agent.close()
      await child.end('SIGTERM')
    }
  }), 60_000)
