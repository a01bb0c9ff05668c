import { describe, expect, it } from 'vitest'
import { parseAddress } from '../proto/address.ts'
import { programOf } from './actor.ts'
import { domainOf } from './dns-names.ts'
import { isMulticast, isPublic } from './far-end.ts'
import { familyOf, networkKey } from './peer-key.ts'

const of = <T>(ask: (bytes: Uint8Array, at: number) => T, address: string): T => {
  // Not at the start, as in a column.
  const column = new Uint8Array(48)
  column.set(parseAddress(address), 16)
  return ask(column, 16)
}

describe('the far end', () => {
  it.each(['8.8.8.8', '203.0.113.9', '172.32.0.1', '100.128.0.1', '2001:db8::1', '2606:4700::1'])(
    '%s is on the Internet', (address) => expect(of(isPublic, address)).toBe(true))

  it.each(['10.1.2.3', '172.16.0.1', '172.31.255.1', '192.168.0.1', '169.254.169.254', '100.64.0.1',
    '127.0.0.1', '0.0.0.0', '224.0.0.1', '255.255.255.255', '::1', 'fd00::1', 'fe80::1', 'ff02::1'])(
    '%s is not', (address) => expect(of(isPublic, address)).toBe(false))

  it('knows who is nobody in particular', () => {
    for (const address of ['224.0.0.251', '239.1.1.1', '255.255.255.255', 'ff02::fb']) {
      expect(of(isMulticast, address), address).toBe(true)
    }
    for (const address of ['223.255.255.255', '240.0.0.1', '255.255.255.254', 'fe80::1']) {
      expect(of(isMulticast, address), address).toBe(false)
    }
  })

  it('takes a /24, a /64 and all of the Internet for one peer, and nothing else', () => {
    const key = (address: string) => of(networkKey, address)
    expect(key('10.1.2.3')).toBe(key('10.1.2.254'))
    expect(key('10.1.2.3')).not.toBe(key('10.1.3.3'))
    expect(key('fd00:1:2:3::1')).toBe(key('fd00:1:2:3:ffff::9'))
    expect(key('fd00:1:2:3::1')).not.toBe(key('fd00:1:2:4::1'))
    expect(key('8.8.8.8')).toBe(key('2606:4700::1'))
    for (const address of ['255.255.255.255', 'fd00:1:2:3::1']) expect(key(address)).toBeLessThan(2 ** 29)
  })

  it('takes the replicas of a workload for one', () => {
    expect(familyOf('pod:team-a/llm-7d9f8b6c5-x2x4z')).toBe('pod:team-a/llm')
    expect(familyOf('pod:team-a/llm-x2x4z')).toBe('pod:team-a/llm')
    expect(familyOf('pod:team-a/etcd-0')).toBe(familyOf('pod:team-a/etcd-11'))
    expect(familyOf('node:gpu-07')).toBe(familyOf('node:gpu-112'))
    expect(familyOf('service:team-a/model-server')).toBe('service:team-a/model-server')
  })

  it('names a program without folder and version', () => {
    expect(['/opt/conda/bin/python3.11', 'python', '/bin/bash', '/usr/bin/nc.openbsd'].map(programOf))
      .toEqual(['python', 'python', 'bash', 'nc.openbsd'])
  })
})

describe('the domain of a name', () => {
  it.each([
    ['a.evil.example', 'evil.example'], ['x.y.z.evil.example', 'evil.example'],
    ['a.b.co.uk', 'b.co.uk'], ['x.evil.de', 'evil.de'], ['a.verylong.de', 'verylong.de'],
  ])('%s is under %s', (name, domain) => expect(domainOf(name)).toBe(domain))

  it.each(['evil.example', 'localhost', '', '4.3.2.1.in-addr.arpa', 'db.team-a.svc.cluster.local',
    'api.example.com.team-a.svc.corp.example', 'ldap.corp', 'evil.co.uk'])(
    '%s is under none that someone else registered', (name) => expect(domainOf(name)).toBeNull())
})
