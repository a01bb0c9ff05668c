/** The outer layers: Sigstore bundle (JSON) and DSSE envelope. Nothing in them is trusted yet. */
import { ManifestError, quoted } from './error.ts'

/** A larger one is not read: this has room for 25,000 files with long names. */
export const BUNDLE_BYTES_MAX = 8 * 1024 * 1024
const SIGNATURES_MAX = 16
const CERTIFICATES_MAX = 16
const CERTIFICATE_BYTES_MAX = 64 * 1024
const SIGNATURE_BYTES_MAX = 1024

const MEDIA_TYPE = /^application\/vnd\.dev\.sigstore\.bundle(?:\.v0\.3\+json|\+json;version=0\.3)$/
const PAYLOAD_TYPE = 'application/vnd.in-toto+json'

/** What a bundle carries. */
export interface Envelope {
  /** The statement, as it was signed. */
  payload: Buffer
  signatures: Buffer[]
  /** DER; the first is of who signed, the others lead to its root. Empty when a key signed. */
  certificates: Buffer[]
  /** What the bundle says of its key: SHA-256 of its PEM, hex. '' when it says nothing. */
  hint: string
}

export type JsonObject = { readonly [key: string]: unknown }

/**
 * Reads a bundle. Throws ManifestError manifest_too_large, manifest_format, manifest_unsupported.
 */
export function readEnvelope(bytes: Uint8Array): Envelope {
  if (bytes.length > BUNDLE_BYTES_MAX) {
    throw new ManifestError('manifest_too_large',
      `The manifest has ${bytes.length} bytes; at most ${BUNDLE_BYTES_MAX} are read`)
  }
  const bundle = objectOf(parse(bytes, 'bundle'), 'The bundle')
  if (typeof bundle.mediaType !== 'string' || !MEDIA_TYPE.test(bundle.mediaType)) {
    throw wrong(`mediaType is ${quoted(bundle.mediaType)}, not of a Sigstore bundle v0.3`)
  }
  if (bundle.dsseEnvelope === undefined && bundle.messageSignature !== undefined) {
    throw new ManifestError('manifest_unsupported', 'The bundle signs one file, no list of files')
  }
  const envelope = objectOf(bundle.dsseEnvelope, 'dsseEnvelope')
  if (envelope.payloadType !== PAYLOAD_TYPE) {
    throw wrong(`payloadType is ${quoted(envelope.payloadType)}, not ${PAYLOAD_TYPE}`)
  }
  const signatures = listOf(envelope.signatures, 'signatures', 1, SIGNATURES_MAX).map((one) =>
    bytesOf(objectOf(one, 'A signature').sig, 'sig', SIGNATURE_BYTES_MAX))
  const material = objectOf(bundle.verificationMaterial, 'verificationMaterial')
  return {
    payload: bytesOf(envelope.payload, 'payload', BUNDLE_BYTES_MAX), signatures,
    certificates: certificatesOf(material), hint: hintOf(material),
  }
}

/**
 * What is signed of a payload: DSSE's pre-authentication encoding.
 * Source: https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md
 */
export function preAuthenticationEncoding(payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} ${payload.length} `
  return Buffer.concat([Buffer.from(head, 'ascii'), payload])
}

/** JSON in UTF-8. Throws ManifestError manifest_format. */
export function parse(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw wrong(`The ${what} is no JSON in UTF-8`)
  }
}

/** The value as an object. Throws ManifestError manifest_format. */
export function objectOf(value: unknown, what: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrong(`${what} is no object`)
  }
  return value as JsonObject
}

/** The value as a list. Throws ManifestError manifest_format, manifest_too_large. */
export function listOf(value: unknown, what: string, min: number, max: number): unknown[] {
  if (!Array.isArray(value) || value.length < min) {
    throw wrong(`${what} is no list with at least ${min}`)
  }
  if (value.length > max) {
    throw new ManifestError('manifest_too_large',
      `${what} has ${value.length} entries; at most ${max} are read`)
  }
  return value
}

function certificatesOf({ certificate, x509CertificateChain: chain }: JsonObject): Buffer[] {
  const all = certificate !== undefined ? [certificate]
    : chain === undefined ? []
    : listOf(objectOf(chain, 'x509CertificateChain').certificates, 'certificates', 1,
      CERTIFICATES_MAX)
  return all.map((one) =>
    bytesOf(objectOf(one, 'A certificate').rawBytes, 'rawBytes', CERTIFICATE_BYTES_MAX))
}

function hintOf({ publicKey }: JsonObject): string {
  if (publicKey === undefined) return ''
  const { hint } = objectOf(publicKey, 'publicKey')
  return typeof hint === 'string' ? hint : ''
}

function bytesOf(value: unknown, what: string, bytesMax: number): Buffer {
  if (typeof value !== 'string' || value === '') throw wrong(`${what} is no text`)
  if (value.length > Math.ceil(bytesMax / 3) * 4) {
    throw new ManifestError('manifest_too_large', `${what} has more than ${bytesMax} bytes`)
  }
  const bytes = Buffer.from(value, 'base64')
  if (bytes.toString('base64') !== value) throw wrong(`${what} is no base64`)
  return bytes
}

const wrong = (what: string): ManifestError => new ManifestError('manifest_format', what)
