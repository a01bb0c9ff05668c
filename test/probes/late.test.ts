// A kernel module that comes when the agent runs already.

import { spawnSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readKernelFacts, readModule } from '../../agent/probes/kernel-facts.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import { everydayAnd } from './tables.ts'
import { Watch, whyNot } from './watch.ts'

/** vsock, where it can be taken out and is not in use. */
function whyNoModule(): string {
  if (readKernelFacts().kprobes === false) return 'this kernel has no kprobes'
  if (spawnSync('modprobe', ['--dry-run', 'vsock_loopback']).status !== 0) return 'no vsock'
  spawnSync('modprobe', ['-r', 'vsock_loopback', 'vsock'])
  return readModule('vsock') === 'absent' ? '' : 'vsock is in use'
}

const reason = whyNot() || whyNoModule()
if (reason) process.stderr.write(`!! SKIPPED: modules that come late: ${reason}\n`)

const calling = `use Socket; socket(S, 40, SOCK_STREAM, 0) or die $!;
connect(S, pack("SSLLx4", 40, 0, 4, 1)); print $! + 0, "\\n"`

describe.skipIf(reason)(`a module that comes late ${reason}`, () => {
  let cgroup: ScopeCgroup
  beforeAll(() => { cgroup = new ScopeCgroup() })
  afterAll(() => cgroup.remove())

  it('is watched from then on, and what was watched before goes on', async () => {
    const watch = new Watch(cgroup, everydayAnd('vsock_connection'))
    expect(watch.states.find(({ probe }) => probe === 'vsock_connection')).toMatchObject({
      state: 'waiting', reason: 'the kernel module vsock is not loaded',
    })
    expect(watch.late.look()).toEqual([])
    const before = cgroup.start('true')
    await watch.first('process_exit', { pid: before.pid })
    expect(spawnSync('modprobe', ['vsock_loopback']).status).toBe(0)
    expect(watch.late.look()).toMatchObject([
      { probe: 'vsock_connection', state: 'attached', error: 0, reason: '', lost: '' },
    ])
    const client = cgroup.start('perl', '-e', calling)
    expect(Number(await client.line())).toBeGreaterThan(0)
    await watch.first('vsock_connection', { pid: client.pid, remote_port: 4 })
    await watch.first('process_exit', { pid: client.pid })
    // Both came through the ring and the counters of the first object.
    const counted = watch.object.counters().reduce((sum, { produced }) => sum + produced, 0)
    expect(counted).toBe(watch.events.length)
    watch.close()
    // Nothing holds it any more.
    expect(spawnSync('modprobe', ['-r', 'vsock_loopback', 'vsock']).status).toBe(0)
  })
})
