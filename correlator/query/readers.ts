/** Who may read: whoever connects, or the certificates that the settings name. */
import type { PeerCertificate } from 'node:tls'
import { namesOf } from '../ingest/uplink-stream.ts'

/**
 * Why whoever shows this certificate may not read, in words; null when it may.
 *
 * @param clients names in certificates, CN or DNS; empty for everyone
 */
export function readerProblem(
  clients: readonly string[], certificate: PeerCertificate | undefined,
): string | null {
  const names = namesOf(certificate)
  if (clients.length === 0 || names.some((name) => clients.includes(name))) return null
  return `the certificate of ${names.join(', ').slice(0, 200) || 'nobody'} may not read; `
    + 'add one of its names to query_clients of the correlator, or use another certificate'
}
