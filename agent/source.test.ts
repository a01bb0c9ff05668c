import { describe, expect, it } from 'vitest'
import type { NativeFailure } from '../native/index.ts'
import { nextDelayMs, Source } from './source.ts'
import type { Kernel } from './source.ts'

const ringBytes = 1 << 20

/** A kernel with a ring of numbered 8-byte records; the edge of the agent. */
class ScriptedKernel implements Kernel {
  waiting: number[] = []
  detached: string[] = []
  reads = 0
  iterators: Record<string, number[] | NativeFailure> = {}
  /** Called on every detach: what a program wrote just before it was gone. */
  atDetach: () => void = () => undefined

  produce(count: number): void {
    const last = this.waiting.at(-1) ?? 0
    for (let i = 1; i <= count; i++) this.waiting.push(last + i)
  }

  readRing(buffer: ArrayBuffer): number {
    this.reads++
    return this.#fill(buffer, this.waiting)
  }

  readIterator(program: string, buffer: ArrayBuffer): number | NativeFailure {
    const records = this.iterators[program]
    return Array.isArray(records) ? this.#fill(buffer, records) : records
  }

  #fill(buffer: ArrayBuffer, records: number[]): number {
    const taken = records.splice(0, buffer.byteLength / 8)
    const words = new Uint32Array(buffer)
    taken.forEach((record, i) => { words[2 * i] = record })
    return taken.length * 8
  }

  ringPending(): number { return this.waiting.length * 8 }
  counters() { return [{ kind: 20, produced: 3, lost: 1, over_quota: 0 }] }
  faults() { return { sockets_full: 2 } }
  programStats() { return [{ name: 'a' }, { name: 'b' }] }
  detach(program: string): void {
    this.detached.push(program)
    this.atDetach()
  }
}

/** A source whose consumer keeps the number of every record. */
function watch(
  kernel: ScriptedKernel, once: string[] = [], everyMs: Record<string, number> = {},
  late?: true,
) {
  const iterators = [
    ...once.map((program) => ({ program, every_ms: 0 })),
    ...Object.entries(everyMs).map(([program, every_ms]) => ({ program, every_ms, late })),
  ]
  const seen: number[] = []
  const failures: [string, string][] = []
  const source = new Source({
    kernel, ring_bytes: ringBytes, iterators,
    consume: (records, bytes) => {
      for (let at = 0; at < bytes; at += 8) seen.push(records.u32[at / 4])
    },
    failed: (program, failure) => failures.push([program, failure.code]),
  })
  return { source, seen, failures }
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1)

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe('nextDelayMs', () => {
  it('sleeps longest on a quiet node and wakes at once under load, within its bounds', () => {
    expect(nextDelayMs(100, 0, ringBytes)).toBe(100)
    expect(nextDelayMs(10, 0, ringBytes)).toBe(20)
    expect(nextDelayMs(100, 8, ringBytes)).toBe(50)
    expect(nextDelayMs(100, ringBytes / 16, ringBytes)).toBe(50)
    expect(nextDelayMs(50, ringBytes, ringBytes)).toBe(25)
    expect(nextDelayMs(1, ringBytes, ringBytes)).toBe(1)
    expect(nextDelayMs(20, ringBytes / 16, ringBytes)).toBe(20)
  })
})

