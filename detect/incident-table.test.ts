import { describe, expect, it } from 'vitest'
import { detectors } from '../detectors/index.ts'
import { CoverageTable } from './coverage.ts'
import type { Severity } from './finding.ts'
import { IncidentTable } from './incident-table.ts'
import type { CompleteFinding, IncidentOptions } from './incident-table.ts'
import { canonicalJson } from './incident.ts'

const detector = detectors[0]
const otherDetector = detectors.find(({ id }) => id === 'NET-003')!
let seq = 0

function finding(subject: string, key = 'k', severity: Severity = 'medium', s = 1): CompleteFinding {
  return {
    key, subject, severity, wallNs: 1_900_000_000_000_000_000n + BigInt(s) * 1_000_000_000n,
    evidence: [{ node_id: 'n1', boot_id: 'b', seq: ++seq }], zones: ['a'], workloads: ['w'],
    stores: [`store of ${subject}`],
    nodes: ['n1'], totals: { bytes_sent: 5 },
    joins: [], tell: () => ({ summary: `${subject} ${key}.`, details: {}, next_steps: ['Look.'] }),
  }
}

function table(options: IncidentOptions = {}): IncidentTable {
  return new IncidentTable(new CoverageTable(() => {}), options)
}

describe('incidents', () => {
  it('join findings about the same subject, of any detector', () => {
    const incidents = table()
    const id = incidents.add(detector, finding('x', 'k1', 'medium'), 0)
    expect(incidents.add(otherDetector, finding('x', 'k2', 'high', 2), 0)).toBe(id)
    expect(incidents.add(detector, finding('y'), 0)).not.toBe(id)
    const [incident] = incidents.all()
    expect(incident.findings.map((one) => one.detector)).toEqual([detector.id, otherDetector.id])
    expect([incident.severity, incident.title]).toEqual(['high', otherDetector.title])
    expect(incident.summary).toBe('x k2. 1 further finding about the same subject.')
    expect(incident.attack).toEqual([...detector.attack, ...otherDetector.attack])
    expect(incident.next_steps).toEqual(['Look.'])
    expect(incident.stores).toEqual(['store of x'])
  })

  it('count the same finding instead of repeating it', () => {
    const incidents = table()
    for (let s = 1; s <= 20; s++) incidents.add(detector, finding('x', 'k', 'low', s), 0)
    const [{ findings: [one] }] = incidents.all()
    expect([one.count, one.totals, one.evidence.length, one.evidence_unlisted])
      .toEqual([20, { bytes_sent: 100 }, 10, 10])
    expect([one.time, one.last_time])
      .toEqual(['2030-03-17T17:46:41.000000000Z', '2030-03-17T17:47:00.000000000Z'])
  })

  it('tell the story in the order in which it happened', () => {
    const incidents = table()
    for (const s of [3, 1, 2]) incidents.add(detector, finding('x', `k${s}`, 'low', s), 0)
    expect(incidents.all()[0].findings.map(({ summary }) => summary)).toEqual(['x k1.', 'x k2.', 'x k3.'])
  })

  it('keep so many findings and count the others; none of one detector crowd out another', () => {
    const incidents = table({ findingsMax: 5 })
    for (let i = 0; i < 30; i++) incidents.add(detector, finding('x', `k${i}`), 0)
    expect(incidents.all()[0].findings).toHaveLength(3)
    for (let i = 0; i < 30; i++) incidents.add({ ...detector, id: 'T-002' }, finding('x', `k${i}`), 0)
    const [incident] = incidents.all()
    expect(incident.findings.map(({ detector: id }) => id === 'T-002').filter(Boolean)).toHaveLength(2)
    expect([incident.findings.length, incident.findings_unlisted]).toEqual([5, 55])
    expect(incidents.findingsUnlisted).toBe(55)
    expect(incident.summary).toContain('59 further findings')
  })

  it('close when they are quiet, and not before; the next finding opens another', () => {
    const incidents = table({ quietMs: 1000 })
    const id = incidents.add(detector, finding('x'), 0)
    incidents.advance(999)
    expect(incidents.openCount).toBe(1)
    incidents.advance(1000)
    expect(incidents.openCount).toBe(0)
    expect(incidents.add(detector, finding('x'), 2000)).not.toBe(id)
    expect(incidents.all().map(({ state }) => state)).toEqual(['closed', 'open'])
    expect(incidents.all()[0].close_reason).toBe('quiet')
  })

  it('are closed as aged out when too many are open: the one without news for longest', () => {
    const incidents = table({ openMax: 2, closedMax: 3 })
    for (const [at, subject] of ['a', 'b', 'a', 'c'].entries()) {
      incidents.add(detector, finding(subject), at)
    }
    expect(incidents.agedOut).toBe(1)
    const closed = incidents.all().filter(({ state }) => state === 'closed')
    expect(closed.map(({ subject, close_reason: why }) => [subject, why])).toEqual([['b', 'aged_out']])
    for (let i = 0; i < 20; i++) incidents.add(detector, finding(`s${i}`), i)
    expect(incidents.all()).toHaveLength(5)
  })

  it('are told once per batch: opened, updated, closed', () => {
    const incidents = table({ quietMs: 1000 })
    incidents.add(detector, finding('x', 'k1'), 0)
    incidents.add(detector, finding('x', 'k2'), 0)
    expect(incidents.takeUpdates(7, 0).map(({ position, change }) => [position, change]))
      .toEqual([[7, 'opened']])
    expect(incidents.takeUpdates(8, 0)).toEqual([])
    incidents.add(detector, finding('x', 'k3'), 1)
    incidents.advance(1001)
    const changes = incidents.takeUpdates(9, 1001)
    expect(changes.map(({ change, incident }) => [change, incident.state]))
      .toEqual([['updated', 'open'], ['closed', 'closed']])
  })

  it('tell amounts alone only now and then', () => {
    const incidents = table()
    let told = 0
    for (let at = 0; at < 100_000; at += 100) {
      incidents.add(detector, finding('x'), at)
      told += incidents.takeUpdates(at, at).length
    }
    expect(told).toBe(10)
    expect(incidents.all()[0].findings[0].count).toBe(1000)
  })

  it('take amendments while open and after, and count those that come too late', () => {
    const incidents = table({ quietMs: 10, closedMax: 1 })
    const id = incidents.add(detector, finding('x'), 0)
    incidents.amend(id, detector.id, 'k', { totals: { bytes_sent: 37 }, nodes: ['n2'] }, 0)
    incidents.advance(100)
    incidents.amend(id, detector.id, 'k', { totals: { bytes_sent: 100 } }, 0)
    const [incident] = incidents.all()
    expect([incident.findings[0].totals, incident.nodes])
      .toEqual([{ bytes_sent: 142 }, ['n1', 'n2']])
    incidents.add(detector, finding('y'), 200)
    incidents.advance(300)
    incidents.amend(id, detector.id, 'k', { totals: { bytes_sent: 1 } }, 0)
    expect(incidents.amendmentsLost).toBe(1)
  })

  it('have a name that their content gives, the same on every machine', () => {
    const one = { ...finding('x'), evidence: [{ node_id: 'n1', boot_id: 'b', seq: 7 }] }
    const [a, b] = [table(), table()]
    expect(a.add(detector, one, 5)).toBe(b.add(otherDetector, one, 99))
    expect(a.all()[0].incident_id).toMatch(/^[0-9a-f]{12}$/)
    const later = { ...one, evidence: [{ node_id: 'n1', boot_id: 'b', seq: 8 }] }
    expect(table().add(detector, later, 5)).not.toBe(a.all()[0].incident_id)
  })

  it('join when they turn out to be one story: the first survives, the others say where', () => {
    const incidents = table()
    const first = incidents.add(detector, finding('a', 'k1', 'low', 1), 0)
    const second = incidents.add(otherDetector, finding('b', 'k2', 'high', 2), 0)
    incidents.takeUpdates(1, 0)
    const chain = { ...finding('c', 'k3', 'medium', 3), joins: ['b', 'a', 'd'] }
    expect(incidents.add(detector, chain, 0)).toBe(first)
    const [one, other] = incidents.all()
    expect(one.findings.map(({ summary }) => summary)).toEqual(['a k1.', 'b k2.', 'c k3.'])
    expect(other).toMatchObject({
      incident_id: second, state: 'closed', close_reason: 'joined', joined_into: first,
    })
    // What is found later about any of them goes there, and so does what is added to a finding.
    for (const subject of ['a', 'b', 'c', 'd']) {
      expect(incidents.add(detector, finding(subject, `later ${subject}`), 0)).toBe(first)
    }
    incidents.amend(second, otherDetector.id, 'k2', { totals: { bytes_sent: 7 } }, 0)
    const amended = incidents.all()[0].findings.find(({ summary }) => summary === 'b k2.')
    expect(amended?.totals).toEqual({ bytes_sent: 12 })
    expect([incidents.openCount, incidents.isOpen(second)]).toEqual([1, true])
  })

  it('that have joined are told: the others closed, the survivor with all findings', () => {
    const incidents = table()
    incidents.add(detector, finding('a', 'k1'), 0)
    incidents.add(detector, finding('b', 'k2', 'low', 2), 0)
    incidents.takeUpdates(1, 0)
    incidents.add(detector, { ...finding('b', 'k3', 'low', 3), joins: ['a'] }, 0)
    const told = incidents.takeUpdates(2, 0)
    expect(told.map(({ change, incident }) => [change, incident.close_reason, incident.findings.length]))
      .toEqual([['closed', 'joined', 1], ['updated', undefined, 3]])
  })

  it('go silently into another one when nobody was told of them', () => {
    const incidents = table()
    const first = incidents.add(detector, finding('a', 'k1'), 0)
    incidents.add(detector, finding('b', 'k2'), 0)
    incidents.add(detector, { ...finding('c', 'k3'), joins: ['a', 'b'] }, 0)
    expect(incidents.takeUpdates(1, 0).map(({ change, incident }) => [change, incident.incident_id]))
      .toEqual([['opened', first]])
    expect(incidents.all().map(({ incident_id: id }) => id)).toEqual([first])
  })

  it('survive by the order in which people were told, not by the clocks of nodes', () => {
    const incidents = table()
    const first = incidents.add(detector, finding('a', 'k1', 'low', 9), 0)
    incidents.takeUpdates(1, 0)
    incidents.add(detector, finding('b', 'k2', 'low', 1), 0)
    expect(incidents.add(detector, { ...finding('b', 'k3', 'low', 2), joins: ['a'] }, 0)).toBe(first)
  })

  const onNode = (address: string): string => address === '10.0.0.1' ? 'n1' : ''

  it('wait where an open one may be about them, known by the address of the node alone', () => {
    const incidents = table()
    const known = incidents.add(detector, finding('address 10.0.0.1', 'k1'), 0)
    incidents.takeUpdates(1, 0)
    const held = incidents.add(detector, finding('b', 'k2', 'low', 0), 100, onNode)
    expect([incidents.takeUpdates(2, 1599), incidents.dueMs]).toEqual([[], 1600])
    // The link is found: the one that was told has it all, and the other one never was.
    incidents.amend(known, detector.id, 'k1', { joins: ['b'] }, 1599)
    expect(incidents.dueMs).toBe(Infinity)
    const [{ change, incident }, ...more] = incidents.takeUpdates(3, 5000)
    expect([change, incident.incident_id, incident.findings.length, more]).toEqual(['updated', known, 2, []])
    incidents.amend(held, detector.id, 'k2', { totals: { bytes_sent: 1 } }, 5000)
    expect(incidents.amendmentsLost).toBe(0)
  })

  it('go also when what was told joins them: the one that waits gives way', () => {
    const incidents = table()
    const known = incidents.add(detector, finding('address 10.0.0.1', 'k1'), 0)
    const held = incidents.add(detector, finding('b', 'k2'), 0, onNode)
    incidents.amend(held, detector.id, 'k2', { joins: ['address 10.0.0.1'] }, 0)
    expect(incidents.takeUpdates(1, 0).map(({ incident }) => incident.incident_id)).toEqual([known])
  })

  it('wait when they are known by the address of a node alone that an open one is about', () => {
    const incidents = table()
    const known = incidents.add(detector, finding('b', 'k1'), 0)
    incidents.takeUpdates(1, 0)
    const held = incidents.add(detector, { ...finding('c', 'k2'), joins: ['address 10.0.0.1'], nodes: ['n2'] }, 0,
      onNode)
    expect(incidents.takeUpdates(2, 0)).toEqual([])
    incidents.amend(held, detector.id, 'k2', { joins: ['b'] }, 0)
    expect(incidents.takeUpdates(3, 0).map(({ incident }) => incident.incident_id)).toEqual([known])
  })

  it('are told after a while when no link was found, and at once on other nodes', () => {
    const incidents = table()
    incidents.add(detector, finding('address 10.0.0.1', 'k1'), 0)
    incidents.takeUpdates(1, 0)
    incidents.add(detector, finding('c', 'k3'), 0, () => 'n2')
    expect(incidents.takeUpdates(2, 0).map(({ incident }) => incident.subject)).toEqual(['c'])
    incidents.add(detector, finding('b', 'k2'), 0, onNode)
    expect(incidents.takeUpdates(3, 1499)).toEqual([])
    expect(incidents.takeUpdates(4, 1500).map(({ change, incident }) => [change, incident.subject]))
      .toEqual([['opened', 'b']])
  })

  it('wait only so many, and count those that cannot', () => {
    const incidents = table()
    incidents.add(detector, finding('address 10.0.0.1', 'k1'), 0)
    for (let i = 0; i < 103; i++) incidents.add(detector, finding(`s${i}`, 'k2'), 0, onNode)
    expect(incidents.takeUpdates(1, 0)).toHaveLength(4)
    expect(incidents.holdsCut).toBe(3)
    expect(incidents.takeUpdates(2, 1500)).toHaveLength(100)
  })

  it('let go of what they had joined when they close', () => {
    const incidents = table({ quietMs: 10 })
    const id = incidents.add(detector, { ...finding('a'), joins: ['b'] }, 0)
    incidents.advance(10)
    expect(incidents.isOpen(id)).toBe(false)
    expect(incidents.add(detector, finding('b'), 20)).not.toBe(id)
  })

  it('join only so many subjects', () => {
    const incidents = table()
    incidents.add(detector, { ...finding('a'), joins: Array.from({ length: 500 }, (_, i) => `s${i}`) }, 0)
    for (let i = 0; i < 500; i++) incidents.add(detector, finding(`s${i}`), 0)
    expect(incidents.openCount).toBe(401)
  })

  it('share nothing with what was told before', () => {
    const incidents = table()
    incidents.add(detector, finding('x'), 0)
    const [{ incident }] = incidents.takeUpdates(1, 0)
    const before = canonicalJson(incident)
    incidents.add(detector, finding('x'), 1)
    incidents.add(detector, finding('x', 'k2'), 1)
    expect(canonicalJson(incident)).toBe(before)
  })

  it('go on from a snapshot', () => {
    const first = table({ quietMs: 10, closedMax: 2 })
    for (let at = 0; at < 50; at += 5) {
      first.add(detector, { ...finding(`s${at % 15}`), joins: at % 4 === 0 ? [`j${at % 7}`] : [] }, at)
      first.advance(at)
      first.takeUpdates(at, at)
    }
    const second = table({ quietMs: 10, closedMax: 2 })
    second.restore(structuredClone(first.snapshot()))
    const next = finding('z')
    const told = [first, second].map((one) => {
      one.add(detector, next, 60)
      one.advance(65)
      return canonicalJson([one.takeUpdates(1, 65), one.all()])
    })
    expect(told[1]).toBe(told[0])
  })
})

it('canonical JSON does not depend on the order of keys', () => {
  expect(canonicalJson({ b: 1, a: [{ d: null, c: 'x' }] })).toBe('{"a":[{"c":"x","d":null}],"b":1}')
  expect(canonicalJson({ a: [{ c: 'x', d: null }], b: 1 }))
    .toBe(canonicalJson({ b: 1, a: [{ d: null, c: 'x' }] }))
})
