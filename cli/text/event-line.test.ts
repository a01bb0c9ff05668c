import { describe, expect, it } from 'vitest'
import type { EventJson } from '../../proto/event-json.ts'
import { kindInfos } from '../../proto/gen/events.ts'
import { eventLine, localTime } from './event-line.ts'

const base: EventJson = {
  time: '2030-01-31T12:00:00.123456789Z', node_id: 'gpu-1', boot_id: '0'.repeat(32), seq: 7,
  pid: 42, comm: 'nc', exe: '/usr/bin/nc',
}

describe('an event on one line', () => {
  it('says who, what and where', () => {
    const line = eventLine({
      ...base, kind: 'connection_open', direction: 'outgoing', local_addr: '10.0.0.1',
      local_port: 4242, remote_addr: '2001:db8::1', remote_port: 80, zone: 'training',
      remote_zone: 'storage',
    })
    expect(line).toMatch(/^\d\d:\d\d:\d\d\.123  gpu-1 +connection_open +nc\[42\] /)
    expect(line).toContain('10.0.0.1:4242 → [2001:db8::1]:80 (training → storage)')
  })

  it('names the far end where it is known', () => {
    expect(eventLine({ ...base, kind: 'connection_open', local_addr: '10.0.0.1', local_port: 1,
      remote_addr: '10.0.0.2', remote_port: 80, remote_workload: 'pod:data/store-0' }))
      .toContain('10.0.0.1:1 → 10.0.0.2:80 pod:data/store-0')
  })

  it('shows an accepted connection the other way round', () => {
    const line = eventLine({ ...base, kind: 'connection_close', direction: 'accepted',
      local_addr: '10.0.0.1', local_port: 80, remote_addr: '10.0.0.2', remote_port: 4242,
      bytes_sent: 2048, bytes_received: 3, duration_ns: 1_500_000_000, error: 104 })
    expect(line).toContain('10.0.0.1:80 ← 10.0.0.2:4242 sent 2.0 KiB, received 3 B in 1.5 s reset')
  })

  it('shows a program by its executable, and says when it claims to be another one', () => {
    const exec = { ...base, kind: 'process_exec' }
    expect(eventLine({ ...exec, args: ['nc', '-l', 'a b'] })).toMatch(/] \/usr\/bin\/nc -l 'a b'$/)
    expect(eventLine({ ...exec, args: ['sshd', '-D'] })).toMatch(/] \/usr\/bin\/nc as sshd -D$/)
    expect(eventLine(exec)).toMatch(/] \/usr\/bin\/nc$/)
  })

  it('tells of flows, floods, names and passed sockets in words', () => {
    const ends = { local_addr: '10.0.0.1', local_port: 4000, remote_addr: '10.0.0.2', remote_port: 53 }
    const facts = (event: object) => eventLine({ ...base, ...event }).replace(/^.*nc\[42\] /, '')
    expect(facts({ kind: 'datagram_flow', protocol: 'udp', report: 'first', direction: 'outgoing', ...ends,
      bytes_sent: 64 })).toBe('udp 10.0.0.1:4000 → 10.0.0.2:53 sent 64 B, received 0 B')
    expect(facts({ kind: 'cgroup_flood', lost_connection_open: 1000, lost_other: 234, quota_per_s: 20_000,
      duration_ns: 1e9 })).toBe('1,234 records over the quota of 20,000/s in 1.0 s')
    expect(facts({ kind: 'dns_answer', name: 'example.org', addresses: ['192.0.2.1', '192.0.2.2'] }))
      .toBe('example.org is 192.0.2.1, 192.0.2.2')
    expect(facts({ kind: 'socket_received', direction: 'outgoing', ...ends, owner_pid: 7, mechanism: 'scm_rights' }))
      .toBe('10.0.0.1:4000 → 10.0.0.2:53 of process 7 by scm_rights')
    expect(facts({ kind: 'process_stdio', ...ends, descriptors: 3 }))
      .toBe('10.0.0.1:4000 → 10.0.0.2:53 is its input, output')
  })

  it('lets no name or argument reach the terminal as a command', () => {
    const line = eventLine({ ...base, comm: '\x1b[31m', node_id: 'a\nb', kind: 'process_exec',
      exe: '/tmp/\x07x', args: ['sh', '-c', 'echo \x1b]0;owned\x07'] })
    expect(line).not.toMatch(/[\x00-\x1f\x7f]/)
    expect(line).toContain(String.raw`\u{1b}]0;owned\u{7}`)
  })

  it('is made of every kind, also when all fields are missing', () => {
    for (const { kind } of kindInfos) {
      expect(eventLine({ kind }), kind).toContain(kind)
      expect(eventLine({ ...base, kind }), kind).not.toContain('undefined')
      expect(eventLine({ ...base, kind }), kind).not.toContain('NaN')
    }
  })

  it('says that it does not know a time rather than a wrong one', () => {
    expect(localTime('soon')).toBe('??:??:??.???')
  })
})
