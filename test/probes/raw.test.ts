import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { probeTable } from '../../agent/probes/table.ts'
import { compiled } from './compiled.ts'
import { impatientTable, joinDatagrams, startDatagrams } from './datagram-actor.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import { Watch, whyNot } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: ${reason}\n`)

describe.skipIf(reason)(`raw and packet sockets, and UDP ports ${reason}`, () => {
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
    ['icmp4', { family: 2, protocol_number: 1, socket_type: 3 }],
    ['headers', { family: 2, protocol_number: 255, socket_type: 3 }],
    ['raw6', { family: 10, protocol_number: 50, socket_type: 3 }],
    ['packet', { family: 17, protocol_number: 3, socket_type: 3 }],
  ])('one of kind %s is told, once, with its process', async (kind, expected) => {
    const program = await startDatagrams(cgroup, actor)
    await program.ask(`open ${kind}`)
    const made = await watch.first('raw_socket', { pid: program.pid })
    expect(made).toMatchObject({ ...expected, comm: 'datagram' })
    expect(made['connection_id']).not.toBe('0')
    await program.ask('close')
    // Ordinary sockets are no news; the walks that look for the others go on meanwhile.
    await program.ask('open udp4')
    await program.ask('open ping6').catch(() => 0)
    await program.ended()
    await watch.settle(cgroup)
    expect(watch.seen('raw_socket', { pid: program.pid })).toHaveLength(1)
  })

  it('of a process outside of the scope are not ours', async () => {
    const outside = await startDatagrams(cgroup, actor, '', true)
    await outside.ask('open icmp4')
    await outside.ask('open packet')
    const inside = await startDatagrams(cgroup, actor)
    await inside.ask('open packet')
    await watch.first('raw_socket', { pid: inside.pid })
    expect(watch.seen('raw_socket', { pid: outside.pid })).toEqual([])
    await outside.ended()
    await inside.ended()
  })

  it('that are older than the agent are told at its start, and UDP ports with their process',
    async () => {
      const programs = await Promise.all(['icmp4', 'packet', 'udp4', 'udp6', 'udp4'].map(async (kind) => {
        const program = await startDatagrams(cgroup, actor)
        await program.ask(`open ${kind}`)
        return program
      }))
      const [raw, packet, udp, udp6, connected] = programs
      await udp.ask('bind 127.0.0.1 5060')
      await udp6.ask('bind :: 5061')
      await connected.ask('bind 127.0.0.1 5062')
      await connected.ask('connect 127.0.0.1 5063')
      const later = new Watch(cgroup, impatientTable)
      try {
        await later.first('raw_socket', { pid: raw.pid, at_start: true, family: 2 })
        await later.first('raw_socket', { pid: packet.pid, at_start: true, family: 17 })
        await later.first('listen', {
          pid: udp.pid, at_start: true, protocol: 'udp', local_addr: '127.0.0.1', local_port: 5060,
        })
        await later.first('listen', { pid: udp6.pid, at_start: true, local_port: 5061 })
        // What comes in on such a socket names the process that was there before us.
        const client = await joinDatagrams(cgroup, actor, udp)
        await client.ask('open udp4')
        await client.ask('send 127.0.0.1 5060 10 1')
        await later.first('datagram_flow', {
          pid: udp.pid, direction: 'accepted', process_source: 'listener',
        })
        expect(later.seen('listen', { pid: connected.pid })).toEqual([])
        await client.ended()
      } finally {
        later.close()
      }
      for (const program of programs) await program.ended()
    })

  it.each([
    ['udp4', '0.0.0.0', '::'], ['udp4', '127.0.0.1', '127.0.0.1'], ['udp6', '::1', '::1'],
  ])('a UDP port that %s asks for on %s is told', async (kind, host, shown) => {
    const program = await startDatagrams(cgroup, actor)
    await program.ask(`open ${kind}`)
    await program.ask(`bind ${host} 5070`)
    const listen = await watch.first('listen', { pid: program.pid })
    expect(listen).toMatchObject({
      protocol: 'udp', local_addr: shown, local_port: 5070, at_start: false, comm: 'datagram',
    })
    await program.ended()
  })

  it('a UDP port that the kernel chose, or that is taken, is not', async () => {
    const program = await startDatagrams(cgroup, actor)
    const other = await joinDatagrams(cgroup, actor, program)
    await program.ask('open udp4')
    await program.ask('bind 127.0.0.1 5071')
    await other.ask('open udp4')
    await expect(other.ask('bind 127.0.0.1 5071')).rejects.toThrow('error 98')
    await other.ask('bind 127.0.0.1 0')
    await other.ask('send 127.0.0.1 5071 1 1')
    await watch.first('datagram_flow', { pid: other.pid })
    expect(watch.seen('listen', { pid: program.pid })).toHaveLength(1)
    expect(watch.seen('listen', { pid: other.pid })).toEqual([])
    await program.ended()
    await other.ended()
  })

  it('where no hook sees a packet socket being made, that is said', () => {
    const state = watch.states.find(({ probe }) => probe === 'packet_socket')
    if (state?.attach_type === 'iterator') {
      expect(state).toMatchObject({ state: 'degraded', lost: expect.stringContaining('10 s') })
    } else {
      expect(state).toMatchObject({ state: 'attached', attach_type: 'fentry' })
    }
    const table = probeTable.filter(({ name }) => name === 'packet_socket')
    expect(table[0].ways.map(({ attach_type }) => attach_type)).toEqual(['fentry', 'iterator'])
  })
})
