import { mkdirSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { EventJson } from '../../proto/event-json.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import { Changer, Stores, watchDone, waysHere } from './store-changes.ts'
import { Ground } from './store-ground.ts'
import { Watch, whyNot } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: changes of stores: ${reason}\n`)

const [models, dataset, registry] = [7, 8, 9]
const OVERLAY_MAGIC = 0x794c7630
const setxattr = { x64: 188, arm64: 5 }[process.arch as 'x64' | 'arm64']

let ways: string[] = []
if (!reason) {
  const cgroup = new ScopeCgroup()
  ways = waysHere(cgroup, 'store_write')
  await cgroup.remove()
}

describe.skipIf(reason)(`changes of stores ${reason}`, () => {
  it('are seen in some way on every kernel', () => expect(ways).not.toEqual([]))
})

describe.each(ways)('changes of stores, seen by %s programs', (way) => {
  /** Paths are all that is known of most system calls. */
  const byPath = way === 'tp_btf'
  let cgroup: ScopeCgroup
  let watch: Watch
  let stores: Stores
  let ground: Ground
  let changer: Changer
  /** Folders: of artifacts, of a data set, of more artifacts, and of no store. */
  let store: string
  let data: string
  let other: string
  let beside: string

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
  beforeEach(() => {
    ground = new Ground()
    store = ground.make('models')
    data = ground.make('data')
    other = ground.make('registry')
    beside = ground.make('models-of-nobody')
    writeFileSync(join(store, 'old.bin'), 'x'.repeat(5000))
    writeFileSync(join(beside, 'old.bin'), 'x'.repeat(300))
    stores.set([
      { folder: store, id: models }, { folder: data, id: dataset }, { folder: other, id: registry },
    ], [models, registry])
    changer = new Changer(cgroup)
  })
  afterEach(async () => {
    await changer.ended()
    ground.remove()
  })

  /** What was told of the changer, after all that it did was. */
  async function told(): Promise<EventJson[]> {
    await watch.settle(cgroup)
    return watch.seen('store_write', { pid: changer.pid })
  }

  function known(path: string): EventJson {
    const { ino } = statSync(path, { bigint: true })
    return { inode: ino.toString() }
  }

  it('a file is created, opened for writing, truncated: each is told, with its file', async () => {
    const path = join(store, 'new.bin')
    await changer.run(`open($f, ">", "${path}") or die; print $f "x" x 100; close $f`)
    await changer.run(`open($f, ">>", "${path}") or die; print $f "y"; close $f`)
    await changer.run(`open($f, "+<", "${path}") or die; truncate($f, 10) or die; close $f`)
    await changer.run(`truncate("${path}", 5) or die`)
    await changer.run(`open($f, ">", "${path}") or die; close $f`)
    const events = await told()
    expect(events.map(({ operation }) => operation)).toEqual([
      'create', 'modify', 'modify', 'truncate', 'truncate', 'modify', 'truncate',
    ])
    for (const [at, event] of events.entries()) {
      expect(event).toMatchObject({
        ...byPath && at === 4 ? {} : known(path), path, store_id: models, comm: 'perl', report: 'first', count: 1,
        cgroup_id: cgroup.id.toString(),
      })
      expect(event['old_path'] ?? '').toBe('')
    }
    const bytes = events.filter(({ operation }) => operation === 'truncate')
      .map((event) => Number(event['bytes']))
    expect(bytes).toEqual(byPath ? [0, 0, 0] : [101, 10, 5])
  })

  it('a file that is changed in place is told with what it held, once for a process', async () => {
    const path = join(store, 'old.bin')
    await changer.run(`open($f, "+<", "${path}") or die; print $f "z" x 6000; close $f`)
    await changer.run(`open($f, "+<", "${path}") or die; print $f "y"; close $f`)
    const events = await told()
    expect(events.map(({ operation }) => operation)).toEqual(['modify', 'overwrite', 'modify'])
    expect(events[1]).toMatchObject({
      ...known(path), path, bytes: 5000, count: 1, store_id: models, comm: 'perl',
    })
  })

  it('a file that is made, cut, added to or only opened is not overwritten', async () => {
    const path = join(store, 'new.bin')
    await changer.run(`write_file("${path}", 100)`)
    await changer.run(`write_file("${path}", 200)`)
    await changer.run(`open($f, ">>", "${path}") or die; print $f "y"; close $f`)
    await changer.run(`open($f, "+<", "${path}") or die; close $f`)
    await changer.run(`open($f, "+<", "${path}") or die; truncate($f, 10) or die; close $f`)
    await changer.run(`open($f, "+<", "${beside}/old.bin") or die; print $f "z"; close $f`)
    await changer.run(`open($f, "+<", "${data}/none") || open($f, "+>", "${data}/none"); close $f`)
    expect((await told()).map(({ operation }) => operation)).not.toContain('overwrite')
  })

  it('a program that overwrites very many files is told of 16 times, and the rest is counted', async () => {
    const count = 200
    await changer.run(`for (1 .. ${count}) { write_file("${store}/f$_", 10); } 1`)
    const before = new Changer(cgroup)
    await before.run(`for (1 .. ${count}) { open($f, "+<", "${store}/f$_") or die; print $f "z" x 10; close $f } 1`)
    await before.ended()
    const of = () => watch.seen('store_write', { pid: before.pid, operation: 'overwrite' })
    const sum = (field: string) => of().reduce((all, event) => all + Number(event[field]), 0)
    for (let tries = 0; sum('count') < count && tries < 1000; tries++) await sleep(20)
    expect([sum('count'), sum('bytes')]).toEqual([count, 10 * count])
    expect(of().length).toBeLessThan(count / 2)
  })

  it('reading, and opening for reading, is none', async () => {
    await changer.run(`open($f, "<", "${store}/old.bin") or die; read $f, $b, 100; close $f`)
    await changer.run(`opendir($d, "${store}") or die; readdir $d; stat "${store}/old.bin"`)
    expect(await told()).toEqual([])
  })

  it('a rename is told with both paths: inside, in, out, and over another file', async () => {
    await changer.run(`rename("${store}/old.bin", "${store}/inside.bin") or die`)
    await changer.run(`rename("${beside}/old.bin", "${store}/in.bin") or die`)
    await changer.run(`rename("${store}/inside.bin", "${store}/in.bin") or die`)
    await changer.run(`rename("${store}/in.bin", "${beside}/out.bin") or die`)
    const events = await told()
    expect(events.map(({ operation }) => operation)).toEqual(Array(4).fill('rename'))
    const names = events.map((event) => [event['old_path'], event['path']])
    expect(names).toEqual([
      [`${store}/old.bin`, `${store}/inside.bin`], [`${beside}/old.bin`, `${store}/in.bin`],
      [`${store}/inside.bin`, `${store}/in.bin`], [`${store}/in.bin`, `${beside}/out.bin`],
    ])
    if (byPath) return
    // What was replaced.
    expect(events.map((event) => Number(event['bytes']))).toEqual([0, 0, 300, 0])
    expect(events.at(-1)).toMatchObject(known(join(beside, 'out.bin')))
  })

  it('a rename from one store to another is told of both', async () => {
    await changer.run(`rename("${store}/old.bin", "${other}/old.bin") or die`)
    const events = await told()
    expect(events.map((event) => event['store_id'])).toEqual([models, registry])
    expect(new Set(events.map((event) => event['path']))).toEqual(new Set([`${other}/old.bin`]))
  })

  it('deletion, of files and folders, is told with what is lost', async () => {
    await changer.run(`mkdir "${store}/step-1" or die; write_file("${store}/step-1/a", 70)`)
    await changer.run(`unlink("${store}/step-1/a") or die; rmdir("${store}/step-1") or die`)
    await changer.run(`unlink("${store}/old.bin") or die`)
    const events = await told()
    const short = events.map((event) => `${event['operation']} ${event['path']}`)
    expect(short).toEqual([
      `create ${store}/step-1`, `create ${store}/step-1/a`, `delete ${store}/step-1/a`,
      `delete ${store}/step-1`, `delete ${store}/old.bin`,
    ])
    expect(events.map((event) => Number(event['bytes'])))
      .toEqual(byPath ? [0, 0, 0, 0, 0] : [0, 0, 70, 0, 5000])
  })

  it('links are told: hard ones in and out of the store, and symbolic ones', async () => {
    await changer.run(`link("${store}/old.bin", "${beside}/leaves.bin") or die`)
    await changer.run(`link("${beside}/old.bin", "${store}/comes.bin") or die`)
    await changer.run(`symlink("../any/where", "${store}/latest") or die`)
    await changer.run(`symlink("${store}", "${beside}/shortcut") or die`)
    const events = await told()
    expect(events.map((event) => [event['operation'], event['old_path'], event['path']])).toEqual([
      ['link', `${store}/old.bin`, `${beside}/leaves.bin`],
      ['link', `${beside}/old.bin`, `${store}/comes.bin`],
      ['link', '../any/where', `${store}/latest`],
    ])
  })

  it.skipIf(byPath)('a file of the store stays one by a hard link outside of it', async () => {
    await changer.run(`link("${store}/old.bin", "${beside}/leaves.bin") or die`)
    await changer.run(`unlink("${store}/old.bin") or die`)
    await changer.run(`open($f, ">>", "${beside}/leaves.bin") or die; close $f`)
    await changer.run(`open($f, ">>", "${beside}/old.bin") or die; close $f`)
    const events = await told()
    expect(events.map((event) => [event['operation'], event['path']])).toEqual([
      ['link', `${beside}/leaves.bin`], ['delete', `${store}/old.bin`],
      ['modify', `${beside}/leaves.bin`],
    ])
  })

  it('attributes are told: mode, owner, and extended ones; times are not', async () => {
    const path = join(store, 'old.bin')
    await changer.run(`chmod(0640, "${path}") or die; chown(1, 1, "${path}") or die`)
    await changer.run(`utime(1, 1, "${path}") or die`)
    // Not every file system has them; the attempt is enough.
    await changer.run(`my ($p, $n, $v) = ("${path}", "trusted.vedette", "1"); ` +
      `syscall(${setxattr}, $p, $n, $v, 1, 0) == 0 or die`)
    const events = await told()
    expect(events).toHaveLength(3)
    for (const event of events) {
      expect(event).toMatchObject({ operation: 'attributes', path, store_id: models })
    }
  })

  it('nothing is told of neighbours, of data sets, and of what fails', async () => {
    writeFileSync(join(data, 'part'), 'x')
    await changer.run(`write_file("${beside}/new", 5); unlink("${beside}/new")`)
    await changer.run(`write_file("${data}/new", 5); rename("${data}/part", "${data}/party")`)
    await changer.run(`unlink("${store}/not-there"); rmdir("${store}/old.bin")`)
    await changer.run(`open($f, ">", "${store}/no/such/folder"); chmod 0600, "${store}/none"`)
    expect(await told()).toEqual([])
  })

  it('nothing is told of a file that has the number of the folder of a store', async (context) => {
    // Overlays of several file systems number folders and files each for itself: that of the VMs.
    if (statfsSync(beside).type !== OVERLAY_MAGIC) context.skip()
    const inodeOf = (path: string): bigint => statSync(path, { bigint: true }).ino
    const make = (name: string): string => {
      writeFileSync(join(beside, name), '')
      return join(beside, name)
    }
    let folder = store
    for (let at = 0; inodeOf(folder) <= inodeOf(make('first')) && at < 50; at++) {
      // Pipes have their numbers from where such folders have them.
      await changer.run('for (1 .. 1000) { pipe(my $r, my $w) or die } 1')
      folder = ground.make(`models-${at}`)
    }
    const wanted = inodeOf(folder)
    stores.set([{ folder, id: models }], [models])
    let path = make('second')
    for (let at = 0; inodeOf(path) < wanted && at < 5000; at++) path = make(`file-${at}`)
    if (inodeOf(path) !== wanted) context.skip()
    await changer.run(`open($f, "+<", "${path}") or die; print $f "z"; close $f; unlink("${path}") or die`)
    expect(await told()).toEqual([])
    await changer.run(`write_file("${folder}/new", 5)`)
    expect(await told()).toHaveLength(1)
  })

  it('nothing is told of processes out of the scope', async () => {
    const outside = cgroup.startOutside('/bin/sh', '-c', 'echo x > "$0/new"', store)
    await outside.ended()
    await watch.settle(cgroup)
    expect(watch.seen('store_write', { pid: outside.pid })).toEqual([])
  })

  it('the same store is seen by relative paths and by another mount of it', async () => {
    const bound = ground.mount('bound', '--bind', store)
    // Of a file with a name only, any mount that shows it will do.
    const either = (path: unknown) => String(path).replace(bound, store)
    await changer.run(`chdir("${store}") or die; rename("old.bin", "older.bin") or die`)
    await changer.run(`mkdir "${store}/deep" or die; chdir "${store}/deep" or die; ` +
      'write_file("below.bin", 3); unlink("below.bin") or die; chdir "/"')
    await changer.run(`write_file("${bound}/there.bin", 9)`)
    const events = await told()
    expect(events.map((event) => `${event['operation']} ${either(event['path'])}`)).toEqual([
      `rename ${store}/older.bin`, `create ${store}/deep`, `create ${store}/deep/below.bin`,
      `delete ${store}/deep/below.bin`, `create ${store}/there.bin`,
    ])
    expect(events.at(-1)!['path']).toBe(`${bound}/there.bin`)
  })

  it('a whole file system is a store', async () => {
    const place = ground.mount('disk', '-t', 'tmpfs', 'tmpfs')
    stores.set([{ folder: place, id: registry, all: true }], [registry])
    await changer.run(`mkdir "${place}/v1" or die; write_file("${place}/v1/a", 7); ` +
      `unlink("${place}/v1/a") or die; write_file("${beside}/b", 1)`)
    const events = await told()
    expect(events.map((event) => `${event['operation']} ${event['path']}`)).toEqual([
      `create ${place}/v1`, `create ${place}/v1/a`, `delete ${place}/v1/a`,
    ])
    expect(events[1]).toMatchObject({ store_id: registry, fs_magic: 0x01021994 })
  })

  it('files of an overlay are told by their name in it, opened ones once', async () => {
    // The layers of an overlay may not be one themselves.
    const disk = ground.mount('layers', '-t', 'tmpfs', 'tmpfs')
    const layers = ['lower', 'upper', 'work'].map((name) => join(disk, name))
    layers.forEach((layer) => mkdirSync(layer))
    writeFileSync(join(disk, 'lower/old.bin'), 'x'.repeat(50))
    const place = ground.mount('seen', '-t', 'overlay', 'overlay', '-o',
      `lowerdir=${layers[0]},upperdir=${layers[1]},workdir=${layers[2]}`)
    stores.set([place, ...layers.slice(0, 2)].map((folder) => ({ folder, id: registry })),
      [registry])
    await changer.run(`write_file("${place}/new.bin", 5)`)
    await changer.run(`open($f, ">>", "${place}/new.bin") or die; close $f`)
    await changer.run(`unlink("${place}/old.bin") or die`)
    const events = (await told()).filter(({ path }) => String(path).startsWith(place))
    expect(events.map((event) => `${event['operation']} ${event['path']}`)).toEqual([
      `create ${place}/new.bin`, `modify ${place}/new.bin`, `delete ${place}/old.bin`,
    ])
    for (const event of events) expect(event['store_id']).toBe(registry)
  })

  it('the path is that of the mount namespace of the process', async () => {
    const place = ground.make('elsewhere')
    const inside = new Changer(cgroup, 'unshare', '-m', '/bin/sh', '-c',
      `mount --bind "${store}" "${place}" && exec "$@"`, 'sh')
    await inside.run(`chdir("${place}") or die; write_file("a.bin", 3); unlink("a.bin") or die`)
    await watch.settle(cgroup)
    const events = watch.seen('store_write', { pid: inside.pid })
    expect(events.map((event) => [event['operation'], event['store_id']]))
      .toEqual([['create', models], ['delete', models]])
    // The store is mounted there at its own path, too: either will do.
    for (const event of events) {
      expect([`${place}/a.bin`, `${store}/a.bin`]).toContain(event['path'])
    }
    await inside.ended()
  })

  it('the same path in another root is another file', async () => {
    const jail = ground.make('jail')
    mkdirSync(join(jail, store), { recursive: true })
    await changer.run(`chroot("${jail}") or die; chdir "/"; write_file("${store}/a", 1); ` +
      `rename("${store}/a", "${store}/b") or die; unlink("${store}/b") or die`)
    expect(await told()).toEqual([])
  })

  it('a program that changes many files is told of 16 times, and the rest is counted', async () => {
    const count = 300
    await changer.run(`for (1 .. ${count}) { write_file("${store}/f$_", 10); } 1`)
    await changer.run(`for (1 .. ${count}) { unlink("${store}/f$_") or die } 1`)
    await changer.ended()
    await watch.first('process_exit', { pid: changer.pid })
    for (const [operation, bytes] of [['create', 0], ['delete', byPath ? 0 : 10]] as const) {
      const of = () => watch.seen('store_write', { pid: changer.pid, operation })
      const sum = (field: string) => of().reduce((all, event) => all + Number(event[field]), 0)
      for (let tries = 0; sum('count') < count && tries < 1000; tries++) await sleep(20)
      expect(sum('count')).toBe(count)
      expect(sum('bytes')).toBe(count * bytes)
      expect(of().length).toBeLessThan(count / 2)
      expect(of().slice(0, 16).map((event) => event['report'])).toEqual(Array(16).fill('first'))
      const report = of().find((event) => event['report'] !== 'first')!
      expect(report).toMatchObject({ store_id: models, comm: 'perl', cgroup_id: cgroup.id.toString() })
      expect(String(report['path'])).toMatch(new RegExp(`^${store}/f\\d+$`))
    }
  })

  it.skipIf(byPath)('a rename of two files for each other is told once, and loses nothing',
    async () => {
      writeFileSync(join(store, 'other.bin'), 'x')
      await changer.run('my @n = ' +
        `("${store}/old.bin", "${store}/other.bin"); ` +
        `syscall(${process.arch === 'x64' ? 316 : 276}, -100, $n[0], -100, $n[1], 2) == 0 or die`)
      const events = await told()
      expect(events).toHaveLength(1)
      expect(events[0]).toMatchObject({ operation: 'rename', path: `${store}/other.bin` })
      expect(Number(events[0]['bytes'])).toBe(0)
    })
})
