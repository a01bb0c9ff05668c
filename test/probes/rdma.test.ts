import { execFileSync, spawnSync } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { probeTable } from '../../agent/probes/table.ts'
import type { EventJson } from '../../proto/event-json.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import type { Program } from './scope-cgroup.ts'
import { Watch, whyBlind, whyNot } from './watch.ts'

const own = '10.66.0.1'

/** Soft-RoCE on an interface of its own, which nothing else uses. */
function whyNoRdma(): string {
  const modules = spawnSync('modprobe', ['-a', 'rdma_rxe', 'rdma_ucm', 'ib_uverbs', 'dummy'])
  if (modules.status !== 0) return 'this kernel has no rdma_rxe'
  for (const tool of ['rdma', 'rping', 'ibv_rc_pingpong']) {
    if (spawnSync('which', [tool]).status !== 0) return `${tool} is not installed`
  }
  execFileSync('ip', ['link', 'add', 'vdummy0', 'type', 'dummy'])
  execFileSync('ip', ['address', 'add', `${own}/24`, 'dev', 'vdummy0'])
  execFileSync('ip', ['link', 'set', 'vdummy0', 'up'])
  execFileSync('rdma', ['link', 'add', 'vrxe0', 'type', 'rxe', 'netdev', 'vdummy0'])
  return ''
}

const reason = whyNot() || whyNoRdma() || whyBlind('rdma_connection') || whyBlind('rdma_manager')
if (reason) process.stderr.write(`!! SKIPPED: RDMA: ${reason}\n`)

/** So that the probes of the tests after this one load as fast as before. */
afterAll(() => {
  if (reason) return
  execFileSync('rdma', ['link', 'delete', 'vrxe0'])
  execFileSync('ip', ['link', 'delete', 'vdummy0'])
  execFileSync('modprobe', ['-ra', 'rdma_rxe', 'rdma_ucm', 'ib_uverbs', 'dummy'])
})

const ways = [['the best way', probeTable], ['kprobes', probeTable.map((probe) => ({
  ...probe, ways: probe.ways.filter((way) => !/^f(entry|exit)$/.test(way.attach_type)),
}))]] as const