describe('Source', () => {
  it('hands over every record once and in order, also those that come later', async () => {
    const kernel = new ScriptedKernel()
    const { source, seen } = watch(kernel)
    kernel.produce(1000)
    source.start()
    kernel.produce(500)
    await until(() => seen.length >= 1500)
    source.stop()
    expect(seen).toEqual([...upTo(1000), ...upTo(500)])
  })

  it('runs the iterators to their end before it reads the ring', () => {
    const kernel = new ScriptedKernel()
    // More than one buffer of 256 KiB.
    kernel.iterators = { first: upTo(40_000), second: [7] }
    kernel.produce(1)
    const { source, seen } = watch(kernel, ['first', 'second'])
    source.start()
    source.stop()
    expect(seen).toEqual([...upTo(40_000), 7, 1])
  })

  it('reports an iterator that the kernel refuses, and goes on', () => {
    const kernel = new ScriptedKernel()
    kernel.iterators = {
      refused: { operation: 'read_iterator', errno: 1, code: 'EPERM', detail: '' }, works: [9],
    }
    const { source, seen, failures } = watch(kernel, ['refused', 'works'])
    source.start()
    source.stop()
    expect(failures).toEqual([['refused', 'EPERM']])
    expect(seen).toEqual([9])
  })

  it('runs a periodic iterator again and again, and a last time when the programs are detached',
    async () => {
      const kernel = new ScriptedKernel()
      kernel.iterators = { reports: [1], never: [9] }
      const { source, seen } = watch(kernel, ['never'], { reports: 5 })
      source.start()
      expect(seen).toEqual([9, 1])
      kernel.iterators = { reports: [2], never: [9] }
      await until(() => seen.length > 2)
      // What is in the ring is older: it comes first.
      kernel.iterators = { reports: [], never: [9] }
      kernel.produce(1)
      kernel.atDetach = () => { kernel.iterators = { reports: [3], never: [9] } }
      source.stop()
      expect(seen).toEqual([9, 1, 2, 1, 3])
    })

  it('waits for an iterator that is loaded late, and hears no refusal of it', async () => {
    const kernel = new ScriptedKernel()
    const absent = { operation: 'read_iterator', errno: 2, code: 'ENOENT', detail: '' }
    kernel.iterators = { reports: absent }
    const { source, seen, failures } = watch(kernel, [], { reports: 2 }, true)
    source.start()
    kernel.iterators = { reports: [7] }
    await until(() => seen.length > 0)
    kernel.iterators = { reports: { ...absent, code: 'EPERM' } }
    await until(() => failures.length > 0)
    source.stop()
    expect([seen, failures]).toEqual([[7], [['reports', 'EPERM']]])
    const strict = watch(kernel, [], { reports: 2 })
    kernel.iterators = { reports: absent }
    strict.source.start()
    strict.source.stop()
    expect(strict.failures).toEqual([['reports', 'ENOENT']])
  })

  it('runs a periodic iterator no more once the kernel refused it', async () => {
    const kernel = new ScriptedKernel()
    kernel.iterators = { reports: [], other: [] }
    const { source, failures } = watch(kernel, [], { reports: 2, other: 2 })
    source.start()
    let runs = 0
    const readIterator = kernel.readIterator.bind(kernel)
    kernel.readIterator = (program, buffer) => {
      runs += program === 'other' ? 1 : 0
      return readIterator(program, buffer)
    }
    kernel.iterators['reports'] = {
      operation: 'read_iterator', errno: 12, code: 'ENOMEM', detail: '',
    }
    await until(() => runs > 5)
    source.stop()
    expect(failures).toEqual([['reports', 'ENOMEM']])
  })

  it('lets other work run while the ring never gets empty', async () => {
    const kernel = new ScriptedKernel()
    const { source } = watch(kernel)
    const readRing = kernel.readRing.bind(kernel)
    kernel.readRing = (buffer) => {
      if (kernel.reads < 200) kernel.produce(buffer.byteLength / 8)
      return readRing(buffer)
    }
    source.start()
    const readsBefore = kernel.reads
    await new Promise((resolve) => setImmediate(resolve))
    const readsAfter = kernel.reads
    source.stop()
    expect(readsBefore).toBe(16)
    expect(readsAfter).toBeLessThanOrEqual(48)
  })

  it('detaches every program on stop, hands over the rest, and reads no more', async () => {
    const kernel = new ScriptedKernel()
    const { source, seen } = watch(kernel)
    source.start()
    kernel.produce(70_000)
    kernel.atDetach = () => kernel.produce(1)
    source.stop()
    expect(kernel.detached).toEqual(['a', 'b'])
    expect(seen).toHaveLength(70_002)
    const { reads } = kernel
    await new Promise((resolve) => setTimeout(resolve, 250))
    expect(kernel.reads).toBe(reads)
  })

  it('counts what it read, and begins the largest batch anew each time it is asked', () => {
    const kernel = new ScriptedKernel()
    const { source } = watch(kernel)
    kernel.produce(10)
    source.start()
    expect(source.counters()).toEqual({
      kinds: [{ kind: 20, produced: 3, lost: 1, over_quota: 0 }], faults: { sockets_full: 2 }, pending_bytes: 0,
      batches: 1, bytes: 80, batch_bytes_max: 80,
    })
    expect(source.counters().batch_bytes_max).toBe(0)
    source.stop()
  })
})
