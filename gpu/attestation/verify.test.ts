import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { NVIDIA_ROOTS, readChain } from './certificates.ts'
import { readRim } from './rim.ts'
import { makeAuthority, makeReport, type SampleAuthority } from '../../test/gpu/evidence.ts'
import { makeRim } from '../../test/gpu/rim.ts'
import { parseReport } from './spdm.ts'
import { overallVerdict, verifyEvidence, type EvidenceReferences, type JudgedItem } from './verify.ts'

const samples = join(import.meta.dirname, '../../../shared/data/attestation')
const hasOpenssl = spawnSync('openssl', ['version']).status === 0
if (!existsSync(samples)) console.warn('SKIPPED: real attestation samples are not beside this checkout')
if (!hasOpenssl) console.warn('SKIPPED: certificates of our own need openssl')

const atMs = Date.parse('2026-11-01T00:00:00Z')
const verdicts = (items: readonly JudgedItem[]) =>
  Object.fromEntries(items.map((one) => [one.item, one.verdict]))

describe.skipIf(!hasOpenssl)('evidence of a GPU of our own', () => {
  const fwid = 'ab'.repeat(48)
  const digest = (byte: string) => byte.repeat(48)
  const measurements = new Map([[1, digest('11')], [8, digest('22')], [36, digest('33')]])
  const nonce = '5a'.repeat(32)
  let folder: string
  let gpu: SampleAuthority
  let stranger: SampleAuthority
  let references: EvidenceReferences

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'vedette-evidence-'))
    gpu = makeAuthority(folder, fwid)
    const trust = { rootCertificates: readChain(gpu.rootPem), roots: [gpu.root], atMs: Date.now() }
    const golden = new Map([[7, [digest('99'), digest('22')]], [35, [digest('33')]]])
    references = {
      nonce, driverVersion: '570.124.06', vbiosVersion: '96.00.01.00.00', roots: [gpu.root],
      driverRim: readRim(makeRim(gpu, '570.124.06', golden), trust),
      vbiosRim: readRim(makeRim(gpu, '96.00.01.00.00', new Map([[0, [digest('11')]]])), trust),
      atMs: Date.now(),
    }
    stranger = makeAuthority(folder, fwid)
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  const report = { measurements, driverVersion: '570.124.06', fwid, nonce }
  const judged = (changed: object = {}, wanted: Partial<EvidenceReferences> = {}) =>
    verifyEvidence({ report: makeReport(gpu, { ...report, ...changed }), certificateChain: gpu.chain },
      { ...references, ...wanted })

  it('matches in everything that can be known offline, and never in revocation', () => {
    const items = judged()
    expect(verdicts(items)).toEqual({
      signature: 'matches', certificate_chain: 'matches', certificate_validity: 'matches',
      firmware_id: 'matches', nonce: 'matches', driver_version: 'matches', vbios_version: 'matches',
      driver_rim: 'matches', driver_measurements: 'matches', vbios_rim: 'matches',
      vbios_measurements: 'matches', revocation: 'unknown',
    })
    expect(overallVerdict(items)).toBe('unknown')
  })

  it('differs in the item that differs, and only there', () => {
    const differing = (items: JudgedItem[]) =>
      items.filter((one) => one.verdict === 'differs').map((one) => one.item)
    expect(differing(judged({ nonce: '00'.repeat(32) }))).toEqual(['nonce'])
    expect(differing(judged({ fwid: 'cd'.repeat(48) }))).toEqual(['firmware_id'])
    expect(differing(judged({ measurements: new Map([...measurements, [8, digest('44')]]) })))
      .toEqual(['driver_measurements'])
    expect(differing(judged({ measurements: new Map([[8, digest('22')], [36, digest('33')]]) })))
      .toEqual(['vbios_measurements'])
    expect(differing(judged({}, { vbiosVersion: '96.00.02.00.00' }))).toEqual(['vbios_version'])
    expect(differing(judged({}, { roots: undefined }))).toEqual(['certificate_chain'])
    expect(differing(judged({}, { atMs: Date.parse('2050-01-01') }))).toEqual(['certificate_validity'])
  })

  it('leaves out the measurement of a video decoder that is switched off', () => {
    const changed = { measurements: new Map([...measurements, [36, digest('44')]]) }
    expect(verdicts(judged(changed))['driver_measurements']).toBe('differs')
    expect(verdicts(judged({ ...changed, nvdec0: 0x55 }))['driver_measurements']).toBe('matches')
  })

  it('says unknown, not different, where there is no reference', () => {
    const items = judged({}, { nonce: undefined, driverVersion: undefined, vbiosVersion: undefined,
      driverRim: undefined, vbiosRim: undefined })
    expect(items.filter((one) => one.verdict === 'differs')).toEqual([])
    expect(verdicts(items)).toMatchObject({ nonce: 'unknown', driver_version: 'unknown',
      driver_measurements: 'unknown', vbios_measurements: 'unknown' })
    const other = judged({ driverVersion: '580.82.07' }, { driverVersion: '580.82.07' })
    expect(verdicts(other)['driver_measurements']).toBe('unknown')
  })

  it('believes no RIM that a stranger signed, that was changed, or that expired', () => {
    const golden = new Map([[7, [digest('22')]]])
    const trust = { rootCertificates: readChain(gpu.rootPem), roots: [gpu.root], atMs: Date.now() }
    const good = makeRim(gpu, '570.124.06', golden)
    expect(readRim(good, trust).fault).toBeUndefined()
    const faults = [
      readRim(makeRim(stranger, '570.124.06', golden), trust),
      readRim(good.replace(digest('22'), digest('23')), trust),
      readRim(good.replace('</s:Payload>',
        '<s:Resource type="Measurement" index="9" active="True" h:Hash0="00"/></s:Payload>'), trust),
      readRim(good, { ...trust, atMs: Date.parse('2050-01-01') }),
      readRim(good, { ...trust, roots: [NVIDIA_ROOTS.reference_values] }),
      readRim(good.replace(/<ds:Signature[^]*<\/ds:Signature>/, ''), trust),
    ]
    for (const rim of faults) {
      expect(rim.fault).toMatch(/certificates|signature/)
      expect(rim.golden.size).toBe(0)
      expect(verdicts(judged({}, { driverRim: rim }))).toMatchObject(
        { driver_rim: 'differs', driver_measurements: 'unknown' })
    }
  })

  it('reads bytes that are cut, too many or noise without harm', () => {
    const whole = makeReport(gpu, report)
    for (let length = 0; length < whole.length; length += 7) {
      const [first] = verifyEvidence({ report: whole.subarray(0, length), certificateChain: gpu.chain }, references)
      expect(first).toMatchObject({ item: 'report', verdict: 'differs' })
    }
    for (let at = 0; at < whole.length; at++) {
      const damaged = Buffer.from(whole)
      damaged[at] ^= 0xff
      const items = verifyEvidence({ report: damaged, certificateChain: gpu.chain }, references)
      expect(overallVerdict(items)).toBe('differs')
    }
    for (const certificateChain of ['', 'x', gpu.chain.slice(0, 300), gpu.chain.repeat(20)]) {
      const items = verifyEvidence({ report: whole, certificateChain }, references)
      expect(verdicts(items)['certificate_chain']).toBe('differs')
    }
  })
})

