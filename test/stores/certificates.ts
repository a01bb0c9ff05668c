// Issues certificates with openssl, for tests of what they sign.
import { execFileSync } from 'node:child_process'
import { createPrivateKey, createPublicKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Extensions of who may issue certificates, and of who may sign code. */
export const authority = 'basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign'
export const signer = 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=codeSigning'

/** A key, and the file of its certificate. */
export interface Certified { privateKey: KeyObject, publicKey: KeyObject, pem: string, certificate: string }

/** Makes a key (ECDSA, P-256) and its certificate in `dir`, issued by itself when there is no issuer. */
export function issued(dir: string, name: string, extensions: string, issuer?: Certified): Certified {
  const file = (suffix: string): string => join(dir, `${name}.${suffix}`)
  const run = (...args: string[]): void => void execFileSync('openssl', args, { stdio: 'pipe' })
  writeFileSync(file('ext'), `[v3]\n${extensions}\n`)
  run('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', file('key'))
  run('req', '-new', '-key', file('key'), '-subj', `/CN=${name}`, '-out', file('csr'))
  const by = issuer === undefined ? ['-signkey', file('key')]
    : ['-CA', issuer.certificate, '-CAkey', issuer.certificate.replace('.crt', '.key'), '-CAcreateserial']
  run('x509', '-req', '-in', file('csr'), '-out', file('crt'), '-days', '30', '-extfile', file('ext'),
    '-extensions', 'v3', ...by)
  const privateKey = createPrivateKey(readFileSync(file('key')))
  const publicKey = createPublicKey(privateKey)
  const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string
  return { privateKey, publicKey, pem, certificate: file('crt') }
}
