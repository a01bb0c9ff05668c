// Makes manifests of OpenSSF model signing v1 as the tool does, with keys of the test.
import { createHash, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { keyIdOf } from '../../stores/manifest/trust.ts'

export interface SampleOptions {
  /** The bundle says how it was signed; default: by the key. */
  material?: unknown
  /** Changes the statement before it is signed. */
  statement?: (statement: Loose) => void
  /** Changes the bundle after it was signed. */
  bundle?: (bundle: Loose) => void
  algorithm?: string
  ignored?: string[]
  shardBytes?: number
}
/** A tree of JSON that tests reach into. */
export type Loose = ReturnType<typeof JSON.parse>
type Files = Record<string, Uint8Array | string>

const hashOfCurve: Record<string, string> =
  { prime256v1: 'sha256', secp384r1: 'sha384', secp521r1: 'sha512', secp256k1: 'sha256' }

/** A bundle over the files, signed with the private key. */
export function signedManifest(
  files: Files, key: KeyObject, publicKey: KeyObject, options: SampleOptions = {},
): Buffer {
  const resources = resourcesOf(files, options)
  const root = createHash('sha256')
  for (const { digest } of resources) root.update(Buffer.from(digest, 'hex'))
  const statement: Record<string, unknown> = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'sample', digest: { sha256: root.digest('hex') } }],
    predicateType: 'https://model_signing/signature/v1.0',
    predicate: {
      serialization: {
        method: options.shardBytes ? 'shards' : 'files', hash_type: options.algorithm ?? 'sha256',
        allow_symlinks: false, ignore_paths: options.ignored ?? ['model.sig', '.git'],
      },
      resources,
    },
  }
  options.statement?.(statement)
  const payload = Buffer.from(JSON.stringify(statement, null, 2))
  const type = 'application/vnd.in-toto+json'
  const signed = Buffer.concat([
    Buffer.from(`DSSEv1 ${type.length} ${type} ${payload.length} `), payload])
  const hash = key.asymmetricKeyType === 'ed25519' ? null
    : hashOfCurve[key.asymmetricKeyDetails!.namedCurve!]
  const bundle = {
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    verificationMaterial: options.material ??
      { publicKey: { hint: keyIdOf(publicKey) }, tlogEntries: [] },
    dsseEnvelope: {
      payload: payload.toString('base64'), payloadType: type,
      signatures: [{ sig: sign(hash, signed, key).toString('base64'), keyid: '' }],
    },
  }
  options.bundle?.(bundle)
  return Buffer.from(JSON.stringify(bundle))
}

function resourcesOf(files: Files, options: SampleOptions) {
  const { algorithm = 'sha256', shardBytes } = options
  const digestOf = (bytes: Uint8Array): string =>
    createHash(algorithm === 'blake2b' ? 'blake2b512' : 'sha256').update(bytes).digest('hex')
  return Object.entries(files).toSorted(([a], [b]) => a < b ? -1 : 1).flatMap(([name, content]) => {
    const bytes = Buffer.from(content)
    if (!shardBytes) return [{ name, algorithm, digest: digestOf(bytes) }]
    const count = Math.ceil(bytes.length / shardBytes)
    return Array.from({ length: count }, (_, i) => {
      const [start, end] = [i * shardBytes, Math.min(bytes.length, (i + 1) * shardBytes)]
      return { name: `${name}:${start}:${end}`, algorithm: `${algorithm}-sharded-${shardBytes}`,
        digest: digestOf(bytes.subarray(start, end)) }
    })
  })
}