describe.skipIf(reason).each(ways)(`RDMA by %s ${reason}`, (_, table) => {
  let cgroup: ScopeCgroup
  let watch: Watch
  let gid: string
  beforeAll(() => {
    cgroup = new ScopeCgroup()
    watch = new Watch(cgroup, table)
    gid = gidIndexOf(own)
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
  })

  /** All reports of a program, when it has ended. */
  async function reportsOf(program: Program): Promise<EventJson[]> {
    await watch.first('process_exit', { pid: program.pid })
    return watch.seen('rdma_connection', { pid: program.pid })
  }

  /** A server and its client, both to their ends. */
  async function both(server: string[], client: string[]): Promise<[Program, Program]> {
    const one = cgroup.start(server[0], ...server.slice(1))
    await watch.first('process_exec', { pid: one.pid, comm: server[0].slice(0, 15) })
    for (;;) {
      // The server needs a moment until it listens.
      const two = cgroup.start(client[0], ...client.slice(1))
      const { code } = await two.ended()
      if (code !== 0) continue
      await one.ended()
      return [one, two]
    }
  }

  it('is attached', () => {
    for (const name of ['rdma_connection', 'rdma_manager']) {
      expect(watch.states.find(({ probe }) => probe === name)).toMatchObject({
        state: 'attached', lost: '',
      })
    }
  })

  it('queue pairs that agree by other means, as NCCL does, name their process and peer',
    async () => {
      const words = ['-d', 'vrxe0', '-g', gid, '-n', '4', '-s', '64', '-p', '18777']
      const [server, client] = await both(
        ['ibv_rc_pingpong', ...words], ['ibv_rc_pingpong', ...words, '127.0.0.1'])
      const [ofServer, ofClient] = [await reportsOf(server), await reportsOf(client)]
      for (const reports of [ofServer, ofClient]) {
        expect(reports.map(({ report }) => report)).toEqual(['first', 'last'])
        expect(reports[0]).toMatchObject({
          device: 'vrxe0', local_addr: own, remote_addr: own, transport: 'roce', protocol: 'rdma',
          qp_type: 2, comm: 'ibv_rc_pingpong', cgroup_id: cgroup.id.toString(), netns: netns(),
        })
        for (const absent of ['direction', 'local_port', 'remote_port']) {
          expect([undefined, 0]).toContain(reports[0][absent])
        }
        const { connection_id: id, qp_num: number } = reports[0]
        expect(reports[1]).toMatchObject({ connection_id: id, qp_num: number })
        expect(reports[1]['duration_ns']).toBeGreaterThan(0)
      }
      // Each is the other's peer.
      expect(ofServer[0]['qp_num']).toBe(ofClient[0]['remote_qp_num'])
      expect(ofClient[0]['qp_num']).toBe(ofServer[0]['remote_qp_num'])
      expect(ofServer[0]['connection_id']).not.toBe(ofClient[0]['connection_id'])
    })

  it('the connection manager says who called whom, and at which ports', async () => {
    const words = ['-a', own, '-p', '18778', '-C', '2']
    const [server, client] = await both(['rping', '-s', ...words], ['rping', '-c', ...words])
    const [accepted] = await reportsOf(server)
    const [opened, ended] = await reportsOf(client)
    expect(opened).toMatchObject({
      direction: 'outgoing', local_addr: own, remote_addr: own, remote_port: 18778,
      transport: 'roce', qp_type: 2, report: 'first', comm: 'rping',
    })
    expect(accepted).toMatchObject({
      direction: 'accepted', local_addr: own, remote_addr: own, local_port: 18778,
      remote_port: opened['local_port'], remote_qp_num: opened['qp_num'], report: 'first',
    })
    expect(opened['local_port']).toBeGreaterThan(0)
    expect(opened['remote_qp_num']).toBe(accepted['qp_num'])
    expect(ended).toMatchObject({ report: 'last', direction: 'outgoing', remote_port: 18778 })
  })

  it('datagrams name each peer once', async () => {
    const words = ['-d', 'vrxe0', '-g', gid, '-n', '4', '-s', '64', '-p', '18779']
    const [server, client] = await both(
      ['ibv_ud_pingpong', ...words], ['ibv_ud_pingpong', ...words, '127.0.0.1'])
    for (const program of [server, client]) {
      expect(await reportsOf(program)).toMatchObject([
        { report: 'first', qp_type: 4, remote_addr: own, transport: 'roce', device: 'vrxe0' },
      ])
    }
  })

  it('queue pairs of a process that is killed end, too', async () => {
    const words = ['-d', 'vrxe0', '-g', gid, '-n', '100000000', '-p', '18780']
    const server = cgroup.start('ibv_rc_pingpong', ...words)
    await watch.first('process_exec', { pid: server.pid, comm: 'ibv_rc_pingpong' })
    let client = cgroup.start('ibv_rc_pingpong', ...words, '127.0.0.1')
    // It ends at once as long as the server does not listen.
    while (watch.seen('rdma_connection', { pid: server.pid }).length === 0) {
      const ended = watch.seen('process_exit', { pid: client.pid }).length > 0
      if (ended) client = cgroup.start('ibv_rc_pingpong', ...words, '127.0.0.1')
      await watch.settle(cgroup)
    }
    for (const program of [server, client]) {
      const first = await watch.first('rdma_connection', { pid: program.pid, report: 'first' })
      program.kill('SIGKILL')
      await watch.first('rdma_connection', {
        report: 'last', connection_id: first['connection_id'], pid: program.pid,
      })
    }
  })

  it('queue pairs beside the scope are quiet', async () => {
    const words = ['-d', 'vrxe0', '-g', gid, '-n', '4', '-p', '18781']
    const server = cgroup.startOutside('ibv_rc_pingpong', ...words)
    let client: Program
    do client = cgroup.startOutside('ibv_rc_pingpong', ...words, '127.0.0.1')
    while ((await client.ended()).code !== 0)
    await server.ended()
    await watch.settle(cgroup)
    const pids = [server.pid, client.pid]
    expect(watch.seen('rdma_connection').filter(({ pid }) => pids.includes(pid as number)))
      .toEqual([])
  })
})

/** Number of the GID that stands for an IPv4 address, RoCE v2. */
function gidIndexOf(address: string): string {
  const hex = address.split('.').map((part) => Number(part).toString(16).padStart(2, '0')).join('')
  const wanted = `0000:0000:0000:0000:0000:ffff:${hex.slice(0, 4)}:${hex.slice(4)}`
  const folder = '/sys/class/infiniband/vrxe0/ports/1/gids'
  const found = execFileSync('grep', ['-lr', wanted, folder], { encoding: 'utf8' })
  return found.trim().split('/').at(-1)!
}

function netns(): number {
  return Number(/\d+/.exec(readlinkSync('/proc/self/ns/net'))![0])
}
