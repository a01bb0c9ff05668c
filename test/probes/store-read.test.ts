import { copyFileSync, existsSync, linkSync, mkdirSync, renameSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ScopeCgroup } from './scope-cgroup.ts'
import {
  Ground, labelOf, readBytes, readThrough, readWays, setLabels, watchReads, writeFile,
} from './store-watch.ts'
import { whyNot } from './watch.ts'
import type { Watch } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: reads of stores: ${reason}\n`)
/** An emulated kernel reads slowly. */
const emulated = existsSync('/dev/ttyS1') && !existsSync('/run/systemd/system')
const mib = 2 ** 20
const size = (emulated ? 8 : 64) * mib + 4097
const [dataset, models] = [7, 8]

function waysOrNone(): string[] {
  if (reason) return []
  const cgroup = new ScopeCgroup()
  const able = readWays.filter((way) => {
    const watch = watchReads(cgroup, way)
    if (typeof watch !== 'string') watch.close()
    else process.stderr.write(`!! SKIPPED: reads of stores by ${way}: ${watch}\n`)
    return typeof watch !== 'string'
  })
  void cgroup.remove()
  return able
}

const ways = waysOrNone()

describe.skipIf(reason)(`reads of stores ${reason}`, () => {
  it('are seen in some way on every kernel', () => {
    expect(ways).not.toEqual([])
  })
})

/** Every door, and what its bytes count as; only where it is not seen by system calls: `''`. */
const doors: [door: string, mechanism: string, bySystemCalls?: string][] = [
  ['read', 'read'], ['pread', 'read'], ['readv', 'read'], ['preadv2', 'read'],
  ['inherited', 'read'], ['handle', 'read'], ['mmap', 'mmap'], ['populate', 'mmap'],
  ['splice', 'splice'], ['sendfile', 'splice'], ['copy', 'splice', 'copy'],
  ['direct', 'direct'], ['aio', 'read'], ['aio-direct', 'direct'],
  ['ring', 'read'], ['ring-worker', 'read'], ['ring-direct', 'direct'],
]

describe.each(ways)('reads of stores, seen by %s programs', (way) => {
  let cgroup: ScopeCgroup
  let watch: Watch
  let ground: Ground
  let store: string
  let beside: string

  beforeAll(() => {
    cgroup = new ScopeCgroup()
    ground = new Ground()
    const opened = watchReads(cgroup, way)
    if (typeof opened === 'string') throw new Error(opened)
    watch = opened
    store = writeFile(join(ground.make('data/set'), 'part-0'), size)
    beside = writeFile(join(ground.make('data/other'), 'part-0'), size)
    setLabels(watch, [labelOf(join(ground.folder, 'data/set'), dataset)])
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
    ground.remove()
  })

  /** Reads a file to its end, and waits for the last report of it. */
  async function told(door: string, path: string, chunk?: number) {
    const { bytes, program } = await readThrough(cgroup, door, path, chunk)
    await program.ended()
    await watch.first('store_read', { pid: program.pid, report: 'last' })
    const events = watch.seen('store_read', { pid: program.pid })
    return { bytes, events, sums: readBytes(events) }
  }

  it.each(doors)('count what is read through %s', async (door, mechanism, byCalls = mechanism) => {
    const { bytes, events, sums } = await told(door, store)
    expect(bytes).toBe(size)
    const expected = way === 'tp_btf' ? byCalls : mechanism
    const counted = sums[expected] ?? 0
    expect(Math.abs(counted / size - 1), JSON.stringify(sums)).toBeLessThan(0.01)
    const rest = Object.entries(sums).filter(([name]) => name !== expected)
    expect(rest.reduce((sum, [, some]) => sum + some, 0)).toBeLessThan(size / 100)
    const [first] = events.filter((event) => event['mechanism'] === expected)
    expect(first).toMatchObject({ store_id: dataset, report: 'first' })
    expect(String(first['path'])).toMatch(/data\/set\/part-0$/)
  })

  it('do not count a file beside the store, through whatever door', async () => {
    const programs: number[] = []
    for (const [door] of doors) {
      const { bytes, program } = await readThrough(cgroup, door, beside)
      expect(bytes).toBe(size)
      await program.ended()
      programs.push(program.pid)
    }
    // What comes after them was told: so would they have been.
    await told('pread', store)
    expect(programs.flatMap((pid) => watch.seen('store_read', { pid }))).toEqual([])
  })
})
