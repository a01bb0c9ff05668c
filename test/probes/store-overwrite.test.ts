import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { compiled } from './compiled.ts'
import { serveNfs, whyNoNfs } from './nfs-server.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import { Stores, watchDone, waysHere } from './store-changes.ts'
import { Ground } from './store-ground.ts'
import { Watch, whyNot } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: files that are overwritten: ${reason}\n`)
const nfs = reason || whyNoNfs()
if (nfs && !reason) process.stderr.write(`!! SKIPPED: files that are overwritten on NFS: ${nfs}\n`)

const models = 7
const size = 40_000
const calls = ['write', 'pwritev', 'copy']

let ways: string[] = []
if (!reason) {
  const cgroup = new ScopeCgroup()
  ways = waysHere(cgroup, 'store_write')
  await cgroup.remove()
}

describe.skipIf(reason)(`files that are overwritten ${reason}`, () => {
  it('are seen in some way on every kernel', () => expect(ways).not.toEqual([]))
})

describe.each(ways)('files that are overwritten in place, seen by %s programs', (way) => {
  let cgroup: ScopeCgroup
  let watch: Watch
  let stores: Stores
  let ground: Ground

  beforeAll(() => {
    cgroup = new ScopeCgroup()
    const opened = watchDone(cgroup, 'store_write', way)
    if (typeof opened === 'string') throw new Error(opened)
    watch = opened
    stores = new Stores(watch)
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
  })
  beforeEach(() => { ground = new Ground() })
  afterEach(() => ground.remove())

  /** The ways to overwrite by which a file of the folder is told to be, once and with its size. */
  async function toldOf(folder: string, doors: readonly string[], fill = folder): Promise<string[]> {
    for (const name of [...doors, 'none', 'from']) writeFileSync(join(fill, `${name}.bin`), 'x'.repeat(size))
    stores.set([{ folder, id: models }, ...fill === folder ? [] : [{ folder: fill, id: models }]], [models])
    // The time of a change is known to a few milliseconds.
    await sleep(50)
    const seen: string[] = []
    for (const door of [...doors, 'none']) {
      const path = join(folder, `${door}.bin`)
      const program = cgroup.start(compiled('overwrite.c'), door, path, join(folder, 'from.bin'))
      expect(await program.line(), door).toBe('done')
      expect((await program.ended()).code, door).toBe(0)
      await watch.settle(cgroup)
      const events = watch.seen('store_write', { pid: program.pid, operation: 'overwrite' })
        .filter((event) => String(event['path']).startsWith(folder))
      if (events.length > 0) seen.push(door)
      expect(events.length).toBeLessThanOrEqual(1)
      for (const event of events) {
        expect(event).toMatchObject({ path, bytes: size, count: 1, store_id: models, comm: 'overwrite' })
      }
    }
    return seen
  }

  it('on a disk: by calls and by mappings, and not when they are opened alone', async () => {
    const folder = join(ground.mountImage('disk', 48), 'set')
    mkdirSync(folder)
    expect(await toldOf(folder, [...calls, 'mapping'])).toEqual([...calls, 'mapping'])
  }, 60_000)

  it('in memory: by calls', async () => {
    expect(await toldOf(ground.mount('memory', '-t', 'tmpfs', 'tmpfs'), calls)).toEqual(calls)
  })

  it('of an overlay, in its upper layer: by calls', async () => {
    const disk = ground.mount('layers', '-t', 'tmpfs', 'tmpfs')
    const layers = ['lower', 'upper', 'work'].map((name) => join(disk, name))
    layers.forEach((layer) => mkdirSync(layer))
    const place = ground.mount('seen', '-t', 'overlay', 'overlay', '-o',
      `lowerdir=${layers[0]},upperdir=${layers[1]},workdir=${layers[2]}`)
    expect(await toldOf(place, calls)).toEqual(calls)
  })

  it.skipIf(way === 'tp_btf')('more files open at once than are remembered are counted', async () => {
    const [fit, more] = [16_384, 100]
    const folder = ground.mount('many', '-t', 'tmpfs', 'tmpfs')
    writeFileSync(join(folder, 'one.bin'), 'x'.repeat(size))
    stores.set([{ folder, id: models }], [models])
    const forgotten = () => watch.object.faults()['store_open_files_evicted']
    const before = forgotten()
    const program = cgroup.start('/bin/sh', '-c', 'ulimit -n 20000; exec perl -e "$1" "$2" "$3"', '',
      'for (1 .. $ARGV[1]) { open(my $f, "+<", $ARGV[0]) or die $!; push @f, $f } print "done\\n"; close STDOUT',
      join(folder, 'one.bin'), String(fit + more))
    expect(await program.line()).toBe('done')
    await program.ended()
    expect(forgotten() - before).toBe(more)
  }, 60_000)

  it.skipIf(nfs)(`on NFS: by calls and by mappings ${nfs}`, async () => {
    const served = ground.mount('served', '-t', 'tmpfs', 'tmpfs')
    const stop = serveNfs(served)
    try {
      const place = ground.mount('nfs', '-t', 'nfs', '-o', 'vers=3,proto=tcp,nolock', `127.0.0.1:${served}`)
      expect(await toldOf(place, ['write', 'pwritev', 'mapping'])).toEqual(['write', 'pwritev', 'mapping'])
      ground.unmount(place)
    } finally {
      stop()
    }
  }, 60_000)
})
