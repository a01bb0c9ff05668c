import { describe, expect, it } from 'vitest'
import type { Incident } from '../../detect/incident.ts'
import { incidentTable } from './incident-line.ts'
import { incidentStory } from './story.ts'

const process = {
  node_id: 'gpu-1', pid: 4711, process_id: '4711:99', uid: 1000, comm: 'nc', exe: '/usr/bin/nc',
  args: ['nc', '-z', 'a b'], cgroup_path: '/user.slice', workload: 'user.slice', zone: 'inference',
  ancestry: [
    { pid: 12, process_id: '12:1', uid: 0, exe: '/usr/bin/bash', args: ['bash', '-c', 'x'] },
    { pid: 13, process_id: '13:1', uid: 0, exe: '/tmp/evil', args: ['/usr/sbin/sshd'] },
  ],
}
const incident: Incident = {
  incident_id: '3f2a7c91d0e4', title: 'Connection between zones', severity: 'critical',
  state: 'open', subject: 'process 4711:99 on gpu-1', opened_at: '2030-01-31T12:00:00.123456789Z',
  updated_at: '2030-01-31T12:00:01.000000000Z', summary: 'nc connected to storage.',
  nodes: ['gpu-1'], workloads: ['user.slice'], zones: ['inference', 'storage'], stores: ['imagenet'],
  attack: ['T1210'], atlas: [],
  findings: [{
    detector: 'NET-001', title: 'Connection between zones', severity: 'critical',
    time: '2030-01-31T12:00:00.123456789Z', last_time: '2030-01-31T12:05:00.000000000Z', count: 1200,
    summary: 'nc connected to storage.', evidence: [{ node_id: 'gpu-1', boot_id: 'b', seq: 5 }],
    evidence_unlisted: 3, totals: { bytes_sent: 1_500_000 },
    details: {
      process, accepting_process: null, established: true, server: '10.50.0.1:9000',
      missing_rule: '  - from: inference\n    to: storage\n',
    },
  }],
  findings_unlisted: 0,
  hops: [{
    time: '2030-01-31T12:00:00.123456789Z', protocol: 'tcp', established: false,
    from: { zone: 'inference', address: '10.30.0.1', port: 4242, pid: 4711, exe: '/usr/bin/nc', uid: 0 },
    to: { zone: 'storage', address: '2001:db8::1', port: 9000 },
  }],
  next_steps: ['Look at pid 4711.', 'Add to the policy:\n  - from: inference\n'],
  coverage: { complete: false, nodes: [{
    node_id: 'gpu-1', complete: false, holes: [], silences: [], unlisted: 0, probes_degraded: [],
    unwatched: [{ from: '2030-01-31T11:58:00.000Z', to: '2030-01-31T11:58:02.000Z', reason: 'it was killed' }],
    gaps: [{ from: '2030-01-31T11:59:00.000Z', to: '2030-01-31T11:59:01.000Z', count: 70_000,
      event_kind: 'connection_open', stage: 'ring', reason: 'the ring was full' }],
  }] },
}
const story = incidentStory(incident, 100).join('\n')

describe('the story of an incident', () => {
  it('says when nobody watched', () => {
    expect(story).toMatch(/gpu-1: nobody watched from .*\(it was killed\)/)
  })

  it('names who, what, where, how much, and what could not be seen', () => {
    for (const part of [
      'CRITICAL', '/usr/bin/nc (pid 4711, uid 1000, on gpu-1)', "nc -z 'a b'", '/user.slice',
      '10.50.0.1:9000', '1.4 MiB', '1,200 times', 'events gpu-1/5 and 3 more',
      'inference 10.30.0.1:4242', 'storage [2001:db8::1]:9000 (tcp, never established)',
      '70,000 connection_open lost at ring', 'the ring was full', 'T1210', 'Stores imagenet', '2. Add to the policy:',
    ]) expect(story.replaceAll(/\s+/g, ' ')).toContain(part)
  })

  it('tells of a chain how each hop follows from the one before, what was run, and how much passed', () => {
    const [hop] = incident.hops
    const chain: Incident = { ...incident, close_reason: 'joined', joined_into: '77aa', hops: [hop, {
      ...hop, established: true, link: 'descendant', link_of: 4, bytes_sent: 91, bytes_received: 3_000_128,
      via: [
        { pid: 7, process_id: '7:1', exe: '/bin/sh', uid: 990, args: ['sh', '-c', 'a b'] },
        { pid: 8, process_id: '8:1', exe: '/tmp/\x1b', uid: 0, args: ['/usr/sbin/sshd'] },
      ],
    }] }
    const told = incidentStory(chain, 100).join('\n').replaceAll(/\s+/g, ' ')
    for (const part of [
      'by a descendant of the process that was reached, the likeliest of 4 that it could be',
      "ran sh -c 'a b' (pid 7, uid 990)", 'as /usr/sbin/sshd (pid 8, uid 0)', 'tcp, 91 B there, 2.9 MiB back',
      'Goes on in 77aa',
    ]) expect(told).toContain(part)
    expect(told).not.toMatch(/\x1b/)
  })

  it('shows the executable of an ancestor that claims to be another one', () => {
    expect(story).toContain('pid 12, uid 0 (root): bash -c x')
    expect(story).toContain('pid 13, uid 0 (root): /tmp/evil as /usr/sbin/sshd')
  })

  it('keeps a rule as it can be copied', () => {
    const lines = story.split('\n')
    const first = lines.findIndex((line) => line.includes('missing rule'))
    expect(lines[first].slice(-19)).toBe('  - from: inference')
    expect(lines[first + 1].indexOf('to:')).toBe(lines[first].indexOf('from:'))
  })

  it('lets no text of a workload reach the terminal as a command', () => {
    const hostile = structuredClone(incident)
    const name = '\x1b]0;x\x07\n\u202e'
    hostile.summary = hostile.title = hostile.subject = name
    hostile.findings[0].details['process'] = { ...process, exe: name, comm: name, args: [name] }
    hostile.next_steps = [name]
    hostile.nodes = hostile.zones = [name]
    hostile.hops[0].from.exe = name
    const text = [...incidentStory(hostile, 100), ...incidentTable([hostile], 100)].join('')
    expect(text).not.toMatch(/[\p{Cc}\p{Cf}]/u)
  })

  it('says so when nothing is known to be missing', () => {
    const whole = { ...incident, coverage: { complete: true, nodes: [] } }
    expect(incidentStory(whole, 100).join('\n')).toContain('Nothing is known to be missing.')
  })

  it('fits the screen', () => {
    for (const width of [80, 100]) {
      const wide = incidentStory(incident, width).filter((line) => [...line].length > width)
      expect(wide).toEqual([])
    }
  })
})