describe.skipIf(!existsSync(samples))('real samples', () => {
  const text = (name: string) => readFileSync(join(samples, name), 'utf8')
  const trust = () => ({ rootCertificates: readChain(text('rim_root.crt')),
    roots: [NVIDIA_ROOTS.reference_values], atMs })
  const judged = (report: string, chain: string) => verdicts(verifyEvidence(
    { report: Buffer.from(text(report).trim(), 'hex'), certificateChain: text(chain) }, { atMs }))

  it('of a Hopper and a Blackwell verify, down to the firmware that the certificate names', () => {
    const good = { signature: 'matches', certificate_chain: 'matches', certificate_validity: 'matches',
      firmware_id: 'matches' }
    expect(judged('hopperAttestationReport.txt', 'hopperCertChain.txt')).toMatchObject(good)
    expect(judged('blackwellAttestationReport.txt', 'blackwellCertChain.txt')).toMatchObject(good)
  })

  it('with another signature, or the chain of another GPU, do not', () => {
    expect(judged('hopperAttestationReportInvalidSignature.txt', 'hopperCertChain.txt'))
      .toMatchObject({ signature: 'differs', firmware_id: 'differs' })
    expect(judged('hopperAttestationReport.txt', 'blackwellCertChain.txt'))
      .toMatchObject({ signature: 'differs', firmware_id: 'differs', certificate_chain: 'matches' })
  })

  it('answer the nonce that they were asked with, and no other', () => {
    const [one] = JSON.parse(text('hopper_evidence.json')) as { nonce: string; evidence: string; certificate: string }[]
    const evidence = { report: Buffer.from(one.evidence, 'base64'),
      certificateChain: Buffer.from(one.certificate, 'base64').toString() }
    expect(verdicts(verifyEvidence(evidence, { atMs, nonce: one.nonce }))).toMatchObject(
      { signature: 'matches', nonce: 'matches', revocation: 'unknown' })
    expect(verdicts(verifyEvidence(evidence, { atMs, nonce: one.nonce.replace(/^../, '00') })))
      .toMatchObject({ nonce: 'differs' })
  })

  it('of a RIM: the good one is read, the expired and the forged one are not believed', () => {
    const good = readRim(text('NV_GPU_DRIVER_GH100_550.144.03.xml'), trust())
    expect(good).toMatchObject({ version: '550.144.03', product: 'GH100' })
    expect(good.fault).toBeUndefined()
    expect([...good.golden.keys()]).toEqual([7, ...Array.from({ length: 20 }, (_, i) => 21 + i)])
    expect(readRim(text('NV_GPU_DRIVER_GH100_570.124.03_expired.xml'), trust()).fault).toMatch(/expired/)
    expect(readRim(text('incorrect_signature_driver_rim.xml'), trust()).fault).toMatch(/signature/)
  })

  it('give the measurements that NVIDIA\'s own parser gives', () => {
    const parsed = JSON.parse(text('spdm_parsed_output.json'))
    const blocks = Object.entries(
      parsed.MeasurementRecord.MeasurementBlocks as Record<string, { DMTFSpecMeasurementValue: string }>)
    expect(blocks).toHaveLength(64)
    const report = parseReport(Buffer.from(text('hopperAttestationReport.txt').trim(), 'hex'))
    for (const [index, block] of blocks) {
      expect([index, report.measurements.get(Number(index))]).toEqual([index, block.DMTFSpecMeasurementValue.slice(2)])
    }
  })
})
