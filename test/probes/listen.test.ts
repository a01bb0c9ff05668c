import { readlinkSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ScopeCgroup } from './scope-cgroup.ts'
import { everydayAnd } from './tables.ts'
import { Watch, whyNot } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: ${reason}\n`)

/** Listens on a port that the kernel chooses only in listen(), and prints it. */
const unbound = 'use Socket; socket(S, PF_INET, SOCK_STREAM, 0); listen(S, 4); $| = 1; ' +
  'print((unpack_sockaddr_in(getsockname S))[0], "\\n"); <STDIN>'

describe.skipIf(reason)(`listeners ${reason}`, () => {
  let cgroup: ScopeCgroup
  let watch: Watch

  beforeAll(() => {
    cgroup = new ScopeCgroup()
    watch = new Watch(cgroup, everydayAnd('datagram_listen'))
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
  })

  it.each([
    { host: '127.0.0.1', shown: '127.0.0.1' }, { host: '::1', shown: '::1' },
    { host: '0.0.0.0', shown: '::' }, { host: '::', shown: '::' },
  ])('names process, address and port of who listens on $host', async ({ host, shown }) => {
    const actor = await cgroup.startActor()
    const { port } = await actor.ask({ do: 'listen', host })
    const netns = /\d+/.exec(readlinkSync(`/proc/${actor.pid}/ns/net`))![0]
    const event = await watch.first('listen', { pid: actor.pid })
    expect(event).toMatchObject({
      local_addr: shown, local_port: port!, protocol: 'tcp', at_start: false,
      netns: Number(netns), cgroup_id: cgroup.id.toString(),
    })
    await actor.ended()
  })

  it('shows a listener whose port the kernel chooses, with port 0', async () => {
    const program = cgroup.start('perl', '-e', unbound)
    await program.line()
    expect(await watch.first('listen', { pid: program.pid })).toMatchObject({ local_port: 0 })
    await program.ended()
  })

  it('says nothing of who only connects, and nothing out of scope', async () => {
    const outside = await cgroup.startActor(true)
    const { port } = await outside.ask({ do: 'listen', host: '127.0.0.1' })
    const inside = await cgroup.startActor()
    await inside.ask({ do: 'connect', host: '127.0.0.1', port: port! })
    await inside.ended()
    await watch.settle(cgroup)
    expect(watch.seen('listen', { pid: inside.pid })).toEqual([])
    expect(watch.seen('listen', { local_port: port! })).toEqual([])
    await outside.ended()
  })
})
