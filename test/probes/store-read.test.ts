import { existsSync, linkSync, renameSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { filesOfSketch } from '../../agent/stores/sketch.ts'
import { isPickle } from '../../detectors/stores/artifacts/formats.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import { Ground, labelOf, labelOfAll, storeAmounts, writeFile } from './store-ground.ts'
import {
  readBytes, readThrough, reportsOf, setLabels, watchReads, waysOfReads,
} from './store-watch.ts'
import { whyNot } from './watch.ts'
import type { Watch } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: reads of stores: ${reason}\n`)
const emulated = existsSync('/dev/ttyS1') && !existsSync('/run/systemd/system')
const mib = 2 ** 20
const size = storeAmounts.mebibytes * mib + 4097
const filesMany = storeAmounts.files
const [dataset, models] = [7, 8]

const ways = reason ? [] : waysOfReads()

describe.skipIf(reason)(`reads of stores ${reason}`, () => {
  it('are seen in some way on every kernel', () => {
    expect(ways).not.toEqual([])
  })
})

/** Every door, and what its bytes count as; and where only system calls are seen, if otherwise. */
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
    // On a disk, where there is one: the memory of an emulated machine has no direct reads.
    const disk = emulated ? ground.mountImage('disk', 3 * size / mib + 40 | 0) : ground.make('disk')
    const opened = watchReads(cgroup, way)
    if (typeof opened === 'string') throw new Error(opened)
    watch = opened
    store = writeFile(join(ground.make('disk/data/set'), 'part-0'), size)
    beside = writeFile(join(ground.make('disk/data/other'), 'part-0'), size)
    setLabels(watch, [labelOf(join(disk, 'data/set'), dataset)])
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
    ground.remove()
    // A hundred thousand files, on a disk that may be busy.
  }, 300_000)

  /** Reads a file to its end, and waits for the last report of it. */
  async function told(door: string, path: string) {
    const { bytes, program } = await readThrough(cgroup, door, path)
    await program.ended()
    const events = await reportsOf(watch, program.pid)
    return { bytes, events, sums: readBytes(events) }
  }

  /** What a store was told to have given to a program that read it to the end. */
  async function expectCounted(door: string, path: string, mechanism: string, id = dataset) {
    const { bytes, events, sums } = await told(door, path)
    const counted = sums[mechanism] ?? 0
    expect(Math.abs(counted / bytes - 1), JSON.stringify(sums)).toBeLessThan(0.01)
    const rest = Object.entries(sums).filter(([name]) => name !== mechanism)
    expect(rest.reduce((sum, [, some]) => sum + some, 0)).toBeLessThan(bytes / 100)
    expect(new Set(events.map((event) => event['store_id']))).toEqual(new Set([id]))
    return events.filter((event) => event['mechanism'] === mechanism)
  }

  async function expectQuiet(path: string) {
    const { bytes, program } = await readThrough(cgroup, 'read', path)
    expect(bytes).toBeGreaterThan(0)
    await program.ended()
    expect(await reportsOf(watch, program.pid)).toEqual([])
  }

  /** Mappings are not seen here, as the probe says. */
  const isLost = (mechanism: string): boolean => mechanism === 'mmap' &&
    / by mappings;/.test(watch.states.find(({ probe }) => probe === 'store_read')!.lost)

  it.each(doors)('count what is read through %s', async (door, mechanism, byCalls = mechanism) => {
    if (isLost(mechanism)) {
      expect((await told(door, store)).sums['mmap']).toBeUndefined()
      return
    }
    const expected = way === 'tp_btf' ? byCalls : mechanism
    const events = await expectCounted(door, store, expected)
    // It may come after one of a walk that began later.
    const first = events.find(({ report }) => report === 'first')
    expect(String(first?.['path'])).toMatch(/data\/set\/part-0$/)
  })

  it('count what a process takes from the memory of one that read a store, and name that one',
    async () => {
      // Of /proc/PID/mem only the kernel's own functions tell.
      for (const door of way === 'fexit' ? ['memory', 'memory-file'] : ['memory']) {
        const [first] = await expectCounted(door, store, 'process_memory')
        const owner = Number(first['owner_pid'])
        const read = readBytes(await reportsOf(watch, owner))['read']
        expect(Math.abs(read / size - 1)).toBeLessThan(0.01)
        expect(String(first['owner_start_time'])).toBe(
          String(watch.seen('store_read', { pid: owner })[0]['process_id']).split(':')[1])
      }
    })

  it('do not count a file beside the store, through whatever door', async () => {
    const pids: number[] = []
    for (const [door] of doors) {
      const { bytes, program } = await readThrough(cgroup, door, beside)
      expect(bytes).toBe(size)
      await program.ended()
      pids.push(program.pid)
    }
    await reportsOf(watch, pids.at(-1)!)
    expect(pids.flatMap((pid) => watch.seen('store_read', { pid }))).toEqual([])
  })

  it('count whatever path leads to the file', async () => {
    const [one, other] = [join(ground.folder, 'disk/link'), join(ground.folder, 'disk/name')]
    symlinkSync(store, one)
    linkSync(store, other)
    const bound = ground.mount('bound', '--bind', join(ground.folder, 'disk/data/set'))
    for (const path of [one, other, join(bound, 'part-0'), `/proc/self/root${store}`]) {
      await expectCounted('read', path, 'read')
    }
  })

  it('know a file that gets a name in the store later, and one that is moved in and out',
    async () => {
      const folder = join(ground.folder, 'disk/data')
      const [free, linked] = [join(folder, 'free'), join(folder, 'linked')]
      writeFile(free, mib)
      writeFile(linked, mib)
      await expectQuiet(free)
      await expectQuiet(linked)
      linkSync(linked, join(folder, 'set/linked'))
      await expectCounted('read', linked, 'read')
      renameSync(free, join(folder, 'set/free'))
      await expectCounted('read', join(folder, 'set/free'), 'read')
      renameSync(join(folder, 'set/free'), free)
      await expectQuiet(free)
      renameSync(join(folder, 'other'), join(folder, 'set/other'))
      await expectCounted('read', join(folder, 'set/other/part-0'), 'read')
      renameSync(join(folder, 'set/other'), join(folder, 'other'))
      await expectQuiet(join(folder, 'other/part-0'))
    })

  it('belong to the inner of two stores, and to no store that is none any more', async () => {
    const inner = ground.make('disk/data/set/inner')
    writeFile(join(inner, 'model'), mib)
    const outer = labelOf(join(ground.folder, 'disk/data/set'), dataset)
    setLabels(watch, [outer, labelOf(inner, models)])
    await expectCounted('read', join(inner, 'model'), 'read', models)
    setLabels(watch, [outer])
    await expectCounted('read', join(inner, 'model'), 'read')
  })

  it('of whole file systems count on all of it', async () => {
    const disk = ground.mount('memory', '-t', 'tmpfs', 'tmpfs')
    const file = writeFile(join(disk, 'file'), mib)
    await expectQuiet(file)
    setLabels(watch, [labelOf(join(ground.folder, 'disk/data/set'), dataset),
      labelOfAll(disk, models)])
    for (const [door, mechanism] of [['read', 'read'], ['mmap', 'mmap'], ['sendfile', 'splice']]) {
      if (isLost(mechanism)) continue
      await expectCounted(door, file, mechanism, models)
    }
  })

  it('tell reads in order from reads here and there', async () => {
    const script = `open(F, "<", $ARGV[0]); for my $i (@ARGV[1 .. $#ARGV]) {
      sysseek(F, $i * 4096, 0); sysread(F, $b, 4096) }`
    const bytesOf = async (...blocks: number[]) => {
      const program = cgroup.start('perl', '-e', script, store, ...blocks.map(String))
      await program.ended()
      const events = await reportsOf(watch, program.pid)
      return events.reduce((sum, event) => sum + Number(event['bytes_sequential']), 0) / 4096
    }
    expect(await bytesOf(0, 1, 2, 3, 4, 5)).toBe(6)
    expect(await bytesOf(5, 3, 9, 1, 4, 8)).toBe(0)
  })

  it('of very many files are few reports, and their number is known within 5%', async () => {
    const folder = ground.make('disk/data/set/many')
    writeFile(join(folder, '0'), 100)
    const script = `my ($d, $n) = @ARGV; for my $i (1 .. $n) {
      open(F, ">", "$d/$i"); syswrite(F, "x" x 100); close(F); }
      for my $i (1 .. $n) { open(F, "<", "$d/$i"); sysread(F, $b, 200); close(F); }`
    const program = cgroup.start('perl', '-e', script, folder, String(filesMany))
    await program.ended()
    const events = await reportsOf(watch, program.pid)
    const sum = (key: string) => events.reduce((total, event) => total + Number(event[key]), 0)
    expect(sum('bytes')).toBe(100 * filesMany)
    expect([sum('calls'), sum('opens')]).toEqual([filesMany, filesMany])
    const files = filesOfSketch(BigInt(events.at(-1)!['files_distinct'] as number))
    expect(Math.abs(files / filesMany - 1)).toBeLessThan(0.05)
    expect(events.length).toBeLessThan(200)
    expect(watch.object.counters().reduce((lost, one) => lost + one.lost, 0)).toBe(0)
  }, 120_000)

  it('tell what the reader has written since, to its end, by all of its threads', async () => {
    // What was written before the first read does not count, what was after the last one does.
    const out = join(ground.folder, 'out')
    const script = `open(O, ">", $ARGV[1]); syswrite(O, "a" x 70_000);
      open(F, "<", $ARGV[0]); sysread(F, $b, 4096); select(undef, undef, undef, 0.4);
      syswrite(O, "b" x 100_000); print "c" x 50; close(STDOUT);`
    const program = cgroup.start('perl', '-e', script, store, out)
    await program.ended()
    const events = await reportsOf(watch, program.pid)
    expect(events.map((event) => [event['process_written_known'], Number(event['process_written_bytes'] ?? 0)]))
      .toEqual([[true, 0], [true, 100_050]])
    expect(events.map(({ report, calls }) => [report, Number(calls ?? 0)])).toEqual([['first', 1], ['last', 0]])
    const copied = cgroup.start('perl', '-e', `open(F, "<", $ARGV[0]); open(O, ">", $ARGV[1]);
      my $n = 0; while (sysread(F, $b, 65_536)) { syswrite(O, $b); }`, store, out)
    await copied.ended()
    const last = (await reportsOf(watch, copied.pid)).at(-1)!
    // After its end there may be nothing more to tell: then the report before is the last one.
    expect(last).toMatchObject({ process_written_known: true })
    expect(Number(last['process_written_bytes'])).toBe(size)
    // Threads of the pool of Node write, after the first one has read.
    const threads = cgroup.start(process.execPath, '-e', `const fs = require('node:fs')
      fs.readSync(fs.openSync(process.argv[1]), Buffer.alloc(4096)); const fd = fs.openSync(process.argv[2], 'w')
      for (let i = 0; i < 8; i++) fs.write(fd, Buffer.alloc(1_000_000), 0, 1_000_000, i * 1_000_000, () => {})`,
    store, out)
    await threads.ended()
    const written = Number((await reportsOf(watch, threads.pid)).at(-1)!['process_written_bytes'])
    // It wakes its threads by writing a few bytes.
    expect(written).toBeGreaterThanOrEqual(8_000_000)
    expect(written).toBeLessThan(8_010_000)
  })

  it('show a file that may be a pickle before others, by every ending', async () => {
    const folder = ground.make('disk/data/set/mixed')
    const endings = ['pt', 'PTH', 'pt2', 'pkl', 'pickle', 'bin', 'ckpt', 'joblib', 'dill']
    for (const name of ['a.json', 'z.safetensors', 'pt', ...endings.map((ending) => `m.${ending}`)]) {
      writeFile(join(folder, name), 100)
    }
    const shown = async (...names: string[]) => {
      const program = cgroup.start('perl', '-e', `my $d = shift; for my $name (@ARGV) {
        open(F, "<", "$d/$name"); sysread(F, $b, 200); close(F); select(undef, undef, undef, 0.3) }`,
      folder, ...names)
      await program.ended()
      const paths = (await reportsOf(watch, program.pid)).map(({ path }) => String(path))
      return paths.map((path) => path.slice(path.lastIndexOf('/') + 1))
    }
    for (const ending of endings) {
      expect(isPickle(`m.${ending}`)).toBe(true)
      const paths = await shown('a.json', 'z.safetensors', `m.${ending}`)
      expect(paths[0]).toBe('a.json')
      expect(paths).toContain(`m.${ending}`)
    }
    // The pickle stays shown, whatever is read after it and before the next report.
    const program = cgroup.start('perl', '-e', `my $d = shift; open(F, "<", "$d/a.json"); sysread(F, $b, 9);
      for my $name ("z.safetensors", "m.pkl", "a.json", "pt") { open(G, "<", "$d/$name"); sysread(G, $b, 200) }`,
    folder)
    await program.ended()
    const paths = (await reportsOf(watch, program.pid)).map(({ path }) => String(path))
    expect(paths.at(-1)).toBe(join(folder, 'm.pkl'))
  }, 60_000)
})
