import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { policyDigest } from './digest.ts'
import { PROBLEMS_MAX, TEXT_MAX, parsePolicy } from './parse.ts'

const EXAMPLE = readFileSync(
  new URL('../deploy/policy/vedette.example.yaml', import.meta.url), 'utf8')

const detectors = new Map([['NET-001', { hold_ms: 2000 }]])

it('settings of detectors are checked where the detectors are known', () => {
  const text = 'version: 1\ndetectors:\n  NET-001: { thresholds: { hold: 5 } }\n'
  expect(parsePolicy(text).policy).not.toBeNull()
  const { policy, problems } = parsePolicy(text, { detectors })
  expect(policy).toBeNull()
  expect(problems[0]).toMatchObject({ line: 3, fix: 'did you mean hold_ms?' })
})

describe('parsePolicy', () => {
  it('finds nothing to say about the example policy', () => {
    const { policy, problems } = parsePolicy(EXAMPLE, { nowMs: 0 })
    expect(problems).toEqual([])
    expect(policy?.zones.map((zone) => zone.name))
      .toEqual(['ingestion', 'training', 'inference', 'orchestration', 'storage'])
    expect(policy?.sha256).toBe(policyDigest(EXAMPLE))
    expect(policy?.text).toBe(EXAMPLE)
  })

  it('reads the settings that the example shows in comments', () => {
    const at = EXAMPLE.indexOf('# detectors:')
    const text = EXAMPLE.slice(0, at) + EXAMPLE.slice(at).replace(/^# /gm, '')
    const { policy, problems } = parsePolicy(text)
    expect(problems).toEqual([])
    expect(policy?.detectors.map((setting) => setting.id)).toEqual(['NET-003'])
  })

  it('gives each zone and flow the line where it stands', () => {
    const { policy } = parsePolicy(`version: 1
zones:
  - name: a
    exposure: public
    match: { cidrs: [10.0.0.0/8] }
flows:
  - from: a
    to: external
    ports: [443, 8000-8010/tcp]
    reason: r
`)
    expect(policy?.zones[0]).toMatchObject({ line: 3, column: 5, exposure: 'public',
      match: { cidrs: [{ text: '10.0.0.0/8', line: 5, column: 22 }], labels: [] } })
    expect(policy?.flows[0]).toMatchObject({ line: 7, column: 5, ports: [
      { from: 443, to: 443, protocol: null }, { from: 8000, to: 8010, protocol: 'tcp' }] })
  })

  it('lists what the schema and the meaning say together, in the order of the text', () => {
    const { policy, problems } = parsePolicy(`version: 1
zone: []
zones:
  - name: a
    exposure: publik
    match: { cidrs: [10.0.0.1/8] }
flows:
  - { from: b, to: a, reason: r, ports: [9-8] }
`)
    expect(policy).toBeNull()
    expect(problems.map((one) => one.path)).toEqual(['zone', 'zones[0].exposure',
      'zones[0].match.cidrs[0]', 'flows[0].from', 'flows[0].ports[0]'])
  })

  it('lists fifty problems, errors first, and counts the rest', () => {
    const flow = '  - { from: x, to: x, reason: r }\n'
    const { problems, unlisted } = parsePolicy(`version: 1\nflows:\n${flow.repeat(40)}`)
    expect(problems).toHaveLength(PROBLEMS_MAX)
    expect(unlisted).toBe(30)
    const same = '  - { to: external, from: "any", reason: r }\n'.repeat(60)
    const mixed = parsePolicy(`version: 1\nflows:\n${same}${flow}`)
    expect(mixed.policy).toBeNull()
    expect(mixed.problems[0]).toMatchObject({ severity: 'error', line: 63 })
  })

  it('refuses text that is too long, binary, or in another encoding', () => {
    expect(parsePolicy('#'.repeat(TEXT_MAX + 1)).problems)
      .toMatchObject([{ line: 1, column: TEXT_MAX + 1 }])
    expect(parsePolicy(`version: 1 ${' '.repeat(TEXT_MAX - 12)}\n`).policy).not.toBeNull()
    const texts = ['\x7fELF\0\0', 'v\0e\0r\0', 'version: 1 # \ufffd\n', 'version: 1\x1b[2J\n']
    for (const bytes of texts) {
      expect(parsePolicy(bytes).problems).toMatchObject([{ severity: 'error', line: 1 }])
    }
  })

  it('counts columns as editors do when a byte order mark is there, and hashes it', () => {
    const text = '\ufeffversion: 2\r\nzone: 1\r\n'
    expect(parsePolicy(text).problems)
      .toMatchObject([{ line: 1, column: 10 }, { line: 2, column: 1 }])
    const marked = '\ufeffversion: 1\n'
    expect(parsePolicy(marked).policy?.sha256).toBe(policyDigest(marked))
  })

  it('gives the same answer twice', () => {
    expect(parsePolicy(EXAMPLE)).toEqual(parsePolicy(EXAMPLE))
  })
})
