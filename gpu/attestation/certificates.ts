// Certificate chains of GPUs and of reference values: who vouches for a key.
import { fromBER, ObjectIdentifier, OctetString, Sequence } from 'asn1js'
import { X509Certificate } from 'node:crypto'

/** Certificates that no chain of NVIDIA comes near. */
const CERTIFICATES_MAX = 16
const PEM_BYTES_MAX = 64 * 1024

/** Text that is no chain of certificates; the message says what is wrong with which. */
export class CertificateFormatError extends Error {
  readonly code = 'CERTIFICATE_FORMAT'
}

/**
 * SHA-256 of the root certificates by which NVIDIA vouches, upper-case hex: the fingerprint of the
 * last certificate of published chains, and of the root that its verifier ships.
 */
export const NVIDIA_ROOTS = {
  device_identity: '102BF659D5419614C9D8E6AECEBC80454EB26B1DF6A769AC720B9A690B167B48',
  reference_values: '12977B5115ACB0381179279FFFEB5A8C4D264971EBB32298023A465FA41DF5D1',
} as const

/**
 * Reads PEM certificates, in their order.
 * @throws {CertificateFormatError} when there is none, too many, or one cannot be read.
 */
export function readChain(pem: string): X509Certificate[] {
  if (pem.length > PEM_BYTES_MAX) {
    throw new CertificateFormatError(`${pem.length} bytes of certificates: at most ` +
      `${PEM_BYTES_MAX} are read`)
  }
  const parts = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
  if (parts.length === 0) throw new CertificateFormatError('there is no PEM certificate in it')
  if (parts.length > CERTIFICATES_MAX) {
    throw new CertificateFormatError(`${parts.length} certificates: at most ${CERTIFICATES_MAX} ` +
      'make a chain')
  }
  return parts.map((part, i) => {
    try {
      return new X509Certificate(part)
    } catch (error) {
      throw new CertificateFormatError(`certificate ${i + 1} cannot be read: ` +
        (error as Error).message)
    }
  })
}

/**
 * Why a chain, leaf first, is not vouched for by one of these roots; undefined when it is. The last
 * certificate is a root itself, or was issued by one of `rootCertificates`. Dates are not checked.
 * @param roots SHA-256 of the roots that are believed, hex without colons.
 */
export function chainFault(chain: readonly X509Certificate[], roots: readonly string[],
  rootCertificates: readonly X509Certificate[] = []): string | undefined {
  if (chain.length === 0) return 'there is no certificate'
  const believed = new Set(roots.map((root) => root.toUpperCase()))
  for (let i = 0; i + 1 < chain.length; i++) {
    if (!isIssuedBy(chain[i], chain[i + 1])) {
      return `certificate ${i + 1} (${nameOf(chain[i])}) is not issued by the next one ` +
        `(${nameOf(chain[i + 1])})`
    }
  }
  const last = chain[chain.length - 1]
  if (believed.has(fingerprintOf(last))) return undefined
  const root = rootCertificates.find((one) =>
    believed.has(fingerprintOf(one)) && isIssuedBy(last, one))
  return root ? undefined : `it ends at ${nameOf(last)}, which no believed root vouches for`
}

/** Which certificate of a chain is not valid at a time, in words; undefined when all are. */
export function validityFault(chain: readonly X509Certificate[], atMs: number): string | undefined {
  for (const certificate of chain) {
    if (atMs < Date.parse(certificate.validFrom)) {
      return `${nameOf(certificate)} is not valid before ${certificate.validFrom}`
    }
    if (atMs > Date.parse(certificate.validTo)) {
      return `${nameOf(certificate)} expired on ${certificate.validTo}`
    }
  }
  return undefined
}

/** SHA-256 of a certificate, upper-case hex without colons. */
export function fingerprintOf(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(':', '')
}

/**
 * Digests of the firmware that a certificate speaks for: the FWIDs of its DICE TcbInfo
 * (2.23.133.5.4.1 of TCG), hex, those of nothing but zeros left out.
 */
export function firmwareIdsOf(certificate: X509Certificate): string[] {
  const tcbInfo = extensionOf(certificate, ['2.23.133.5.4.1', '2.23.133.5.4.1.1'])
  const digests: Buffer[] = []
  if (tcbInfo) collectDigests(readDer(tcbInfo), digests, 0)
  return digests.map((digest) => digest.toString('hex')).filter((digest) => !/^0*$/.test(digest))
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
}

function nameOf(certificate: X509Certificate): string {
  const name = /(?:^|\n)CN=([^\n]{1,80})/.exec(certificate.subject)?.[1] ?? 'a certificate'
  return name.replace(/[^\x20-\x7e]/g, '?')
}

function readDer(bytes: Buffer): unknown {
  const { offset, result } = fromBER(new Uint8Array(bytes))
  return offset === -1 ? undefined : result
}

function extensionOf(certificate: X509Certificate, wanted: readonly string[]): Buffer | undefined {
  const stack: unknown[] = [readDer(certificate.raw)]
  while (stack.length > 0) {
    const at = stack.pop()
    const children = childrenOf(at)
    const [id, value] = [children[0], children.at(-1)]
    if (at instanceof Sequence && id instanceof ObjectIdentifier && value instanceof OctetString
      && wanted.includes(id.valueBlock.toString())) {
      return Buffer.from(value.valueBlock.valueHexView)
    }
    stack.push(...children)
  }
  return undefined
}

/** A FWID is a sequence of an algorithm and a digest. */
function collectDigests(at: unknown, digests: Buffer[], depth: number): void {
  const children = childrenOf(at)
  if (depth > 16) return
  if (children.length === 2 && children[0] instanceof ObjectIdentifier
    && children[1] instanceof OctetString) {
    digests.push(Buffer.from(children[1].valueBlock.valueHexView))
    return
  }
  for (const child of children) collectDigests(child, digests, depth + 1)
}

function childrenOf(node: unknown): unknown[] {
  const value = (node as { valueBlock?: { value?: unknown } } | undefined)?.valueBlock?.value
  return Array.isArray(value) ? value : []
}
