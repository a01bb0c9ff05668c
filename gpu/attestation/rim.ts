// Reference integrity manifests (RIM): what NVIDIA says that firmware and driver measure. XML of
// ISO 19770-2 (SWID) with the measurements of TCG's RIM information model, signed by XML-DSig.
import { DOMParser } from '@xmldom/xmldom'
import { createHash, verify, X509Certificate, type KeyLike } from 'node:crypto'
import { C14nCanonicalization, SignedXml } from 'xml-crypto'
import { chainFault, validityFault } from './certificates.ts'

const RIM_BYTES_MAX = 1024 * 1024
const MEASUREMENTS_MAX = 1024

/** A file that is not a RIM; the message says what is wrong. */
export class RimFormatError extends Error {
  readonly code = 'RIM_FORMAT'
}

export interface Rim {
  /** Version of the driver or the VBIOS that it is for, such as "550.144.03". */
  version: string
  /** What it is for, such as "GH100". */
  product: string
  /** Digests that are right, by index; any of them may be met. Inactive ones are left out. Hex. */
  golden: ReadonlyMap<number, readonly string[]>
  /** Why its signature or its certificates are not believed, in words; absent when they are. */
  fault?: string
}

/** Whom a RIM must be signed by. */
export interface RimTrust {
  /** Root certificates; their SHA-256 must be among `roots`. */
  rootCertificates: readonly X509Certificate[]
  /** SHA-256 of the roots that are believed, hex. */
  roots: readonly string[]
  /** When the certificates must be valid, milliseconds since 1970. */
  atMs: number
}

const C14N_11 = 'http://www.w3.org/2006/12/xml-c14n11'
const ECDSA_SHA384 = 'http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384'
const SHA384 = 'http://www.w3.org/2001/04/xmldsig-more#sha384'
const ENVELOPED = 'http://www.w3.org/2000/09/xmldsig#enveloped-signature'
const DSIG = 'http://www.w3.org/2000/09/xmldsig#'

/**
 * Reads a RIM, and checks who signed it. What is not believed has a `fault` and no measurements.
 * @throws {RimFormatError} on what is no RIM.
 */
export function readRim(xml: string, trust: RimTrust): Rim {
  if (xml.length > RIM_BYTES_MAX) {
    throw new RimFormatError(`${xml.length} bytes are no RIM: at most ${RIM_BYTES_MAX} are read`)
  }
  // No RIM has one, and what it defines could differ between who verifies and who reads.
  if (/<!DOCTYPE/i.test(xml)) throw new RimFormatError('a RIM has no document type')
  const parsed = parse(xml)
  const { version, product } = metaOf(parsed)
  const fault = { version, product, golden: new Map<number, string[]>() }
  const signature = parsed.getElementsByTagNameNS(DSIG, 'Signature')
  if (signature.length !== 1) return { ...fault, fault: `it has ${signature.length} signatures` }
  let chain: X509Certificate[]
  try {
    chain = certificatesOf(signature[0])
  } catch (error) {
    return { ...fault, fault: `its certificates cannot be read: ${(error as Error).message}` }
  }
  const untrusted = chainFault(chain, trust.roots, trust.rootCertificates)
  if (untrusted !== undefined) return { ...fault, fault: `its certificates: ${untrusted}` }
  const invalid = validityFault([...chain, ...trust.rootCertificates], trust.atMs)
  if (invalid !== undefined) return { ...fault, fault: `its certificates: ${invalid}` }
  const signed = signedContent(xml, signature[0], chain[0].publicKey)
  if (signed === undefined) return { ...fault, fault: 'its signature does not fit its content' }
  // Only what was signed is read, never the file around it.
  const root = parse(signed)
  return { ...metaOf(root), golden: goldenOf(root) }
}

function parse(xml: string): Element {
  const problems: string[] = []
  const note = (message: string) => { problems.push(message.split('\n')[0].slice(0, 200)) }
  const parser = new DOMParser({ errorHandler: { warning: note, error: note, fatalError: note } })
  let root: Element | null = null
  try {
    root = parser.parseFromString(xml, 'text/xml')?.documentElement ?? null
  } catch (error) {
    note((error as Error).message)
  }
  if (root === null || problems.length > 0) {
    throw new RimFormatError(`it is not XML: ${problems[0] ?? 'it has no element'}`)
  }
  if (root.localName !== 'SoftwareIdentity') {
    throw new RimFormatError(`it is a ${root.localName}, not a SoftwareIdentity`)
  }
  return root
}

