import { describe, expect, it } from 'vitest'
import type { Hop, HopEnd } from '../../detect/finding.ts'
import type { Incident } from '../../detect/incident.ts'
import { judge, judgeStory } from './judge.ts'
import type { HopWanted } from './scenario.ts'

const outside: HopEnd = { zone: 'external', address: '10.99.0.66', port: 40_000 }
const model: HopEnd = {
  zone: 'inference', address: '10.30.0.21', port: 8000, node_id: 'inference', exe: '/opt/node', uid: 2001,
}
const ssh: HopEnd = { ...model, port: 50_000, exe: '/usr/bin/ssh' }
const sshd: HopEnd = {
  zone: 'training', address: '10.20.0.11', port: 22, node_id: 'training-1', exe: '/usr/sbin/sshd', uid: 0,
}

function hop(from: HopEnd, to: HopEnd, amounts: object = {}): Hop {
  return { time: '2026-01-01T00:00:00Z', protocol: 'tcp', established: true, from, to, ...amounts }
}

function incident(hops: Hop[], detectors: string[], more: Partial<Incident> = {}): Incident {
  const findings = detectors.map((detector) => ({ detector })) as Incident['findings']
  return { title: 'Lateral movement', subject: 'llm.service', hops, findings, ...more } as Incident
}

const first: HopWanted = {
  from: { zone: 'external', node: null }, to: { zone: 'inference', node: 'inference', port: 8000 },
}
const second: HopWanted = {
  from: { zone: 'inference', node: 'inference', exe: '/ssh', uid: 2001 },
  to: { zone: 'training', node: 'training-1', exe: '/sshd', uid: 0 }, bytes_received_min: 1000,
}
const wanted = { incidents: 1, detectors: ['NET-002'], hops: [first, second] }
const whole = incident([hop(outside, model), hop(ssh, sshd, { bytes_received: 5000 })], ['NET-002', 'NET-001'])

describe('the judge of the rig', () => {
  it('is content when everything wanted is told in order', () => {
    expect(judge([whole], wanted)).toEqual([])
  })

  it('asks for stores, and for totals of one finding', () => {
    const [totals, more] = [{ bytes_in: 10, bytes_out: 9 }, { bytes_in: 10, bytes_out: 10 }]
    const findings = [{ detector: 'STO-007', totals }, { detector: 'NET-001', totals: { bytes_out: 99 } }]
    const told = { ...whole, stores: ['corpus'], findings: findings as unknown as Incident['findings'] }
    expect(judge([told], { incidents: 1, stores: ['corpus'], totals })).toEqual([])
    expect(judge([told], { incidents: 1, stores: ['weights'] })).toEqual(['store weights is not named'])
    expect(judge([told], { incidents: 1, totals: more })[0]).toContain('no finding has {"bytes_in":10,"bytes_out":10}')
  })

  it('lets other hops stand between those that are wanted', () => {
    const more = incident([hop(outside, model), hop(model, outside), ...whole.hops.slice(1)], ['NET-002'])
    expect(judge([more], wanted)).toEqual([])
  })

  it('wants exactly as many incidents', () => {
    expect(judge([whole, whole], wanted)[0]).toMatch(/^2 incidents instead of 1: Lateral movement/)
    expect(judge([whole], { incidents: 0 })[0]).toMatch(/^1 incidents instead of 0/)
    expect(judge([], { incidents: 0 })).toEqual([])
  })

  it('counts an incident that went into another one, too: somebody was told of it', () => {
    const joined = incident([], ['NET-001'], { close_reason: 'joined', joined_into: 'x' })
    expect(judge([whole, joined], wanted)).toEqual([expect.stringMatching(/^2 incidents instead of 1/)])
  })

  it('refuses hops in another order, and names the one that is missing', () => {
    const turned = incident(whole.hops.toReversed(), ['NET-002'])
    expect(judge([turned], wanted)).toEqual([expect.stringMatching(/^hop 2 is not told in its place/)])
  })

  it('refuses another user, another node, another program and an attempt', () => {
    for (const wrong of [
      hop({ ...ssh, uid: 0 }, sshd), hop(ssh, { ...sshd, node_id: 'training-2' }),
      hop({ ...ssh, exe: '/usr/bin/curl' }, sshd), { ...hop(ssh, sshd), established: false },
    ]) expect(judgeStory([incident([whole.hops[0], wrong], ['NET-002'])], wanted)).toHaveLength(1)
  })

  it('wants a peer that no agent watches to stay unnamed', () => {
    const named = hop({ ...outside, node_id: 'storage' }, model)
    expect(judge([incident([named, whole.hops[1]], ['NET-002'])], wanted)).toHaveLength(1)
  })

  it('wants the bytes at the end only, and enough of them', () => {
    const early = incident([hop(outside, model), hop(ssh, sshd)], ['NET-002'])
    expect(judgeStory([early], wanted)).toEqual([])
    expect(judge([early], wanted)).toHaveLength(1)
  })

  it('wants each detector in the first incident, and hears those that must be quiet', () => {
    expect(judge([whole], { ...wanted, detectors: ['NET-006'] }))
      .toEqual(['NET-006 found nothing in the first incident'])
    expect(judge([whole], { ...wanted, quiet: ['NET-001'] })).toEqual(['NET-001 must say nothing'])
  })
})
