/**
 * Signed lists of the files of a model: OpenSSF model signing v1, as the tool `model_signing`
 * writes them (https://github.com/sigstore/model-transparency, version 1.0 and later).
 *
 * Supported: a Sigstore bundle v0.3 (JSON) with a DSSE envelope around an in-toto statement v1 with
 * predicateType https://model_signing/signature/v1.0; files whole or in shards; SHA-256 and
 * BLAKE2b; signatures by ECDSA with P-256 (SHA-256), P-384 (SHA-384), P-521 (SHA-512), and Ed25519;
 * by a key that is trusted, or a certificate that leads to a root that is trusted.
 * Not supported, and so never good: signing without keys (Fulcio and Rekor), BLAKE3, bundles of
 * versions before 1.0. Revocation and the length of paths of certificates are not looked at.
 * A key or certificate that is only in the bundle is worth nothing.
 */
import { readEnvelope } from './envelope.ts'
import { readStatement } from './statement.ts'
import type { Expected, Statement } from './statement.ts'
import { checkSignature, readTrust } from './trust.ts'

/** A manifest whose signature is good. */
export interface Manifest extends Statement {
  /** Who signed: SHA-256 of the key in PEM, hex. */
  keyId: string
}

/**
 * Reads a manifest and checks who signed it. Throws ManifestError, which says what is wrong; what
 * is in the statement is looked at only when the signature is good.
 *
 * @param bytes the bundle, at most 8 MiB
 * @param pems public keys, or certificates of authorities, that are trusted
 */
export function readManifest(bytes: Uint8Array, pems: readonly string[]): Manifest {
  const trust = readTrust(pems)
  const envelope = readEnvelope(bytes)
  const keyId = checkSignature(envelope, trust)
  return { ...readStatement(envelope.payload), keyId }
}

/** What the manifest says of a file; null if nothing, 'ignored' if it leaves it out on purpose. */
export function expectedOf(manifest: Statement, name: string): Expected | 'ignored' | null {
  const expected = manifest.files.get(name)
  if (expected !== undefined) return expected
  const isIgnored = manifest.ignored.some((one) => name === one || name.startsWith(`${one}/`))
  return isIgnored ? 'ignored' : null
}

/** Reads a manifest that nobody has to have signed: its keyId is empty. Throws as above. */
export function readUnsigned(bytes: Uint8Array): Manifest {
  return { ...readStatement(readEnvelope(bytes).payload), keyId: '' }
}
