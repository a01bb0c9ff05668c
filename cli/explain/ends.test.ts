import { describe, expect, it } from 'vitest'
import { compilePolicy } from '../../policy/compile.ts'
import { parsePolicy } from '../../policy/parse.ts'
import { parseAddress } from '../../proto/address.ts'
import { parseEnd, parseTarget } from './ends.ts'

const policy = compilePolicy(parsePolicy(`version: 1
zones:
  - { name: serving, exposure: public, match: { namespaces: [serving] } }
`).policy!)
const end = (text: string) => parseEnd('--from', text, policy)
const target = (text: string) => parseTarget('--to', text, policy)

describe('an end', () => {
  it('is an address, a program, a zone or a name, by its looks', () => {
    expect(end('10.0.0.1')).toMatchObject({ address: parseAddress('10.0.0.1'), process: null })
    expect(end('fd00::1').address).toEqual(parseAddress('fd00::1'))
    expect(end('/usr/bin/curl')).toMatchObject({ process: { exe: '/usr/bin/curl' }, address: null })
    expect(end('serving').zone).toBe(policy.zones.indexOf('serving'))
    expect(end('Hub.Example').named.dns_names).toEqual(['hub.example'])
  })

  it('is described by facts, some of them several times', () => {
    const { process, address, named } = end('10.0.0.1,exe=/bin/x,label=a=1,label=b=2,service_account=ns/sa')
    expect(process).toMatchObject({ exe: '/bin/x', labels: ['a=1', 'b=2'], service_account: 'ns/sa', namespace: 'ns' })
    expect(named.labels).toEqual(['a=1', 'b=2'])
    expect(address).not.toBeNull()
  })

  it('that is nothing of these is refused with what was probably meant', () => {
    expect(() => end('servin')).toThrow('did you mean serving?')
    expect(() => end('zone=moon')).toThrow('there is no zone moon')
    expect(() => end('node=x')).toThrow('node says nothing of an end; known: address')
    expect(() => end('namespac=x')).toThrow('did you mean namespace?')
    expect(() => end('address=x')).toThrow('is no IP address')
    expect(() => end('')).toThrow('neither address')
  })
})

describe('a target', () => {
  it('has a port and, if it is not TCP, a protocol', () => {
    expect(target('10.0.0.1:443')).toMatchObject({ port: 443, protocol: 'tcp' })
    expect(target('[fd00::1]:53/udp'))
      .toMatchObject({ end: { address: parseAddress('fd00::1') }, port: 53, protocol: 'udp' })
    expect(target('namespace=serving,label=a=1:0/icmp')).toMatchObject({ port: 0, protocol: 'icmp' })
  })

  it('without a port, or with one too large, is refused with how to write it', () => {
    for (const text of ['10.0.0.1', 'fd00::1', 'serving', 'serving:70000', ':443', 'serving:1/']) {
      expect(() => target(text), text).toThrow('write ADDRESS:PORT')
    }
  })
})
