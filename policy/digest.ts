import { createHash } from 'node:crypto'

/**
 * The identity of a policy: SHA-256, in lower-case hex, of the exact UTF-8 bytes of its text.
 * Nothing is normalised, so `sha256sum vedette.yaml` prints the same value and a comment that
 * changed is a change.
 */
export function policyDigest(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex')
}
