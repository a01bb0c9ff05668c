import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ScopeCgroup } from './scope-cgroup.ts'
import { Changer, Stores, watchDone, waysHere } from './store-changes.ts'
import { Ground } from './store-ground.ts'
import { Watch, whyNot } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: listings of stores: ${reason}\n`)

const [models, dataset] = [7, 8]
const folders = 20

let ways: string[] = []
if (!reason) {
  const cgroup = new ScopeCgroup()
  ways = waysHere(cgroup, 'store_listing')
  await cgroup.remove()
}

describe.skipIf(reason)(`listings of stores ${reason}`, () => {
  it('are seen in some way on every kernel', () => expect(ways).not.toEqual([]))
})

describe.each(ways)('listings of stores, seen by %s programs', (way) => {
  let cgroup: ScopeCgroup
  let watch: Watch
  let stores: Stores
  let ground: Ground
  let changer: Changer
  let data: string
  let beside: string

  beforeAll(() => {
    cgroup = new ScopeCgroup()
    const opened = watchDone(cgroup, 'store_listing', way)
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
    data = ground.make('data')
    beside = ground.make('data-of-nobody')
    for (let at = 0; at < folders; at++) {
      for (const place of [data, beside]) {
        mkdirSync(join(place, `class-${at}`))
        writeFileSync(join(place, `class-${at}`, 'part'), 'x')
      }
    }
    stores.set([{ folder: data, id: dataset }, { folder: ground.make('models'), id: models }],
      [models])
    changer = new Changer(cgroup)
  })
  afterEach(async () => {
    await changer.ended()
    ground.remove()
  })

  function sum(field: string): number {
    return watch.seen('store_listing', { pid: changer.pid })
      .reduce((all, event) => all + Number(event[field]), 0)
  }

  const list = (folder: string): string => `opendir($d, "${folder}") or die; ` +
    'my @n = readdir $d; closedir $d; die if @n < 3; 1'

  it('the first is told at once, with its folder', async () => {
    await changer.run(list(data))
    const event = await watch.first('store_listing', { pid: changer.pid })
    expect(event).toMatchObject({
      path: data, inode: statSync(data, { bigint: true }).ino.toString(), store_id: dataset,
      report: 'first', comm: 'perl', calls: 1, cgroup_id: cgroup.id.toString(),
    })
  })

  it('a walk of many folders is few reports, which count each of them once', async () => {
    for (let at = 0; at < folders; at++) await changer.run(list(`${data}/class-${at}`))
    await changer.ended()
    while (sum('directories') < folders) await sleep(20)
    expect(sum('directories')).toBe(folders)
    expect(sum('calls')).toBeGreaterThanOrEqual(folders)
    const events = watch.seen('store_listing', { pid: changer.pid })
    expect(events.length).toBeLessThan(folders / 2)
    expect(events[0]).toMatchObject({ report: 'first', path: `${data}/class-0` })
    expect(['periodic', 'last']).toContain(events.at(-1)!['report'])
    expect(String(events.at(-1)!['path'])).toMatch(new RegExp(`^${data}/class-\\d+$`))
  })

  it('the last report of a process says so', async () => {
    await changer.run(`for my $at (0 .. ${folders - 1}) { ` +
      `opendir($d, "${data}/class-$at") or die; my @n = readdir $d; closedir $d } 1`)
    await changer.ended()
    await watch.first('process_exit', { pid: changer.pid })
    while (sum('directories') < folders) await sleep(20)
    expect(sum('directories')).toBe(folders)
  })

  it('a neighbour, what is only opened, and processes out of the scope give none', async () => {
    await changer.run(list(beside))
    await changer.run(`open($f, "<", "${data}/class-0/part") or die; close $f`)
    const outside = cgroup.startOutside('/bin/ls', data)
    await outside.ended()
    await watch.settle(cgroup)
    for (const pid of [changer.pid, outside.pid]) {
      expect(watch.seen('store_listing', { pid })).toEqual([])
    }
  })

  it('the same folder is seen by its descriptor, and by another mount', async () => {
    const bound = ground.mount('bound', '--bind', data)
    await changer.run(list(bound))
    await changer.run(`chdir "${data}" or die; ${list('class-1')}; chdir "/"`)
    await changer.ended()
    while (sum('directories') < 2) await sleep(20)
    expect(watch.seen('store_listing', { pid: changer.pid })[0]).toMatchObject({
      path: bound, store_id: dataset,
    })
  })
})
