// Evidence of a GPU against what a baseline pins: reference values, roots, versions.
import { NVIDIA_ROOTS, readChain } from '../attestation/certificates.ts'
import { readRim, type Rim } from '../attestation/rim.ts'
import { OPAQUE, opaqueText, parseReport, vbiosVersionOf } from '../attestation/spdm.ts'
import { verifyEvidence, type JudgedItem } from '../attestation/verify.ts'
import type { Baseline } from './baseline.ts'

/** Evidence of one GPU, in one of the forms in which it is passed on. */
export interface GivenEvidence {
  /** Whose, where it says so. */
  subject: string
  /** Hex; '' when it is not known what the GPU was asked with. */
  nonce: string
  report: Buffer
  certificateChain: string
}

/** What is no evidence; the message says what it should be. */
export class EvidenceFormatError extends Error {
  readonly code = 'EVIDENCE_FORMAT'
}

const EVIDENCE_MAX = 64
const HEX_NONCE = /^[0-9a-f]{64}$/i

/**
 * Reads gpu_evidence events (one JSON object, a list of them, or one per line), or the list that
 * NVIDIA's attestation tools write: `[{"evidence", "certificate", "nonce"}]`, base64.
 * @throws {EvidenceFormatError}
 */
export function readEvidence(text: string): GivenEvidence[] {
  const given = parseJson(text)
  if (given.length === 0 || given.length > EVIDENCE_MAX) {
    throw new EvidenceFormatError(`it holds ${given.length} pieces of evidence, not 1 to ` +
      String(EVIDENCE_MAX))
  }
  return given.map(evidenceOf)
}

/** Judges evidence by what the baseline pins; what it does not pin is unknown. Never throws. */
export function judgeEvidence(
  given: GivenEvidence, baseline: Baseline, atMs: number,
): JudgedItem[] {
  const expected = baseline.evidence ?? {}
  const { rims, faults } = rimsOf(baseline, atMs)
  const versions = versionsOf(given.report)
  const of = (version: string | undefined): Rim | undefined =>
    rims.find((rim) => rim.version.toUpperCase() === version?.toUpperCase())
  const driverVersion = exactOf(baseline, 'driver', 'version', versions.driver)
  const items = verifyEvidence(given, {
    nonce: HEX_NONCE.test(given.nonce) ? given.nonce : undefined, driverVersion,
    vbiosVersion: exactOf(baseline, 'gpu', 'vbios_version', versions.vbios),
    driverRim: of(versions.driver), vbiosRim: of(versions.vbios), roots: expected.roots, atMs,
  })
  return [...items, ...faults]
}

/** What the baseline wants; the found one where it allows several and that is one of them. */
function exactOf(
  { items }: Baseline, subject: string, item: string, found: string | undefined,
): string | undefined {
  const wanted = items.find((one) => one.subject === subject && one.item === item)
  const values = wanted?.any_of ?? (wanted?.value === undefined ? [] : [wanted.value])
  return values.find((one) => one.toUpperCase() === found?.toUpperCase()) ?? values[0]
}

function versionsOf(report: Buffer): { driver?: string, vbios?: string } {
  try {
    const parsed = parseReport(report)
    return { driver: opaqueText(parsed, OPAQUE.driver_version), vbios: vbiosVersionOf(parsed) }
  } catch {
    // verifyEvidence says what is wrong with it.
    return {}
  }
}

function rimsOf(
  { evidence }: Baseline, atMs: number,
): { rims: Rim[], faults: JudgedItem[] } {
  const rims: Rim[] = []
  const faults: JudgedItem[] = []
  try {
    const rootCertificates = (evidence?.rim_roots ?? []).flatMap((pem) => readChain(pem))
    const roots = [...evidence?.roots ?? [], NVIDIA_ROOTS.reference_values]
    for (const xml of evidence?.rims ?? []) {
      rims.push(readRim(xml, { rootCertificates, roots, atMs }))
    }
  } catch (error) {
    faults.push({ item: 'rim', verdict: 'unknown', detail: (error as Error).message })
  }
  return { rims, faults }
}

function parseJson(text: string): unknown[] {
  try {
    const whole: unknown = JSON.parse(text)
    return Array.isArray(whole) ? whole : [whole]
  } catch {
    try {
      return text.trim().split('\n').map((line): unknown => JSON.parse(line))
    } catch {
      throw new EvidenceFormatError('it is no JSON')
    }
  }
}

function evidenceOf(value: unknown, index: number): GivenEvidence {
  const one = typeof value === 'object' && value !== null ? value as Record<string, unknown> : {}
  const text = (name: string): string => typeof one[name] === 'string' ? one[name] : ''
  const nonce = text('nonce')
  if (text('evidence') !== '') {
    return { subject: `evidence ${index + 1}`, nonce,
      report: Buffer.from(text('evidence'), 'base64'),
      certificateChain: Buffer.from(text('certificate'), 'base64').toString('latin1') }
  }
  if (text('report') !== '') {
    return { subject: text('subject') || `evidence ${index + 1}`, nonce,
      report: Buffer.from(text('report'), 'base64'), certificateChain: text('certificate_chain') }
  }
  const reason = text('reason')
  throw new EvidenceFormatError(reason !== '' ? `the GPU gave none: ${reason}`
    : `number ${index + 1} has neither "report" (a gpu_evidence event) nor "evidence"`)
}
