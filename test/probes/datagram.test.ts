import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { compileActor, impatientTable, joinDatagrams, startDatagrams } from './datagram-actor.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import { Watch, whyNot } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: ${reason}\n`)

describe.skipIf(reason)(`datagrams ${reason}`, () => {
  let cgroup: ScopeCgroup
  let watch: Watch
  let actor: { path: string, remove(): void }
  beforeAll(() => {
    cgroup = new ScopeCgroup()
    actor = compileActor()
  })
  beforeEach(() => { watch = new Watch(cgroup, impatientTable) })
  afterEach(() => watch.close())
  afterAll(async () => {
    actor.remove()
    await cgroup.remove()
  })

  it.each([
    ['udp4', '127.0.0.1', 'udp'], ['udp6', '::1', 'udp'],
  ])('of %s are counted exactly, at both ends, with the process of each', async (kind, host) => {
    const server = await startDatagrams(cgroup, actor.path)
    const client = await joinDatagrams(cgroup, actor.path, server)
    await server.ask(`open ${kind}`)
    const port = await server.ask(`bind ${host} 5353`)
    await client.ask(`open ${kind}`)
    await client.ask(`send ${host} ${port} 100 1`)
    const first = await watch.first('datagram_flow', { pid: client.pid, report: 'first' })
    expect(first).toMatchObject({
      comm: 'datagram', remote_addr: host, remote_port: port, local_addr: host, protocol: 'udp',
      direction: 'outgoing', process_source: 'caller', bytes_sent: 100, packets_sent: 1,
      bytes_received: 0, packets_received: 0, duration_ns: 0,
    })
    await client.ask(`send ${host} ${port} 300 9`)
    await server.ask(`receive x 0 0 10`)
    await watch.first('datagram_flow', { pid: client.pid, bytes_sent: 2800, packets_sent: 10 })
    const seen = await watch.first('datagram_flow', { pid: server.pid, bytes_received: 2800 })
    expect(seen).toMatchObject({
      packets_received: 10, bytes_sent: 0, direction: 'accepted', process_source: 'listener',
      local_port: port, remote_port: first['local_port'], netns: first['netns'],
    })
    await server.ask(`send ${host} ${String(first['local_port'])} 7 3`)
    await client.ask('receive x 0 0 3')
    await client.ask('close')
    const last = await watch.first('datagram_flow', { pid: client.pid, report: 'last' })
    expect(last).toMatchObject({
      bytes_sent: 2800, packets_sent: 10, bytes_received: 21, packets_received: 3,
      connection_id: first['connection_id'],
    })
    await client.ended()
    await server.ended()
  })
})
