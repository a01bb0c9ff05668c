import { hostname } from 'node:os'
import { describe, expect, it } from 'vitest'
import { checkConfig, splitAddress } from './config.ts'
import { AgentError } from './errors.ts'

const given = { correlator: '10.0.0.1:7411', data: '/var/lib/vedette' }

function problemsOf(config: object): string {
  try {
    checkConfig({ ...given, ...config })
  } catch (error) {
    expect(error).toBeInstanceOf(AgentError)
    expect((error as AgentError).code).toBe('AGENT_CONFIG')
    return (error as AgentError).message
  }
  return ''
}

describe('checkConfig', () => {
  it('fills in defaults, also for settings that are there but undefined', () => {
    expect(checkConfig({ ...given, ring_bytes: undefined })).toEqual({
      ...given, node_id: hostname(), listen_http: '127.0.0.1:7413', spool_bytes_max: 268_435_456,
      ring_bytes: 16_777_216, sockets_max: 65_536, flows_max: 65_536, flush_interval_ms: 200,
      gpu_root: '/', gpu_library: 'libnvidia-ml.so.1', gpu_interval_ms: 60_000, gpu_evidence: false,
      artifact_bytes_per_second: 33_554_432, artifact_bytes_per_day: 549_755_813_888,
      heartbeat_interval_ms: 5000, events_per_batch_max: 8192, cgroup_quota_per_s: 20_000,
      connection_repeats_per_s: 10, node_group: '',
    })
  })

  it.each<[string, object, RegExp]>([
    ['a missing correlator', { correlator: undefined }, /correlator is missing/],
    ['an address without a port', { correlator: '10.0.0.1' }, /correlator "10.0.0.1" must be host:port/],
    ['a port out of range', { listen_http: '0.0.0.0:70000' }, /listen_http .* must be host:port/],
    ['an empty folder', { data: '' }, /data must be a text/],
    ['a name with blanks', { node_id: 'node one' }, /node_id "node one" must be/],
    ['a ring that is no power of two', { ring_bytes: 100_000 }, /ring_bytes is 100000; .* power of two/],
    ['a tiny spool', { spool_bytes_max: 1024 }, /spool_bytes_max is 1024; .* from 8388608 to/],
    ['a text for a number', { sockets_max: '5' }, /sockets_max is "5"; it must be a whole number/],
    ['half of TLS', { tls: { ca: '/a' } }, /tls.cert must be .*; tls.key must be/],
    ['a setting that is none', { flush_ms: 5 }, /flush_ms is no setting/],
  ])('names %s', (_, config, message) => {
    expect(problemsOf(config)).toMatch(message)
  })

  it('names every problem at once, and says what to do', () => {
    const message = problemsOf({ data: 5, flush_interval_ms: -1 })
    expect(message).toMatch(/data must be a text; flush_interval_ms is -1.*Correct the named/)
  })
})

describe('splitAddress', () => {
  it('takes names, IPv4 and IPv6 with brackets', () => {
    expect(splitAddress('node-1.example:7411')).toEqual({ host: 'node-1.example', port: 7411 })
    expect(splitAddress('[2001:db8::1]:0')).toEqual({ host: '2001:db8::1', port: 0 })
    for (const bad of ['', ':5', 'a:', 'a:b', '::1:5', 'a b:5', 'a:5:6', '[a b]:5']) {
      expect(splitAddress(bad)).toBeUndefined()
    }
  })
})
