/** Who may sign: keys and certificates that somebody trusts, and whether one of them did. */
import { createHash, createPublicKey, verify, X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { preAuthenticationEncoding } from './envelope.ts'
import type { Envelope } from './envelope.ts'
import { ManifestError } from './error.ts'

const TRUSTED_MAX = 64
const PEM_CHARS_MAX = 64 * 1024
const CODE_SIGNING = '1.3.6.1.5.5.7.3.3'
/** Beginning of the extensions of Fulcio, 1.3.6.1.4.1.57264.1, as in a certificate. */
const FULCIO = Buffer.from('2b0601040183bf3001', 'hex')
/** By the curve, as in the algorithms of Sigstore. */
const hashes: Record<string, string> =
  { prime256v1: 'sha256', secp384r1: 'sha384', secp521r1: 'sha512' }

/** Whom somebody trusts. */
export interface Trust {
  keys: KeyObject[]
  /** Roots: who has a certificate of them for signing code may sign. */
  roots: X509Certificate[]
}

/** Reads PEM. Throws ManifestError manifest_keys, which says which one is no key. */
export function readTrust(pems: readonly string[]): Trust {
  const trust: Trust = { keys: [], roots: [] }
  for (const [i, pem] of pems.entries()) {
    const place = `Key ${i + 1}`
    if (pem.length > PEM_CHARS_MAX) throw wrong(`${place} is too long to be one`)
    const blocks = pem.match(/-----BEGIN ([A-Z ]+)-----[^-]*-----END \1-----/g) ?? []
    if (blocks.length === 0) throw wrong(`${place} is no PEM`)
    for (const block of blocks) take(block, place, trust)
  }
  if (trust.keys.length + trust.roots.length > TRUSTED_MAX) {
    throw wrong(`There are more than ${TRUSTED_MAX} keys`)
  }
  return trust
}

function take(block: string, place: string, trust: Trust): void {
  if (block.includes('PRIVATE KEY')) throw wrong(`${place} is private: nobody else may have it`)
  let certificate: X509Certificate | null = null
  let key: KeyObject
  try {
    if (block.includes('BEGIN CERTIFICATE')) certificate = new X509Certificate(block)
    key = certificate?.publicKey ?? createPublicKey(block)
  } catch {
    throw wrong(`${place} cannot be read`)
  }
  if (certificate?.ca) return void trust.roots.push(certificate)
  if (hashOf(key) === undefined) throw wrong(`${place} is of another kind (${kindOf(key)})`)
  trust.keys.push(key)
}

/** Null: the signature is made over the data itself (Ed25519). Undefined: not supported. */
function hashOf(key: KeyObject): string | null | undefined {
  if (key.asymmetricKeyType === 'ed25519') return null
  return key.asymmetricKeyType === 'ec'
    ? hashes[key.asymmetricKeyDetails?.namedCurve ?? ''] : undefined
}

function kindOf(key: KeyObject): string {
  return [key.asymmetricKeyType, key.asymmetricKeyDetails?.namedCurve].filter(Boolean).join(' ')
}

/** SHA-256 of the key in PEM, hex: what bundles have as the hint of their key. */
export function keyIdOf(key: KeyObject): string {
  return createHash('sha256').update(key.export({ type: 'spki', format: 'pem' })).digest('hex')
}

/** The id of the trusted key that signed. Throws ManifestError, mostly manifest_untrusted. */
export function checkSignature(envelope: Envelope, trust: Trust): string {
  const signed = preAuthenticationEncoding(envelope.payload)
  const isBy = (key: KeyObject): boolean =>
    envelope.signatures.some((signature) => isSignature(signed, key, signature))
  const key = trust.keys.find(isBy)
  if (key !== undefined) return keyIdOf(key)
  const certified = certifiedKey(envelope, trust)
  if (certified !== null && isBy(certified)) return keyIdOf(certified)
  const known = trust.keys.some((one) => keyIdOf(one) === envelope.hint)
  throw untrusted(known || certified !== null
    ? 'The signature is not of the key that it names: the manifest was changed after it was signed'
    : 'No key that is trusted signed the manifest')
}

function isSignature(signed: Buffer, key: KeyObject, signature: Buffer): boolean {
  try {
    return verify(hashOf(key)!, signed, key, signature)
  } catch {
    return false
  }
}

/** The key of the first certificate, when a trusted root stands behind it; null without any. */
function certifiedKey({ certificates }: Envelope, { roots }: Trust): KeyObject | null {
  if (certificates.length === 0) return null
  if (certificates[0].includes(FULCIO)) {
    throw untrusted('It was signed by an identity (with Fulcio and Rekor), not by a key')
  }
  if (roots.length === 0) throw untrusted('A certificate signed, and no root of it is trusted')
  const [leaf, ...others] = certificates.map(readCertificate)
  const usage = leaf.keyUsage as string[] | undefined
  if (usage !== undefined && !usage.includes(CODE_SIGNING)) {
    throw untrusted('The certificate is not meant for signing')
  }
  if (!leadsToRoot(leaf, others, roots)) {
    throw untrusted('The certificate does not lead to a root that is trusted')
  }
  if (hashOf(leaf.publicKey) === undefined) {
    throw untrusted(`The key of the certificate is of another kind (${kindOf(leaf.publicKey)})`)
  }
  return leaf.publicKey
}

/**
 * Goes from issuer to issuer. When it was signed is not known for sure: as the tool does, the
 * authorities must have been valid when the certificate began, and nothing is asked of later.
 */
function leadsToRoot(
  leaf: X509Certificate, others: X509Certificate[], roots: X509Certificate[],
): boolean {
  const at = leaf.validFromDate.getTime()
  const isValid = (one: X509Certificate): boolean =>
    one.validFromDate.getTime() <= at && at <= one.validToDate.getTime()
  const signed = (issuer: X509Certificate, one: X509Certificate): boolean =>
    issuer.ca && isValid(issuer) && one.checkIssued(issuer) && one.verify(issuer.publicKey)
  let current = leaf
  const left = [...others]
  for (;;) {
    if (roots.some((root) => signed(root, current))) return true
    const next = left.findIndex((one) => signed(one, current))
    if (next < 0) return false
    current = left.splice(next, 1)[0]
  }
}

function readCertificate(der: Buffer): X509Certificate {
  try {
    return new X509Certificate(der)
  } catch {
    throw new ManifestError('manifest_format', 'A certificate of the bundle cannot be read')
  }
}

const untrusted = (what: string): ManifestError => new ManifestError('manifest_untrusted', what)
const wrong = (what: string): ManifestError => new ManifestError('manifest_keys', what)
