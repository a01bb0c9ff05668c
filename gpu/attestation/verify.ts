// Is a GPU what it says? Judged offline, item by item, from its evidence and pinned references.
import { verify, type X509Certificate } from 'node:crypto'
import {
  chainFault, firmwareIdsOf, NVIDIA_ROOTS, readChain, validityFault,
} from './certificates.ts'
import type { Rim } from './rim.ts'
import {
  OPAQUE, opaqueText, parseReport, vbiosVersionOf, type AttestationReport,
} from './spdm.ts'

/** What came of comparing an item. Unknown: there is nothing to compare with. It is never good. */
export type Verdict = 'matches' | 'differs' | 'unknown'

export interface JudgedItem {
  /** Such as "signature" or "driver_measurements". */
  item: string
  verdict: Verdict
  /** Why, in words; what was found where it differs. */
  detail: string
}

/** What a GPU gave. */
export interface Evidence {
  /** SPDM request and response. */
  report: Buffer
  /** PEM, leaf first. */
  certificateChain: string
}

/** What it is compared with; what is absent makes its items unknown. */
export interface EvidenceReferences {
  /** What the GPU was asked with, hex. */
  nonce?: string
  driverVersion?: string
  vbiosVersion?: string
  /** Reference values of the driver and of the VBIOS. */
  driverRim?: Rim
  vbiosRim?: Rim
  /** SHA-256 of believed roots of device certificates, hex; NVIDIA's when absent. */
  roots?: readonly string[]
  /** When the certificates must be valid, milliseconds since 1970. */
  atMs: number
}

/** Of a GPU whose NVDEC0 is disabled, this measurement means nothing. */
const NVDEC0_INDEX = 35
const NVDEC0_DISABLED = 0x55

/** Judges every item. Evidence that cannot be read differs: no GPU gives such. Never throws. */
export function verifyEvidence(evidence: Evidence, references: EvidenceReferences): JudgedItem[] {
  let report: AttestationReport
  try {
    report = parseReport(evidence.report)
  } catch (error) {
    return [{ item: 'report', verdict: 'differs', detail: (error as Error).message }]
  }
  const items: JudgedItem[] = [
    judge('nonce', report.nonce, references.nonce?.toLowerCase(), 'no nonce is known'),
    judge('driver_version', opaqueText(report, OPAQUE.driver_version), references.driverVersion),
    judge('vbios_version', vbiosVersionOf(report), references.vbiosVersion?.toUpperCase()),
    ...judgeMeasurements(report, references),
    // Without a network nobody can say it, and what nobody said is not good.
    { item: 'revocation', verdict: 'unknown', detail: 'OCSP is not asked offline' },
  ]
  try {
    items.unshift(...judgeCertificates(report, readChain(evidence.certificateChain), references))
  } catch (error) {
    items.unshift(right('certificate_chain', (error as Error).message))
  }
  return items
}

/** The worst of all: what differs, then what is unknown. */
export function overallVerdict(items: readonly { verdict: Verdict }[]): Verdict {
  if (items.some((one) => one.verdict === 'differs')) return 'differs'
  const isGood = items.length > 0 && items.every((one) => one.verdict === 'matches')
  return isGood ? 'matches' : 'unknown'
}

function judge(item: string, found: string | undefined, wanted: string | undefined,
  missing = 'no reference'): JudgedItem {
  if (wanted === undefined) return { item, verdict: 'unknown', detail: missing }
  if (found === undefined) return { item, verdict: 'differs', detail: 'the report has none' }
  return found === wanted ? { item, verdict: 'matches', detail: found }
    : { item, verdict: 'differs', detail: `${found}, not ${wanted}` }
}

function judgeCertificates(report: AttestationReport, chain: readonly X509Certificate[],
  references: EvidenceReferences): JudgedItem[] {
  const leaf = chain[0]
  const isSigned = verify('sha384', report.signedBytes,
    { key: leaf.publicKey, dsaEncoding: 'ieee-p1363' }, report.signature)
  const firmwareIds = firmwareIdsOf(leaf)
  const firmwareId = report.opaque.get(OPAQUE.fwid)?.toString('hex') ?? ''
  return [
    right('signature', isSigned ? undefined : 'it was not made by the key of the certificate'),
    right('certificate_chain',
      chainFault(chain, references.roots ?? [NVIDIA_ROOTS.device_identity])),
    right('certificate_validity', validityFault(chain, references.atMs)),
    firmwareIds.length === 0
      ? { item: 'firmware_id', verdict: 'unknown', detail: 'the certificate names no firmware' }
      : right('firmware_id', firmwareIds.includes(firmwareId) ? undefined
        : 'the certificate is of other firmware than the report'),
  ]
}

function right(item: string, fault: string | undefined): JudgedItem {
  return { item, verdict: fault === undefined ? 'matches' : 'differs', detail: fault ?? '' }
}

function judgeMeasurements(report: AttestationReport,
  references: EvidenceReferences): JudgedItem[] {
  return (['driver', 'vbios'] as const).flatMap((what) => {
    const rim = what === 'driver' ? references.driverRim : references.vbiosRim
    const item = `${what}_measurements`
    if (!rim) return [{ item, verdict: 'unknown' as const, detail: `no RIM of the ${what}` }]
    const own = what === 'driver' ? opaqueText(report, OPAQUE.driver_version)
      : vbiosVersionOf(report)
    const isOfVersion = own?.toUpperCase() === rim.version.toUpperCase()
    return [
      right(`${what}_rim`, rim.fault),
      ...rim.fault !== undefined
        ? [{ item, verdict: 'unknown' as const, detail: 'its RIM is not believed' }]
        : isOfVersion ? [compare(item, report, rim)]
          : [{ item, verdict: 'unknown' as const,
            detail: `the RIM is for ${rim.version}, the GPU has ${own ?? 'none'}` }],
    ]
  })
}

/** Index i of a RIM is block i + 1 of a report. */
function compare(item: string, report: AttestationReport, rim: Rim): JudgedItem {
  const isNvdec0Off = report.opaque.get(OPAQUE.nvdec0_status)?.[0] === NVDEC0_DISABLED
  const wrong: string[] = []
  for (const [index, golden] of rim.golden) {
    if (index === NVDEC0_INDEX && isNvdec0Off) continue
    const found = report.measurements.get(index + 1)
    if (found === undefined || !golden.includes(found)) wrong.push(String(index))
  }
  return wrong.length === 0
    ? { item, verdict: 'matches', detail: `${rim.golden.size} measurements` }
    : { item, verdict: 'differs',
      detail: `measurement ${wrong.slice(0, 8).join(', ')}${wrong.length > 8 ? ', …' : ''}` }
}
