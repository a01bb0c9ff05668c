import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { addressesOf, messageOf } from '../../agent/enrich/sample-dns.ts'
import { compiled } from './compiled.ts'
import { joinDatagrams, startDatagrams } from './datagram-actor.ts'
import type { DatagramActor } from './datagram-actor.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import { everydayAnd } from './tables.ts'
import { Watch, whyNot } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: ${reason}\n`)

describe.skipIf(reason)(`the answers of name servers ${reason}`, () => {
  let cgroup: ScopeCgroup
  let watch: Watch
  let actor: string
  let server: DatagramActor
  let client: DatagramActor
  let port: number
  beforeAll(() => {
    cgroup = new ScopeCgroup()
    actor = compiled('datagram.c')
    watch = new Watch(cgroup, everydayAnd('dns_answer', 'datagram_flow', 'datagram_listen'))
  })
  beforeEach(async () => {
    client = await startDatagrams(cgroup, actor)
    server = await joinDatagrams(cgroup, actor, client, true)
    await client.ask('open udp4')
    port = await client.ask('bind 127.0.0.1 0')
    await server.ask('open udp4')
    await server.ask('bind 127.0.0.1 53')
  })
  afterEach(async () => {
    await client.ended()
    await server.ended()
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
  })

  async function answer(message: Buffer): Promise<void> {
    await server.ask(`payload ${message.toString('hex')}`)
    await server.ask(`send 127.0.0.1 ${port} ${message.length} 1`)
    expect(await client.ask('receive x 0 0 1')).toBe(message.length)
  }

  it('are told with name, addresses, server and the process that asked', async () => {
    await answer(messageOf({
      name: 'Models.Example', aliases: ['cdn.example'], addresses: ['192.0.2.1', '2001:db8::1'],
      ttl_s: 40,
    }))
    expect(await watch.first('dns_answer', { pid: client.pid })).toMatchObject({
      name: 'models.example', addresses: ['192.0.2.1', '2001:db8::1'], server_addr: '127.0.0.1',
      ttl_s: 40, response_code: 0, addresses_cut: false, comm: 'datagram',
    })
    await answer(messageOf({ name: 'no.where', response_code: 3 }))
    expect(await watch.first('dns_answer', { name: 'no.where' }))
      .toMatchObject({ response_code: 3, addresses: [] })
  })

  it('that are the same are told once, whatever their identification', async () => {
    const message = messageOf({ name: 'a.example', addresses: ['10.0.0.1'] })
    for (let id = 0; id < 5; id++) {
      message.writeUInt16BE(id, 0)
      await answer(message)
    }
    await answer(messageOf({ name: 'a.example', addresses: ['10.0.0.2'] }))
    await watch.atLeast(2, 'dns_answer', { name: 'a.example' })
    await watch.settle(cgroup)
    const told = watch.seen('dns_answer', { name: 'a.example' }).map((event) => event['addresses'])
    expect(told).toEqual([['10.0.0.1'], ['10.0.0.2']])
  })

  it('that are long are cut, and say so', async () => {
    const message = messageOf({ name: 'big.example', addresses: addressesOf(200) })
    await answer(message)
    const event = await watch.first('dns_answer', { name: 'big.example' })
    expect(event).toMatchObject({ addresses_cut: true, message_bytes: message.length })
    const listed = event['addresses'] as string[]
    expect(listed).toEqual(addressesOf(200).slice(0, listed.length))
    expect(listed.length).toBeGreaterThan(30)
  })

  it('are not questions, nor what is too short, nor what comes from another port', async () => {
    const question = messageOf({ name: 'q.example' })
    question[2] &= 0x7f
    await answer(question)
    await answer(messageOf({ name: 'short.example' }).subarray(0, 11))
    await server.ask('open udp4')
    await server.ask('bind 127.0.0.1 54')
    await answer(messageOf({ name: 'other.example' }))
    await watch.settle(cgroup)
    expect(watch.seen('dns_answer', { pid: client.pid })).toEqual([])
  })

  it('that are nonsense come as an event that says so', async () => {
    await answer(Buffer.from('000081800001000100000000c00c00010001', 'hex'))
    const event = await watch.first('dns_answer', { pid: client.pid })
    expect(event).toMatchObject({ addresses_cut: true, addresses: [] })
    expect(event).not.toHaveProperty('name')
  })
})
