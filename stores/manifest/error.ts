/** What can be wrong with a manifest, each with what to do about it. */
export const MANIFEST_ERRORS = {
  manifest_format: 'Sign the files again; the manifest is no bundle of OpenSSF model signing v1.',
  manifest_too_large: 'Sign every model by itself instead of many with one manifest.',
  manifest_unsupported: 'Sign the files with a key or certificate, by SHA-256 or BLAKE2b.',
  manifest_untrusted: 'Find out who signed it; if it was you, add the key to manifest_keys.',
  manifest_keys: 'Give public keys or certificates in PEM: Ed25519, or ECDSA with P-256, P-384 or '
    + 'P-521.',
} as const

export type ManifestErrorCode = keyof typeof MANIFEST_ERRORS

/** The only error that this folder throws on purpose. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError'
  readonly code: ManifestErrorCode

  /** @param what what is wrong and where, in plain words, without a full stop. */
  constructor(code: ManifestErrorCode, what: string) {
    super(`${what}. ${MANIFEST_ERRORS[code]}`)
    this.code = code
  }
}

/** Text of others for an error message: short, and nothing in it but what can be printed. */
export function quoted(text: unknown): string {
  const short = typeof text === 'string' ? text : String(JSON.stringify(text))
  return JSON.stringify(short.slice(0, 80)).replace(/[^\x20-\x7e]/g, '?')
}
