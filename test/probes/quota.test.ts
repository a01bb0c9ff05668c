import { mkdirSync, rmdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ScopeCgroup } from './scope-cgroup.ts'
import type { Program } from './scope-cgroup.ts'
import { Watch, whyNot } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: ${reason}\n`)

const quota = 20
const attempts = 600
const calm = 5

/** In the cgroup of the first word: as many attempts, each to another port that nobody listens on. */
const scan = `use Socket; my ($procs, $count) = @ARGV;
open(my $file, ">", $procs) or die; print $file $$; close $file;
for my $port (1 .. $count) { socket(my $c, PF_INET, SOCK_STREAM, 0);
connect($c, pack_sockaddr_in($port + 20000, inet_aton("127.9.9.9"))); close $c }`

describe.skipIf(reason)(`the quota of a cgroup ${reason}`, () => {
  let cgroup: ScopeCgroup
  let watch: Watch
  const below: Record<string, { path: string, id: string }> = {}

  beforeAll(() => {
    cgroup = new ScopeCgroup()
    for (const name of ['loud', 'calm']) {
      const path = join(cgroup.path, name)
      mkdirSync(path)
      below[name] = { path, id: statSync(path, { bigint: true }).ino.toString() }
    }
    watch = new Watch(cgroup, undefined, { cgroup_quota_per_s: quota })
  })
  afterAll(async () => {
    watch.close()
    for (const { path } of Object.values(below)) rmdirSync(path)
    await cgroup.remove()
  })

  function start(name: string, count: number): Program {
    const procs = join(below[name].path, 'cgroup.procs')
    return cgroup.start('perl', '-e', scan, procs, String(count))
  }

  it('takes from a flooding cgroup alone: every event there is told or counted, others lose none',
    async () => {
      const loud = start('loud', attempts)
      const quiet = start('calm', calm)
      await Promise.all([loud.ended(), quiet.ended()])
      const told = () => watch.seen('connection_failed', { pid: loud.pid }).length
      const lost = () => watch.seen('cgroup_flood')
        .reduce((sum, event) => sum + Number(event['lost_connection_failed']), 0)
      while (told() + lost() < attempts) await sleep(20)
      expect(told() + lost()).toBe(attempts)
      expect(told()).toBeGreaterThanOrEqual(quota)
      expect(lost()).toBeGreaterThan(0)
      for (const event of watch.seen('cgroup_flood')) {
        expect(event).toMatchObject({
          cgroup_id: below['loud'].id, quota_per_s: quota, lost_process_exec: 0,
        })
        expect(event['pid']).toBeUndefined()
      }
      expect(watch.seen('connection_failed', { cgroup_id: below['calm'].id })).toHaveLength(calm)
      const counted = watch.object.counters().find(({ kind }) => kind === 22)
      expect(counted).toMatchObject({ lost: lost(), over_quota: lost() })
    })

  it('is one of connections and another of programs: a flood of one does not hide the other',
    async () => {
      const loud = start('loud', attempts)
      await loud.ended()
      const exit = await watch.first('process_exit', { pid: loud.pid })
      expect(exit['cgroup_id']).toBe(below['loud'].id)
    })

  it('is there again soon after the flood: the next event is told', async () => {
    const before = start('loud', attempts)
    await before.ended()
    // A record costs 50 ms of this quota.
    await sleep(200)
    const after = start('loud', 1)
    await watch.first('connection_failed', { pid: after.pid })
  })
})
