import { describe, expect, it } from 'vitest'
import type { Incident } from '../../detect/incident.ts'
import { alertBody, alertLabels, originOf } from './alert-body.ts'

const NOW = Date.parse('2026-11-23T12:00:00Z')
const links = { external_url: 'http://vedette', runbook_url: 'http://docs' }

const incident = (change: Partial<Incident> = {}): Incident => ({
  incident_id: 'abc123', title: 'Connection that no flow allows', severity: 'high', state: 'open',
  subject: 'pod:1', opened_at: '2026-11-23T11:59:58.123456789Z', updated_at: '2026-11-23T11:59:59Z',
  summary: 'curl reached storage', nodes: ['n1', 'n2'], workloads: [], zones: ['inference', 'storage'], stores: [],
  attack: ['T1021'], atlas: ['AML.T0012'],
  findings: [{
    detector: 'NET-001', title: 't', severity: 'high', time: '2026-11-23T11:59:58Z', last_time: '', count: 1,
    summary: 'it did', evidence: [], evidence_unlisted: 0, details: {}, totals: {},
  }],
  findings_unlisted: 0, next_steps: ['Ask.'], coverage: { complete: true, nodes: [] },
  hops: [{
    time: '', protocol: 'tcp', established: true,
    from: { zone: 'inference', address: '10.0.0.1' }, to: { zone: 'storage', address: '10.0.0.2' },
  }],
  ...change,
})

const bodyOf = (one: Incident, endsMs = NOW + 60_000) =>
  alertBody(one, alertLabels(one, originOf(one), 'c1'), links, NOW, endsMs)

describe('the alert of an incident', () => {
  it('is known by few labels, all of them ASCII', () => {
    expect(bodyOf(incident()).labels).toEqual({
      alertname: 'VedetteIncident', severity: 'critical', incident_id: 'abc123', cluster: 'c1', kind: 'incident',
      source: 'vedette', rule_id: 'NET-001', zone_from: 'inference', zone_to: 'storage',
    })
    const odd = incident({ incident_id: 'é\n"' })
    expect(Object.values(bodyOf(odd).labels).join('')).toMatch(/^[\x20-\x7e]*$/)
  })

  it('is from where the way of a chain begins to where it ends, connections beside it left out', () => {
    const [hop] = incident().hops
    const to = (zone: string) => ({ zone, address: '10.0.0.3' })
    const chain = incident({ hops: [
      { ...hop, from: to('external'), to: to('inference') },
      { ...hop, link: 'descendant', from: to('inference'), to: to('training') },
      { ...hop, link: 'same_process', from: to('training'), to: to('storage') },
      { ...hop, from: to('inference'), to: to('external') },
    ] })
    expect(originOf(chain)).toMatchObject({ zone_from: 'external', zone_to: 'storage' })
    expect(originOf(incident({ hops: [] }))).toMatchObject({ zone_from: '', zone_to: '' })
  })

  it('keeps its labels when more is found, unless it gets worse', () => {
    const first = incident()
    const more = incident({ hops: [...first.hops].reverse(), findings: [...first.findings, ...first.findings] })
    expect(alertLabels(more, originOf(first), 'c1')).toEqual(bodyOf(first).labels)
    const severities = ['low', 'medium', 'high', 'critical'] as const
    expect(severities.map((severity) => alertLabels(incident({ severity }), originOf(first), 'c')['severity']))
      .toEqual(['info', 'warning', 'critical', 'critical'])
  })

  it('leaves out what is not known', () => {
    const bare = bodyOf(incident({ hops: [], attack: [], atlas: [] }))
    expect(bare.labels).not.toHaveProperty('zone_from')
    expect(bare.annotations).not.toHaveProperty('attack')
  })

  it('says what happened, what to do and where to look', () => {
    const { annotations, generatorURL, startsAt, endsAt } = bodyOf(incident())
    expect(annotations).toMatchObject({
      summary: 'Connection that no flow allows', attack: 'T1021 AML.T0012', nodes: 'n1 n2',
      runbook_url: 'http://docs/NET-001.md', first_seen: '2026-11-23T11:59:58.123456789Z',
    })
    expect(annotations['description']).toBe(
      'curl reached storage\nnext: Ask.\n2026-11-23T11:59:58Z NET-001 it did')
    expect(generatorURL).toBe('http://vedette/incidents/abc123')
    expect([startsAt, endsAt]).toEqual(['2026-11-23T11:59:58.123456789Z', '2026-11-23T12:01:00.000Z'])
  })

  it('is cut to 4 KiB at a whole character', () => {
    for (let extra = 0; extra < 4; extra++) {
      const { description } = bodyOf(incident({ summary: 'a'.repeat(extra) + '😀'.repeat(3000) })).annotations
      expect(Buffer.byteLength(description)).toBeLessThanOrEqual(4096)
      expect(description).toMatch(/^a*(😀)+…$/u)
    }
  })

  it('never starts in the future and never ends before it starts', () => {
    const ahead = bodyOf(incident({ opened_at: '2027-01-01T00:00:00Z' }), NOW - 5000)
    expect(Date.parse(ahead.startsAt)).toBe(NOW)
    expect(Date.parse(ahead.endsAt)).toBeGreaterThan(NOW)
  })
})
