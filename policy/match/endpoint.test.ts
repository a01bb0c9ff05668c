import { describe, expect, it } from 'vitest'
import { parseAddress } from '../../proto/address.ts'
import { endpointOf, parseEndpoint } from './endpoint.ts'

describe('an endpoint', () => {
  it('is an address or a range, with a port or without', () => {
    const v4 = parseAddress('10.50.0.7')
    expect(endpointOf('10.50.0.7:5432')).toEqual(
      { port: 5432, cidr: { bytes: v4, bits: 128 }, name: null, workload: null })
    expect(endpointOf('10.50.0.0/28')).toMatchObject({ port: 0, cidr: { bits: 124 } })
    const v6 = parseAddress('fd00:50::7')
    for (const text of ['[fd00:50::7]:9000', '[fd00:50::7/128]:9000']) {
      expect(endpointOf(text)).toMatchObject({ port: 9000, cidr: { bytes: v6, bits: 128 } })
    }
    expect(endpointOf('fd00:50::7')).toMatchObject({ port: 0, cidr: { bytes: v6 } })
  })

  it('is a name, in small letters, or what Kubernetes has there', () => {
    const name = endpointOf('*.S3.example.com:443')
    expect([name.port, name.name?.matches('data.s3.example.com')]).toEqual([443, true])
    const service = endpointOf('service:storage/minio-*:9000')
    expect([service.port, service.workload?.matches('service:storage/minio-hl')]).toEqual([9000, true])
    expect(endpointOf('pod:db/pg-0')).toMatchObject({ port: 0, workload: { text: 'pod:db/pg-0' } })
  })

  it('that is none of these is refused with what to write', () => {
    const fault = (text: string) => {
      const endpoint = parseEndpoint(text)
      return 'message' in endpoint ? `${endpoint.message}; ${endpoint.fix}` : 'good'
    }
    expect(fault('https://s3.example.com')).toMatch(/is no endpoint, but a URL; write 10\.50/)
    expect(fault('10.50.0.7:70000')).toMatch(/a port that is none; write 1 to 65535/)
    expect(fault('10.50.0.7:0')).toMatch(/a port that is none/)
    expect(fault('10.50.0.300:80')).toMatch(/not an IPv4 or IPv6 address/)
    expect(fault('10.50.0.7/24:80')).toMatch(/sets bits of the address/)
    expect(fault('fd00::1::2')).toMatch(/not an IPv4 or IPv6 address/)
    expect(fault('fd00::1:zz')).toMatch(/is no endpoint; write/)
    expect(fault('*:5432')).toMatch(/every name there is/)
    for (const text of ['', ':80', 'a b', 'service:', 'job:a', 'a..b']) expect(fault(text), text).not.toBe('good')
    expect(() => endpointOf('a b')).toThrow(TypeError)
  })
})
