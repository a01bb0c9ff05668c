import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeAuthority, makeReport, type SampleAuthority } from '../../test/gpu/evidence.ts'
import { makeRim } from '../../test/gpu/rim.ts'
import { overallVerdict } from '../attestation/verify.ts'
import type { Baseline } from './baseline.ts'
import { EvidenceFormatError, judgeEvidence, readEvidence } from './evidence.ts'

const samples = join(import.meta.dirname, '../../../shared/data/attestation')
const hasOpenssl = spawnSync('openssl', ['version']).status === 0
if (!existsSync(samples)) console.warn('SKIPPED: real attestation samples are not beside this checkout')
if (!hasOpenssl) console.warn('SKIPPED: certificates of our own need openssl')

const plain: Baseline = { version: 1, node_class: 'h100', items: [{ subject: 'driver', item: 'version', value: '1' }] }
const verdicts = (items: ReturnType<typeof judgeEvidence>) =>
  Object.fromEntries(items.map(({ item, verdict }) => [item, verdict]))

describe.skipIf(!hasOpenssl)('evidence against a baseline', () => {
  const fwid = 'ab'.repeat(48)
  const nonce = '5a'.repeat(32)
  let folder: string
  let gpu: SampleAuthority
  let baseline: Baseline
  let event: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'vedette-evidence-'))
    gpu = makeAuthority(folder, fwid)
    const report = makeReport(gpu, { measurements: new Map([[8, '22'.repeat(48)]]), driverVersion: '570.124.06',
      fwid, nonce })
    const rim = (version: string, digest: string) => makeRim(gpu, version, new Map([[7, [digest.repeat(48)]]]))
    baseline = {
      version: 1, node_class: 'h100-cc',
      items: [{ subject: 'driver', item: 'version', any_of: ['570.86.10', '570.124.06'] },
        { subject: 'gpu', item: 'vbios_version', value: '96.00.01.00.00' }],
      evidence: { roots: [gpu.root], rim_roots: [gpu.rootPem],
        rims: [rim('570.86.10', '99'), rim('570.124.06', '22')] },
    }
    event = JSON.stringify({ kind: 'gpu_evidence', subject: 'gpu:GPU-1', nonce, report: report.toString('base64'),
      certificate_chain: gpu.chain })
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  const judged = (text: string, wanted = baseline) => judgeEvidence(readEvidence(text)[0], wanted, Date.now())

  it('matches what is pinned, by the reference of its own version, and never in revocation', () => {
    const items = judged(event)
    expect(verdicts(items)).toMatchObject({ signature: 'matches', certificate_chain: 'matches', nonce: 'matches',
      driver_version: 'matches', vbios_version: 'matches', driver_rim: 'matches', driver_measurements: 'matches',
      vbios_measurements: 'unknown', revocation: 'unknown' })
    expect(overallVerdict(items)).toBe('unknown')
  })

  it('differs in its version, its nonce or its measurements, and is unknown without references', () => {
    const { evidence: pinned, ...rest } = baseline
    expect(verdicts(judged(event, { ...rest, evidence: { ...pinned, rims: [makeRim(gpu, '570.124.06',
      new Map([[7, ['44'.repeat(48)]]]))] } }))).toMatchObject({ driver_measurements: 'differs' })
    expect(verdicts(judged(event, { ...baseline, items: [{ subject: 'driver', item: 'version', value: '580.1' }] })))
      .toMatchObject({ driver_version: 'differs', vbios_version: 'unknown' })
    expect(verdicts(judged(event.replaceAll(nonce, '00'.repeat(32)))))
      .toMatchObject({ nonce: 'differs', signature: 'matches' })
    expect(verdicts(judged(event.replaceAll(nonce, 'x')))).toMatchObject({ nonce: 'unknown' })
    // Without a root of our own only NVIDIA's is believed.
    expect(verdicts(judged(event, rest))).toMatchObject(
      { certificate_chain: 'differs', driver_measurements: 'unknown' })
    expect(verdicts(judged(event, { ...rest, evidence: { ...pinned, rims: ['<x/>'] } })))
      .toMatchObject({ driver_measurements: 'unknown' })
  })
})

describe('what is given as evidence', () => {
  it('is events, a list of them, one per line, or the list of NVIDIA\'s tools', () => {
    const event = { subject: 'gpu:1', nonce: 'aa', report: 'AAAA', certificate_chain: 'PEM' }
    const wanted = { subject: 'gpu:1', nonce: 'aa', report: Buffer.alloc(3), certificateChain: 'PEM' }
    expect(readEvidence(JSON.stringify(event))).toEqual([wanted])
    expect(readEvidence(JSON.stringify([event, event]))).toEqual([wanted, wanted])
    expect(readEvidence(`${JSON.stringify(event)}\n${JSON.stringify(event)}\n`)).toEqual([wanted, wanted])
    expect(readEvidence(JSON.stringify([{ evidence: 'AAAA', certificate: 'UEVN', nonce: 'aa', arch: 'HOPPER' }])))
      .toEqual([{ ...wanted, subject: 'evidence 1' }])
  })

  it('that is none says what it should be, or why the GPU gave none', () => {
    for (const [text, message] of [['', /no JSON/], ['[]', /0 pieces/], ['null', /neither/], ['[1]', /neither/],
      [JSON.stringify(Array.from({ length: 65 }, () => ({}))), /65 pieces/],
      ['{"subject":"gpu:1","reason":"NOT_SUPPORTED"}', /gave none: NOT_SUPPORTED/]] as const) {
      expect(() => readEvidence(text)).toThrow(message)
      expect(() => readEvidence(text)).toThrow(EvidenceFormatError)
    }
    const noise = readEvidence('{"report":"!!!!","certificate_chain":"x"}')[0]
    expect(verdicts(judgeEvidence(noise, plain, 0))).toMatchObject({ report: 'differs' })
  })

  it.skipIf(!existsSync(samples))('as NVIDIA\'s tools wrote it of a Hopper is read and verified', () => {
    const [given] = readEvidence(readFileSync(join(samples, 'hopper_evidence.json'), 'utf8'))
    expect(verdicts(judgeEvidence(given, plain, Date.parse('2026-11-01T00:00:00Z')))).toMatchObject(
      { signature: 'matches', certificate_chain: 'matches', nonce: 'matches', driver_version: 'differs',
        revocation: 'unknown' })
  })
})
