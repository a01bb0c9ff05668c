import { describe, expect, it } from 'vitest'
import { parseAddress } from '../../proto/address.ts'
import { parsePolicy } from '../parse.ts'
import { cidrHolds, cidrOf } from './cidr.ts'
import { StorePlaces } from './store-places.ts'

/** Stores s0, s1 and so on with these endpoints. */
const places = (endpointsOf: readonly string[][]): StorePlaces => {
  const stores = endpointsOf.map((endpoints, i) =>
    `  - { name: s${i}, kind: objects, sensitivity: internal, endpoints: ${JSON.stringify(endpoints)} }\n`)
  return new StorePlaces(parsePolicy(`version: 1\nstores:\n${stores.join('')}`).policy!.stores)
}

/** The same numbers every time, 0 to below `below`. */
function numbers(): (below: number) => number {
  let state = 7
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor(state / 2 ** 32 * below)
  }
}

describe('places of stores', () => {
  it('of addresses are those that a look at each of them would find', () => {
    const next = numbers()
    const ranges = [...new Set(Array.from({ length: 200 }, () => {
      const port = ['', ':1', ':2'][next(3)]
      const [a, b] = [next(3), next(3)]
      if (next(4) === 0) return port === '' ? `fd00:${a}::/${32 + 16 * next(2)}` : `[fd00:${a}::${b}]${port}`
      const range = [`10.${a}.0.0/16`, `10.${a}.${b}.0/24`, `10.${a}.${b}.${next(3)}`, '10.0.0.0/8',
        '0.0.0.0/0', '::/0'][next(6)]
      return range.includes(':') ? range : range + port
    }))]
    const found = places(ranges.map((range) => [range]))
    const all = ranges.map((range, i) => {
      const [, bracketed, plain, port] = /^(?:\[(.*)\]|((?:.*:.*:[^/]*|[^:]*)(?:\/\d+)?))(?::(\d+))?$/.exec(range)!
      return { store: `s${i}`, cidr: cidrOf(bracketed ?? plain), port: Number(port ?? 0) }
    }).sort((a, b) => b.cidr.bits - a.cidr.bits || Math.sign(b.port) - Math.sign(a.port))
    let none = 0
    for (let i = 0; i < 3000; i++) {
      const port = 1 + next(3)
      const address = parseAddress(next(4) === 0 ? `fd0${next(2)}:${next(4)}::${next(4)}`
        : `${9 + next(2)}.${next(4)}.${next(4)}.${next(4)}`)
      const fits = (one: typeof all[number]): boolean => one.port === 0 || one.port === port
      const store = all.find((one) => fits(one) && cidrHolds(one.cidr, address, 0))?.store ?? null
      if (store === null) none++
      expect(found.find(address, 0, port, {})).toBe(store)
    }
    expect(none).toBeLessThan(3000)
  })

  it('of names are the same when there are more names than are kept', () => {
    const found = places([['*.example.com:443'], ['b.example.com']])
    const address = parseAddress('203.0.113.9')
    for (let i = 0; i < 5000; i++) {
      expect(found.find(address, 0, 443, { dns_names: [`a${i}.example.com`] })).toBe('s0')
    }
    const dns_names = ['a.example.org', 'b.example.com']
    expect([443, 80].map((port) => found.find(address, 0, port, { dns_names }))).toEqual(['s1', 's1'])
    expect(found.find(address, 0, 80, { dns_names: ['a.example.com'] })).toBeNull()
    // The most specific of all names, whatever their order.
    expect(found.find(address, 0, 443, { dns_names: ['a.example.com', 'b.example.com'] })).toBe('s1')
  })

  it('need to know names only when one is written', () => {
    expect([['10.0.0.1'], ['x.example.com'], ['service:a/b']].map((one) => places([one]).hasNames))
      .toEqual([false, true, true])
  })
})
