// Ed25519 over what a baseline says: JSON with sorted keys, without the signature.
import {
  createHash, createPrivateKey, createPublicKey, sign, verify, type KeyObject,
} from 'node:crypto'
import type { Baseline } from './baseline.ts'

/** A key that cannot be used; the message says how to make one. */
export class BaselineKeyError extends Error {
  readonly code = 'BASELINE_KEY'
}

/** What came of checking a signature. */
export type SignatureState =
  { state: 'trusted', keyId: string } | { state: 'unsigned' | 'unknown_key' | 'forged' }

const HOW = 'make one with: openssl genpkey -algorithm ed25519 -out baseline.key'

/**
 * The baseline with a signature by a private key, PEM; one that it had is replaced.
 * @throws {BaselineKeyError} when it is not an Ed25519 private key.
 */
export function signBaseline(baseline: Baseline, privateKeyPem: string): Baseline {
  const key = keyOf(() => createPrivateKey(privateKeyPem), 'private')
  const value = sign(null, signedBytes(baseline), key).toString('base64')
  const signature = { algorithm: 'ed25519' as const, key_id: keyIdOf(createPublicKey(key)), value }
  return { ...baseline, signature }
}

/**
 * Whether one of these public keys, PEM, signed it.
 * @throws {BaselineKeyError} when one is not an Ed25519 public key.
 */
export function checkSignature(baseline: Baseline,
  publicKeysPem: readonly string[]): SignatureState {
  const keys = publicKeysPem.map((pem) => keyOf(() => createPublicKey(pem), 'public'))
  const { signature } = baseline
  if (!signature) return { state: 'unsigned' }
  const key = keys.find((one) => keyIdOf(one) === signature.key_id)
  if (!key) return { state: 'unknown_key' }
  return verify(null, signedBytes(baseline), key, Buffer.from(signature.value, 'base64'))
    ? { state: 'trusted', keyId: signature.key_id } : { state: 'forged' }
}

function keyOf(read: () => KeyObject, wanted: string): KeyObject {
  try {
    const key = read()
    if (key.asymmetricKeyType === 'ed25519') return key
    const kind = key.asymmetricKeyType ?? 'no known kind'
    throw new BaselineKeyError(`it is a key of ${kind}, not of Ed25519; ${HOW}`)
  } catch (error) {
    if (error instanceof BaselineKeyError) throw error
    throw new BaselineKeyError(`it is not a ${wanted} key in PEM; ${HOW}`)
  }
}

function keyIdOf(key: KeyObject): string {
  return createHash('sha256').update(key.export({ type: 'spki', format: 'der' })).digest('hex')
    .slice(0, 16)
}

function signedBytes(baseline: Baseline): Buffer {
  return Buffer.from(canonical({ ...baseline, signature: undefined }))
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const entries = Object.entries(value).filter(([, one]) => one !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${entries.map(([key, one]) => `${JSON.stringify(key)}:${canonical(one)}`).join(',')}}`
}
