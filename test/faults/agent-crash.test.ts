import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { IngestStub } from '../../agent/sample/ingest-stub.ts'
import { eventsOf, withFolder } from '../../agent/sample/spool.ts'

const AGENT = join(import.meta.dirname, '../../agent')

// Makes events without end; each carries the run (uid) and its number in the run (connection_id).
const script = (dir: string, port: number, run: number, eventsMax: number): string => `
  import { openClock } from '${AGENT}/clock.ts'
  import { sampleOpen } from '${AGENT}/sample/records.ts'
  import { sampleSpool, take } from '${AGENT}/sample/spool.ts'
  import { Uplink } from '${AGENT}/uplink.ts'
  import { setTimeout } from 'node:timers/promises'
  const clock = openClock()
  const spool = sampleSpool(${JSON.stringify(dir)}, {
    clock, flushIntervalMs: 3, eventsPerBatchMax: 100,
  })
  const uplink = new Uplink({
    spool, clock, address: '127.0.0.1:${port}', version: '0', complain() {}, recovered() {},
  })
  uplink.start()
  let made = 0
  while (made < ${eventsMax}) {
    for (let i = 0; i < 37; i++) {
      const record = sampleOpen({ uid: ${run} })
      record.writeBigUInt64LE(BigInt(made++), 96)
      take(spool, [record])
    }
    await setTimeout(1)
  }
  await spool.flush()
  while (spool.store.waitingFrames > 0) await setTimeout(5)
  await uplink.stop(0)
  await spool.close()`

function startRun(dir: string, port: number, run: number, eventsMax: number) {
  const code = script(dir, port, run, eventsMax)
  return spawn(process.execPath, ['--input-type=module', '--eval', code], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
}

test('after kill -9 during load no number is given twice, and no event is lost in the middle', () =>
  withFolder(async (dir) => {
    const stub = await new IngestStub().start()
    const runs = 5
    for (let run = 1; run <= runs; run++) {
      const child = startRun(dir, stub.port, run, run === runs ? 500 : Infinity)
      const closed = once(child, 'close')
      if (run < runs) {
        const seen = () => eventsOf(stub.frames(), 'uid').filter(({ values }) => values['uid'] === run)
        await expect.poll(() => seen().length, { timeout: 20_000 }).toBeGreaterThan(run * 200)
        child.kill('SIGKILL')
      }
      await closed
    }
    expect(stub.conflicts).toBe(0)
    const events = eventsOf(stub.frames(), 'uid', 'connection_id')
    const first = events[0].seq
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => first + index))
    for (let run = 1; run <= runs; run++) {
      const numbers = events.filter(({ values }) => values['uid'] === run)
        .map(({ values }) => Number(values['connection_id']))
      expect(numbers).toEqual(numbers.map((_, index) => index))
      expect(numbers.length).toBeGreaterThanOrEqual(run === runs ? 500 : run * 200)
    }
    stub.stop()
  }), 120_000)

test('when the correlator is killed again and again, every event arrives once', () =>
  withFolder(async (dir) => {
    let stub = await new IngestStub().start()
    const child = startRun(dir, stub.port, 1, 20_000)
    const closed = once(child, 'close')
    for (let kill = 1; kill <= 5; kill++) {
      const before = eventsOf(stub.frames()).length
      await expect.poll(() => eventsOf(stub.frames()).length, { timeout: 20_000 })
        .toBeGreaterThan(before + 300)
      stub.stop()
      stub = await new IngestStub({ port: stub.port, stored: stub.stored }).start()
    }
    await closed
    expect(stub.conflicts).toBe(0)
    const numbers = eventsOf(stub.frames(), 'connection_id')
      .map(({ values }) => Number(values['connection_id']))
    expect(numbers).toEqual(Array.from({ length: 20_017 }, (_, index) => index).slice(0, numbers.length))
    expect(numbers.length).toBeGreaterThanOrEqual(20_000)
    stub.stop()
  }), 120_000)
