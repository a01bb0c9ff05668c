// The attestation report of a GPU: an SPDM 1.1 request for measurements and its signed response.
// Source of the layout: DSP0274 of DMTF, and what NVIDIA's attestation-sdk (Apache-2.0) reads.

/** Bytes that no report comes near. */
const REPORT_BYTES_MAX = 64 * 1024

const REQUEST_BYTES = 37
const NONCE_BYTES = 32
const SIGNATURE_BYTES = 96

/** Bytes that are not an attestation report; the message says at which byte, and what was there. */
export class AttestationFormatError extends Error {
  readonly code = 'ATTESTATION_FORMAT'
}

export interface AttestationReport {
  /** What the GPU was asked with, 32 bytes as hex. */
  nonce: string
  /** Digests by index of the block, which begins with 1; hex. */
  measurements: ReadonlyMap<number, string>
  /** What NVIDIA adds, by number; the last one wins. */
  opaque: ReadonlyMap<number, Buffer>
  /** What is signed: request and response without the signature. */
  signedBytes: Buffer
  /** ECDSA P-384, r and s, 96 bytes. */
  signature: Buffer
}

/** Numbers of what NVIDIA adds to a report. */
export const OPAQUE = {
  driver_version: 3, vbios_version: 6, nvdec0_status: 11, project: 17, project_sku: 18, fwid: 20,
} as const

/**
 * Reads a report: request and response, in one piece.
 * @throws {AttestationFormatError} on bytes that are cut, too long or of another kind.
 */
export function parseReport(bytes: Buffer): AttestationReport {
  if (bytes.length > REPORT_BYTES_MAX) {
    throw new AttestationFormatError(`${bytes.length} bytes are no attestation report: at most ` +
      `${REPORT_BYTES_MAX} are`)
  }
  const reader = new Reader(bytes)
  reader.expect([0x11, 0xe0], 'an SPDM 1.1 request for measurements (11 e0)')
  reader.skip(2, 'parameters of the request')
  const asked = reader.take(NONCE_BYTES, 'nonce of the request')
  reader.skip(REQUEST_BYTES - 4 - NONCE_BYTES, 'slot of the request')
  reader.expect([0x11, 0x60], 'an SPDM 1.1 response with measurements (11 60)')
  reader.skip(2, 'parameters of the response')
  const blocks = reader.u8('number of blocks')
  const record = reader.take(reader.u24('length of the record'), 'measurements')
  reader.skip(NONCE_BYTES, 'nonce of the response')
  const opaque = reader.take(reader.u16('length of the opaque data'), 'opaque data')
  const signedBytes = bytes.subarray(0, reader.at)
  const signature = reader.take(SIGNATURE_BYTES, 'signature')
  reader.end()
  return {
    nonce: asked.toString('hex'), signedBytes, signature,
    measurements: measurementsOf(record, blocks), opaque: opaqueOf(opaque),
  }
}

/** Text of an opaque value: printable ASCII up to the first NUL; undefined when there is none. */
export function opaqueText(report: AttestationReport, number: number): string | undefined {
  const value = report.opaque.get(number)
  if (!value) return undefined
  const end = value.indexOf(0)
  const text = value.subarray(0, end < 0 ? value.length : end).toString('latin1')
  return /^[\x20-\x7e]{1,128}$/.test(text) ? text : undefined
}

/** As `96.00.9F.00.01`: NVIDIA stores it as a number of four bytes, least first, and a fifth. */
export function vbiosVersionOf(report: AttestationReport): string | undefined {
  const value = report.opaque.get(OPAQUE.vbios_version)
  if (!value || value.length < 5) return undefined
  return [3, 2, 1, 0, 4].map((i) => hex2(value[i])).join('.')
}

function hex2(value: number): string {
  return value.toString(16).padStart(2, '0').toUpperCase()
}

function measurementsOf(record: Buffer, blocks: number): Map<number, string> {
  const found = new Map<number, string>()
  const reader = new Reader(record)
  for (let i = 0; i < blocks; i++) {
    const index = reader.u8(`index of block ${i + 1}`)
    reader.skip(1, 'specification of a block')
    const bytes = reader.u16(`length of block ${index}`)
    const block = reader.take(bytes, `block ${index}`)
    const inner = new Reader(block)
    inner.skip(1, `type of measurement ${index}`)
    const value = inner.take(inner.u16(`length of measurement ${index}`), `measurement ${index}`)
    inner.end()
    if (found.has(index)) throw new AttestationFormatError(`measurement ${index} is there twice`)
    found.set(index, value.toString('hex'))
  }
  reader.end()
  return found
}

function opaqueOf(bytes: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>()
  const reader = new Reader(bytes)
  while (!reader.ended()) {
    const number = reader.u16('number of an opaque value')
    found.set(number, reader.take(reader.u16('length of an opaque value'), `opaque ${number}`))
  }
  return found
}

class Reader {
  at = 0
  readonly #bytes: Buffer

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  take(count: number, what: string): Buffer {
    if (this.at + count > this.#bytes.length) {
      throw new AttestationFormatError(`cut at byte ${this.#bytes.length}: ${what} needs ` +
        `${count} bytes from byte ${this.at}`)
    }
    this.at += count
    return this.#bytes.subarray(this.at - count, this.at)
  }

  skip(count: number, what: string): void {
    this.take(count, what)
  }

  u8(what: string): number {
    return this.take(1, what)[0]
  }

  u16(what: string): number {
    return this.take(2, what).readUInt16LE(0)
  }

  u24(what: string): number {
    return this.take(3, what).readUIntLE(0, 3)
  }

  expect(wanted: number[], what: string): void {
    const start = this.at
    const got = this.take(wanted.length, what)
    if (wanted.some((byte, i) => got[i] !== byte)) {
      throw new AttestationFormatError(`byte ${start} should begin ${what}, and is ` +
        got.toString('hex'))
    }
  }

  ended(): boolean {
    return this.at === this.#bytes.length
  }

  end(): void {
    if (this.ended()) return
    throw new AttestationFormatError(`${this.#bytes.length - this.at} bytes too many from byte ` +
      String(this.at))
  }
}
