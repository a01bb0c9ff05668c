// For tests: a GPU of our own, with a chain of certificates that openssl makes and a report signed
// by its key. The layout is that of real reports.
import { execFileSync } from 'node:child_process'
import { randomBytes, sign, X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fingerprintOf } from '../../gpu/attestation/certificates.ts'

export interface SampleAuthority {
  /** PEM, leaf first, the root last. */
  chain: string
  /** SHA-256 of the root. */
  root: string
  rootPem: string
  leafKey: string
}

export interface SampleReport {
  measurements: ReadonlyMap<number, string>
  driverVersion?: string
  fwid?: string
  nvdec0?: number
  nonce?: string
}

/** A root and a leaf below it, made in `folder`; the leaf speaks for the firmware `fwid`, hex. */
export function makeAuthority(folder: string, fwid?: string, days = 3650): SampleAuthority {
  const file = (name: string) => join(folder, name)
  const openssl = (...options: string[]) => execFileSync('openssl', options, { stdio: 'pipe' })
  // DICE TcbInfo, as of Blackwell: fwids [6] of one FWID, algorithm SHA-384.
  const one = `303d06096086480165030402020430${fwid ?? ''}`
  const extension = fwid === undefined ? ''
    : `2.23.133.5.4.1=DER:3041a63f${one}\n`
  writeFileSync(file('leaf.cnf'), `basicConstraints=CA:FALSE\n${extension}`)
  openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-nodes', '-subj',
    '/CN=Sample root', '-days', '3650',
    '-keyout', file('root.key'), '-out', file('root.pem'))
  openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-nodes', '-subj',
    '/CN=Sample GPU', '-keyout', file('leaf.key'), '-out', file('leaf.csr'))
  openssl('x509', '-req', '-in', file('leaf.csr'), '-CA', file('root.pem'),
    '-CAkey', file('root.key'), '-days', String(days), '-sha384', '-extfile', file('leaf.cnf'),
    '-out', file('leaf.pem'))
  const rootPem = readFileSync(file('root.pem'), 'utf8')
  return {
    chain: readFileSync(file('leaf.pem'), 'utf8') + rootPem, rootPem,
    root: fingerprintOf(new X509Certificate(rootPem)),
    leafKey: readFileSync(file('leaf.key'), 'utf8'),
  }
}

/** A report as a GPU would give it, signed by the leaf. */
export function makeReport(authority: SampleAuthority, report: SampleReport): Buffer {
  const blocks = [...report.measurements].map(([index, digest]) => {
    const value = Buffer.from(digest, 'hex')
    return Buffer.concat([Buffer.from([index, 1]), u16(value.length + 3), Buffer.from([1]),
      u16(value.length), value])
  })
  const record = Buffer.concat(blocks)
  const nonce = Buffer.from(report.nonce ?? randomBytes(32).toString('hex'), 'hex')
  const opaque = Buffer.concat([
    ...report.driverVersion === undefined ? [] : [tlv(3, Buffer.from(`${report.driverVersion}\0`))],
    tlv(6, Buffer.from('0001009600000000', 'hex')),
    ...report.nvdec0 === undefined ? [] : [tlv(11, Buffer.from([report.nvdec0]))],
    ...report.fwid === undefined ? [] : [tlv(20, Buffer.from(report.fwid, 'hex'))],
  ])
  const signed = Buffer.concat([
    Buffer.from([0x11, 0xe0, 1, 0xff]), nonce, Buffer.from([0]),
    Buffer.from([0x11, 0x60, 0, 0, report.measurements.size]), u16(record.length), Buffer.from([0]),
    record, randomBytes(32), u16(opaque.length), opaque,
  ])
  return Buffer.concat([signed, sign('sha384', signed,
    { key: authority.leafKey, dsaEncoding: 'ieee-p1363' })])
}

function tlv(number: number, value: Buffer): Buffer {
  return Buffer.concat([u16(number), u16(value.length), value])
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16LE(value)
  return bytes
}