function metaOf(root: Element): { version: string; product: string } {
  const meta = Array.from(root.getElementsByTagNameNS('*', 'Meta'))[0]
  const version = meta?.getAttribute('colloquialVersion') ?? ''
  if (!/^[0-9A-Za-z.]{1,64}$/.test(version)) {
    throw new RimFormatError('its Meta has no colloquialVersion, the version that it is for')
  }
  const product = meta?.getAttribute('product') ?? ''
  return { version, product: /^[\w.-]{1,64}$/.test(product) ? product : '' }
}

function goldenOf(root: Element): Map<number, string[]> {
  const golden = new Map<number, string[]>()
  const resources = Array.from(root.getElementsByTagNameNS('*', 'Resource'))
    .filter((one) => one.getAttribute('type') === 'Measurement')
  if (resources.length === 0 || resources.length > MEASUREMENTS_MAX) {
    throw new RimFormatError(`it has ${resources.length} measurements, not 1 to ` +
      `${MEASUREMENTS_MAX}`)
  }
  for (const resource of resources) {
    if (resource.getAttribute('active')?.toLowerCase() !== 'true') continue
    const index = Number(resource.getAttribute('index'))
    const values = Array.from(resource.attributes).filter((one) => /^Hash\d+$/.test(one.localName))
      .map((one) => one.value.toLowerCase())
    if (!Number.isInteger(index) || index < 0 || values.length === 0 || golden.has(index)
      || values.some((value) => !/^([0-9a-f]{2})+$/.test(value))) {
      const shown = String(resource.getAttribute('index')).slice(0, 10)
      throw new RimFormatError(`measurement ${shown} is there twice, or has no digest in hex`)
    }
    golden.set(index, values)
  }
  return golden
}

function certificatesOf(signature: Element): X509Certificate[] {
  const found = Array.from(signature.getElementsByTagNameNS(DSIG, 'X509Certificate'))
  if (found.length > 16) throw new RimFormatError('more than 16 certificates')
  return found.map((one) =>
    new X509Certificate(Buffer.from((one.textContent ?? '').replace(/\s/g, ''), 'base64')))
}

/** The signed part of a document, in canonical form; undefined when the signature does not fit. */
function signedContent(xml: string, signature: Element, key: KeyLike): string | undefined {
  const checker = new SignedXml({ publicCert: key, getCertFromKeyInfo: () => null })
  // Nothing but what NVIDIA uses is accepted: no weaker digest, no transform that hides content.
  Object.assign(checker, {
    CanonicalizationAlgorithms: { [C14N_11]: Canonical11,
      [ENVELOPED]: checker.CanonicalizationAlgorithms[ENVELOPED] },
    HashAlgorithms: { [SHA384]: Sha384 },
    SignatureAlgorithms: { [ECDSA_SHA384]: EcdsaSha384 },
  })
  try {
    checker.loadSignature(signature as unknown as Node)
    if (!checker.checkSignature(xml)) return undefined
    const signed = checker.getSignedReferences()
    return signed.length === 1 ? signed[0] : undefined
  } catch {
    return undefined
  }
}

/** Differs from 1.0 only in attributes of the xml namespace that parts inherit: here is no part. */
class Canonical11 extends C14nCanonicalization {
  override getAlgorithmName(): typeof C14N_11 & never {
    return C14N_11 as never
  }
}

class Sha384 {
  getAlgorithmName(): string {
    return SHA384
  }

  getHash(xml: string): string {
    return createHash('sha384').update(xml).digest('base64')
  }
}

class EcdsaSha384 {
  getAlgorithmName(): string {
    return ECDSA_SHA384
  }

  getSignature(): never {
    throw new Error('RIM files are not signed here')
  }

  verifySignature(material: string, key: KeyLike, value: string): boolean {
    return verify('sha384', Buffer.from(material), { key: key as never, dsaEncoding: 'ieee-p1363' },
      Buffer.from(value, 'base64'))
  }
}
