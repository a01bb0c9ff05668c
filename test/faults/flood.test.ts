// A cgroup that floods loses its own events, and says how many; its neighbours lose none.

import { mkdirSync, rmdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startAgent } from '../../agent/main.ts'
import { IngestStub } from '../../agent/sample/ingest-stub.ts'
import { eventsOf, withFolder } from '../../agent/sample/spool.ts'
import { ScopeCgroup } from '../probes/scope-cgroup.ts'
import type { Program } from '../probes/scope-cgroup.ts'
import { whyNot } from '../probes/watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: ${reason}\n`)

const quota = 200
const attempts = 20_000
const calm = 30

/**
 * In the cgroup of the first word: attempts to ever-changing addresses and ports, all of which the
 * node refuses, one every so many seconds.
 */
const scan = `use Socket; my ($procs, $count, $pause) = @ARGV;
open(my $file, ">", $procs) or die; print $file $$; close $file;
for my $i (1 .. $count) { socket(my $c, PF_INET, SOCK_STREAM, 0);
connect($c, pack_sockaddr_in(1 + $i % 1000, pack("C4", 127, 7, $i >> 8 & 255, $i & 255)));
close $c; select undef, undef, undef, $pause if $pause }`

test.skipIf(reason)('a flood costs only its own cgroup, and every event of it is stored or counted',
  () => withFolder(async (dir) => {
    const stub = await new IngestStub().start()
    const cgroup = new ScopeCgroup()
    const below = (name: string) => join(cgroup.path, name)
    for (const name of ['loud', 'calm']) mkdirSync(below(name))
    const idOf = (name: string) => statSync(below(name), { bigint: true }).ino
    const start = (name: string, count: number, pause: number): Program =>
      cgroup.start('perl', '-e', scan, join(below(name), 'cgroup.procs'), String(count),
        String(pause))
    const agent = await startAgent({
      data: dir, correlator: `127.0.0.1:${stub.port}`, listen_http: '127.0.0.1:0', node_id: 'n1',
      scope_cgroup: `/${cgroup.path.split('/').at(-1)}`, cgroup_quota_per_s: quota,
    })
    const loud = start('loud', attempts, 0)
    const quiet = start('calm', calm, 0.02)
    await loud.ended()
    await quiet.ended()
    // Normal service: what the same cgroup does next is seen again, without a word to the agent.
    const after = start('loud', 1, 0)
    await after.ended()
    const failed = (cgroupId: bigint) => eventsOf(stub.frames(), 'cgroup_id', 'pid')
      .filter(({ kind, values }) => kind === 'connection_failed' && values['cgroup_id'] === cgroupId)
    await expect.poll(() => failed(idOf('loud')).at(-1)?.values['pid'], { timeout: 20_000 })
      .toBe(after.pid)
    await agent.stop()

    expect(failed(idOf('calm'))).toHaveLength(calm)
    const told = failed(idOf('loud')).length
    const gaps = eventsOf(stub.frames(), 'stage', 'count', 'event_kind', 'cgroup_id')
      .filter(({ kind }) => kind === 'gap').map(({ values }) => values)
    for (const gap of gaps) {
      expect(gap).toMatchObject({
        stage: 'quota', event_kind: 'connection_failed', cgroup_id: idOf('loud'),
      })
    }
    const lost = gaps.reduce((sum, gap) => sum + Number(gap['count']), 0)
    expect(told + lost).toBe(attempts + 1)
    expect(lost).toBeGreaterThan(0)
    const floods = eventsOf(stub.frames(), 'cgroup_id', 'lost_connection_failed')
      .filter(({ kind }) => kind === 'cgroup_flood').map(({ values }) => values)
    expect(floods.reduce((sum, flood) => sum + Number(flood['lost_connection_failed']), 0)).toBe(lost)
    const ledger = eventsOf(stub.frames(), 'event_kind', 'produced', 'lost', 'stored', 'dropped')
      .filter(({ kind, values }) => kind === 'ledger' && values['event_kind'] === 'connection_failed')
      .at(-1)!.values
    expect(ledger).toMatchObject({
      produced: attempts + 1 + calm, lost, stored: told + calm, dropped: 0,
    })
    for (const name of ['loud', 'calm']) rmdirSync(below(name))
    await cgroup.remove()
    stub.stop()
  }), 60_000)
