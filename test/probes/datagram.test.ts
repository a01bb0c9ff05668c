import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compiled } from './compiled.ts'
import { impatientTable, joinDatagrams, startDatagrams } from './datagram-actor.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import { Watch, whyNot } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: ${reason}\n`)

describe.skipIf(reason)(`datagrams ${reason}`, () => {
  let cgroup: ScopeCgroup
  let watch: Watch
  let actor: string
  beforeAll(() => {
    cgroup = new ScopeCgroup()
    actor = compiled('datagram.c')
    watch = new Watch(cgroup, impatientTable)
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
  })

  it.each([
    ['udp4', '127.0.0.1', 'udp'], ['udp6', '::1', 'udp'],
  ])('of %s are counted exactly, at both ends, with the process of each', async (kind, host) => {
    const server = await startDatagrams(cgroup, actor)
    const client = await joinDatagrams(cgroup, actor, server)
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

  it.each([
    ['sendmmsg', 'batch', 100, 150, 15_000, 150],
    ['io_uring', 'uring', 100, 20, 2000, 20],
    ['one call that is cut into datagrams', 'segmented', 12_345, 1000, 12_345, 13],
  ])('sent by %s are counted exactly', async (_, verb, bytes, count, total, packets) => {
    const server = await startDatagrams(cgroup, actor)
    const client = await joinDatagrams(cgroup, actor, server)
    await server.ask('open udp4')
    await server.ask('bind 127.0.0.1 5000')
    await client.ask('open udp4')
    expect(await client.ask(`${verb} 127.0.0.1 5000 ${bytes} ${count}`)).toBe(total)
    expect(await server.ask(`receive x 0 0 ${packets}`)).toBe(total)
    await client.ask('close')
    await watch.first('datagram_flow', {
      pid: client.pid, report: 'last', bytes_sent: total, packets_sent: packets,
      process_source: 'caller',
    })
    await server.ask('close')
    await watch.first('datagram_flow', {
      pid: server.pid, report: 'last', bytes_received: total, packets_received: packets,
    })
    await client.ended()
    await server.ended()
  })

  it('over a real link and over a connected socket are counted as over loopback', async () => {
    const one = await startDatagrams(cgroup, actor)
    const other = await startDatagrams(cgroup, actor)
    const link = ['ip', 'link', 'add', 'v0', 'netns', String(one.pid), 'type', 'veth', 'peer',
      'name', 'v0', 'netns', String(other.pid)]
    const addresses = [[one, '10.9.0.1'], [other, '10.9.0.2']] as const
    await cgroup.startOutside('/bin/sh', '-c', link.join(' ')).ended()
    for (const [{ pid }, address] of addresses) {
      const up = `ip addr add ${address}/24 dev v0 && ip link set v0 up`
      await cgroup.startOutside('nsenter', '--net', '-t', String(pid), 'sh', '-c', up).ended()
    }
    await other.ask('open udp4')
    await other.ask('bind 10.9.0.2 4000')
    await one.ask('open udp4')
    await one.ask('connect 10.9.0.2 4000')
    // Larger than the link takes at once: it goes in fragments, and is one datagram.
    await one.ask('write x 0 4000 3')
    expect(await other.ask('receive x 0 0 3')).toBe(12_000)
    await one.ask('close')
    await other.ask('close')
    await watch.first('datagram_flow', {
      pid: one.pid, report: 'last', bytes_sent: 12_000, packets_sent: 3, local_addr: '10.9.0.1',
    })
    await watch.first('datagram_flow', {
      pid: other.pid, report: 'last', bytes_received: 12_000, packets_received: 3,
      local_addr: '10.9.0.2', remote_addr: '10.9.0.1',
    })
    await one.ended()
    await other.ended()
  })

  it.each([
    ['ping4', '127.0.0.1', 'icmp'], ['ping6', '::1', 'icmpv6'], ['icmp4', '127.0.0.1', 'icmp'],
  ])('of a ping by %s are counted with the data that they carry', async (kind, host, protocol) => {
    const allow = 'echo 0 0 > /proc/sys/net/ipv4/ping_group_range;'
    const client = await startDatagrams(cgroup, actor, allow)
    await client.ask(`open ${kind}`)
    expect(await client.ask(`ping ${host} 0 1000 2`)).toBe(2000)
    await client.ask('close')
    const last = await watch.first('datagram_flow', { pid: client.pid, report: 'last', protocol })
    expect(last).toMatchObject({ bytes_sent: 2000, packets_sent: 2, remote_addr: host,
      local_port: 0, remote_port: 0 })
    // A raw socket gets a copy of its own question, too.
    expect(last['packets_received']).toBeGreaterThanOrEqual(2)
    await client.ended()
  })

  it('of raw IP and of UDP-Lite are counted where the kernel has them', async () => {
    const client = await startDatagrams(cgroup, actor)
    await client.ask('open gre4')
    await client.ask('send 127.0.0.1 0 700 2')
    await client.ask('close')
    await watch.first('datagram_flow', {
      pid: client.pid, protocol: 'gre', report: 'last', bytes_sent: 1400, packets_sent: 2,
    })
    await client.ask('open raw6')
    await client.ask('send ::1 0 64 1')
    await watch.first('datagram_flow', { pid: client.pid, protocol: 'esp', bytes_sent: 64 })
    // Newer kernels have no UDP-Lite any more.
    const lite = await client.ask('open udplite').then(() => true, () => false)
    if (lite) {
      await client.ask('send 127.0.0.1 9 50 1')
      await watch.first('datagram_flow', { pid: client.pid, protocol: 'udplite', bytes_sent: 50 })
    }
    await client.ended()
  })

  it('that a process forges with headers of its own are seen with their ports', async () => {
    const client = await startDatagrams(cgroup, actor)
    await client.ask('open headers')
    // IP header, then that of a TCP connection request from port 4242 to port 81.
    const ip = '4500002800000000400600007f0000017f000001'
    await client.ask(`payload ${ip}${'1092' + '0051'}${'0'.repeat(16)}5002ffff00000000`)
    await client.ask('send 127.0.0.1 0 40 3')
    const flow = await watch.first('datagram_flow', { pid: client.pid, packets_sent: 3 })
    expect(flow).toMatchObject({
      protocol: 'tcp', direction: 'outgoing', local_port: 4242, remote_port: 81, bytes_sent: 60,
    })
    await client.ended()
  })

  it('name who uses the socket now, when it was handed on', async () => {
    const client = await startDatagrams(cgroup, actor)
    await client.ask('open udp4')
    const port = await client.ask('bind 127.0.0.1 0')
    const child = await client.ask('fork')
    await client.ask('send 127.0.0.1 9 10 1')
    const flow = await watch.first('datagram_flow', { local_port: port })
    expect(flow).toMatchObject({ pid: child, process_source: 'caller' })
    await client.ended()
  })

  it('to many peers end when their socket is closed', async () => {
    const client = await startDatagrams(cgroup, actor)
    await client.ask('open udp6')
    await client.ask('around ::1 2000 20 300')
    await client.ask('close')
    const ended = await watch.atLeast(300, 'datagram_flow', { pid: client.pid, report: 'last' })
    expect(new Set(ended.map((event) => event['remote_port'])).size).toBe(300)
    expect(ended.every((event) => event['bytes_sent'] === 20)).toBe(true)
    await client.ended()
    expect(watch.object.faults()).toMatchObject({ flows_evicted: 0, flows_full: 0 })
  })

  it('across the border of the scope are seen at the end inside only', async () => {
    const inside = await startDatagrams(cgroup, actor)
    const outside = await joinDatagrams(cgroup, actor, inside, true)
    const from = watch.events.length
    await outside.ask('open udp4')
    await outside.ask('bind 127.0.0.1 5000')
    await inside.ask('open udp4')
    await inside.ask('send 127.0.0.1 5000 10 1')
    await outside.ask('receive x 0 0 1')
    await outside.ask('send 127.0.0.1 5001 10 1')
    await inside.ask('close')
    const { netns } = await watch.first('datagram_flow', { pid: inside.pid, report: 'last' })
    const here = watch.events.slice(from).filter((event) => event['netns'] === netns)
    expect(new Set(here.map((event) => event['kind']))).toEqual(new Set(['datagram_flow']))
    expect(here.filter(({ pid }) => pid !== inside.pid)).toEqual([])
    await inside.ended()
    await outside.ended()
  })
})

describe.skipIf(reason)(`the table of datagram flows ${reason}`, () => {
  let cgroup: ScopeCgroup
  let actor: string
  beforeAll(() => {
    cgroup = new ScopeCgroup()
    actor = compiled('datagram.c')
  })
  afterAll(async () => {
    await cgroup.remove()
  })

  it('when it is full forgets flows and counts them; every first packet is told', async () => {
    const watch = new Watch(cgroup, impatientTable, { flows_max: 256 })
    const client = await startDatagrams(cgroup, actor)
    await client.ask('open udp4')
    await client.ask('around 127.0.0.1 2000 20 2000')
    await watch.atLeast(2000, 'datagram_flow', { pid: client.pid, report: 'first' })
    // It takes two walks to know.
    while (watch.object.faults()['flows_evicted'] < 1000) await sleep(20)
    await client.ask('close')
    await client.ended()
    await watch.settle(cgroup)
    watch.close()
    const told = watch.seen('datagram_flow', { pid: client.pid, report: 'last' }).length
    const { flows_evicted: evicted } = watch.faults
    // Each flow was evicted, or ended with the socket, or was there still when the watch ended.
    expect(told + evicted).toBeLessThanOrEqual(2000)
    expect(told).toBeGreaterThan(0)
  })

  it('of a whole node holds the pings that the kernel answers, and what they carry', async () => {
    const watch = new Watch(cgroup, impatientTable, {
      scope_cgroup_id: 0n, scope_cgroup_level: 0, scope_cgroup_dir: undefined, flows_max: 65_536,
    })
    try {
      const allow = 'echo 0 0 > /proc/sys/net/ipv4/ping_group_range;'
      const client = await startDatagrams(cgroup, actor, allow)
      for (const [kind, host] of [['ping4', '127.0.0.1'], ['ping6', '::1']]) {
        await client.ask(`open ${kind}`)
        await client.ask(`ping ${host} 0 500 3`)
        await client.ask('close')
        const asked = await watch.first('datagram_flow', { pid: client.pid, remote_addr: host })
        const answered = await watch.first('datagram_flow', {
          netns: asked['netns']!, remote_addr: host, direction: 'accepted', packets_sent: 3,
        })
        expect(answered).toMatchObject({ bytes_sent: 1500, bytes_received: 1500 })
        expect(answered['pid'] ?? 0).toBe(0)
      }
      await client.ended()
    } finally {
      watch.close()
    }
  })

  it('that a cgroup fills beyond its quota costs that cgroup, and the loss is told', async () => {
    const watch = new Watch(cgroup, impatientTable, { cgroup_quota_per_s: 100 })
    const client = await startDatagrams(cgroup, actor)
    await client.ask('open udp4')
    await client.ask('around 127.0.0.1 2000 20 3000')
    const flood = await watch.first('cgroup_flood', { cgroup_id: cgroup.id.toString() })
    expect(flood['lost_datagram_flow']).toBeGreaterThan(0)
    await client.ended()
    watch.close()
    const firsts = watch.seen('datagram_flow', { pid: client.pid, report: 'first' }).length
    expect(firsts).toBeLessThan(3000)
    expect(firsts).toBeGreaterThan(0)
  })
})
