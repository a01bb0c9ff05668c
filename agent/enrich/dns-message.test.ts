import { describe, expect, it } from 'vitest'
import { fuzzDns } from './dns-message.fuzz.ts'
import { readDnsAnswer } from './dns-message.ts'
import { addressesOf, messageOf, messageWith, nameOf, recordOf } from './sample-dns.ts'

const nothing = { addresses: [], ttl_s: 0, response_code: 0, cut: false }
const pointerToQuestion = Buffer.of(0xc0, 12)

describe('an answer of a name server', () => {
  it('gives the name and its addresses of both families, with the shortest time to live', () => {
    const message = messageWith(nameOf('Api.Example.COM'), [
      recordOf(pointerToQuestion, 1, 300, Buffer.of(192, 0, 2, 1)),
      recordOf(pointerToQuestion, 28, 60, Buffer.from('20010db8000000000000000000000001', 'hex')),
      recordOf(pointerToQuestion, 1, 900, Buffer.of(192, 0, 2, 1)),
    ])
    expect(readDnsAnswer(message)).toEqual({
      name: 'api.example.com', addresses: ['192.0.2.1', '2001:db8::1'], ttl_s: 60,
      response_code: 0, cut: false,
    })
  })

  it('follows aliases, in whatever order they come', () => {
    const answer = messageOf({ name: 'www.a.b', aliases: ['x.cdn', 'y.cdn'], addresses: ['10.0.0.1'] })
    expect(readDnsAnswer(answer)).toMatchObject({ name: 'www.a.b', addresses: ['10.0.0.1'] })
    const backwards = messageWith(nameOf('www.a.b'), [
      recordOf(nameOf('y.cdn'), 1, 5, Buffer.of(10, 0, 0, 2)),
      recordOf(nameOf('x.cdn'), 5, 5, nameOf('y.cdn')),
      recordOf(pointerToQuestion, 5, 5, nameOf('x.cdn')),
    ])
    expect(readDnsAnswer(backwards)).toMatchObject({ addresses: ['10.0.0.2'], cut: false })
  })

  it('does not believe addresses of names that nobody asked for', () => {
    const message = messageWith(nameOf('a.b'), [
      recordOf(nameOf('bank.example'), 1, 5, Buffer.of(10, 0, 0, 2)),
      recordOf(pointerToQuestion, 1, 5, Buffer.of(10, 0, 0, 3)),
    ])
    expect(readDnsAnswer(message)).toMatchObject({ name: 'a.b', addresses: ['10.0.0.3'] })
  })

  it('may say that there is no such name', () => {
    expect(readDnsAnswer(messageOf({ name: 'no.where', response_code: 3 })))
      .toEqual({ ...nothing, name: 'no.where', response_code: 3 })
  })

  it('may be about the root, or of another class or type', () => {
    expect(readDnsAnswer(messageOf({ name: '' }))).toEqual({ ...nothing, name: '' })
    const chaos = recordOf(pointerToQuestion, 1, 5, Buffer.of(1, 2, 3, 4))
    chaos.writeUInt16BE(3, 4)
    const text = recordOf(pointerToQuestion, 16, 5, Buffer.of(1, 65))
    expect(readDnsAnswer(messageWith(nameOf('a'), [chaos, text]))).toEqual({ ...nothing, name: 'a' })
  })

  it('is cut when it says so, when it ends early, and when it holds more than we keep', () => {
    expect(readDnsAnswer(messageOf({ name: 'a', truncated: true })).cut).toBe(true)
    const whole = messageOf({ name: 'a.b', addresses: ['10.0.0.1', '10.0.0.2'] })
    expect(readDnsAnswer(whole.subarray(0, whole.length - 1)))
      .toMatchObject({ name: 'a.b', addresses: ['10.0.0.1'], cut: true })
    const many = readDnsAnswer(messageOf({ name: 'a.b', addresses: addressesOf(1000) }))
    expect(many).toMatchObject({ addresses: addressesOf(64), cut: true })
    expect(readDnsAnswer(whole.subarray(0, 11))).toEqual({ ...nothing, name: '', cut: true })
  })

  it('whose names point at themselves or forwards ends', () => {
    const loop = messageWith(Buffer.of(0xc0, 12), [])
    expect(readDnsAnswer(loop)).toEqual({ ...nothing, name: '', cut: true })
    const owner = 12 + nameOf('a.b').length + 4
    const self = recordOf(Buffer.of(0xc0, owner), 1, 5, Buffer.of(1, 2, 3, 4))
    expect(readDnsAnswer(messageWith(nameOf('a.b'), [self])))
      .toMatchObject({ name: 'a.b', addresses: [], cut: true })
    const ring = messageWith(nameOf('a'), [
      recordOf(pointerToQuestion, 5, 5, nameOf('b')), recordOf(nameOf('b'), 5, 5, nameOf('a')),
    ])
    expect(readDnsAnswer(ring)).toEqual({ ...nothing, name: 'a' })
  })

  it('whose names hold other bytes shows them escaped, and a dot in a label is no border', () => {
    const name = nameOf('a\x1b[2Jb.c d.\xe4')
    const dotted = Buffer.concat([Buffer.of(3), Buffer.from('x.y'), Buffer.of(0)])
    expect(readDnsAnswer(messageWith(name, [])).name).toBe('a\\027\\0912jb.c\\032d.\\228')
    expect(readDnsAnswer(messageWith(dotted, [])).name).toBe('x\\046y')
  })

  it('whose name is longer than names may be is not believed', () => {
    const long = nameOf(Array.from({ length: 5 }, () => 'x'.repeat(63)).join('.'))
    expect(readDnsAnswer(messageWith(long, []))).toMatchObject({ name: '', cut: true })
    const longest = nameOf(['x'.repeat(63), 'x'.repeat(63), 'x'.repeat(63), 'x'.repeat(61)].join('.'))
    expect(readDnsAnswer(messageWith(longest, [])).name).toHaveLength(253)
  })

  it('with a time to live that means nothing has none', () => {
    const record = recordOf(pointerToQuestion, 1, 0x8000_0001, Buffer.of(10, 0, 0, 1))
    expect(readDnsAnswer(messageWith(nameOf('a'), [record]))).toMatchObject({ ttl_s: 0 })
  })

  it('that is damaged or noise is read without harm', () => {
    fuzzDns({ seed: 20_261_123, rounds: 4000 })
  })
})
