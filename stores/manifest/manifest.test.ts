import { spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { signedManifest } from '../../test/stores/manifest-sample.ts'
import { authority, issued, signer } from '../../test/stores/certificates.ts'
import type { Certified } from '../../test/stores/certificates.ts'
import type { Loose, SampleOptions } from '../../test/stores/manifest-sample.ts'
import { Content } from './content.ts'
import { ManifestError } from './error.ts'
import { expectedOf, readManifest } from './manifest.ts'
import { keyIdOf } from './trust.ts'

const files = { 'config.json': '{}', 'weights/model-1.safetensors': 'w'.repeat(5000), empty: '' }
const pemOf = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }) as string

interface Pair { privateKey: KeyObject, publicKey: KeyObject, pem: string }
function pairOf(kind: string): Pair {
  const pair = kind === 'ed25519' ? generateKeyPairSync('ed25519')
    : generateKeyPairSync('ec', { namedCurve: kind })
  return { ...pair, pem: pemOf(pair.publicKey) }
}
const mine = pairOf('ed25519')
const signed = (options?: SampleOptions, key: Pair = mine): Buffer =>
  signedManifest(files, key.privateKey, key.publicKey, options)

/** What is thrown; undefined when nothing is. */
function problemOf(act: () => unknown): ManifestError | undefined {
  try {
    act()
  } catch (error) {
    if (error instanceof ManifestError) return error
    throw error
  }
  return undefined
}
const codeOf = (bytes: Uint8Array, pems = [mine.pem]): string | undefined =>
  problemOf(() => readManifest(bytes, pems))?.code

function differs(manifest: ReturnType<typeof readManifest>, name: string, content: string): string {
  const expected = expectedOf(manifest, name)
  if (expected === null || expected === 'ignored') return String(expected)
  const whole = new Content(expected)
  const bytes = Buffer.from(content)
  for (let i = 0; i < bytes.length; i += 777) whole.update(bytes.subarray(i, i + 777))
  return whole.finish().differs
}

describe('a manifest', () => {
  it.each(['ed25519', 'prime256v1', 'secp384r1', 'secp521r1'])(
    'is good when a trusted key signed it: %s', (kind) => {
      const pair = pairOf(kind)
      const manifest = readManifest(signed({}, pair), [mine.pem, pair.pem])
      expect(manifest.keyId).toBe(keyIdOf(pair.publicKey))
      expect(manifest.model).toBe('sample')
      expect([...manifest.files.keys()].toSorted()).toEqual(Object.keys(files).toSorted())
      for (const [name, content] of Object.entries(files)) {
        expect(differs(manifest, name, content)).toBe('')
        expect(differs(manifest, name, `${content}!`)).toMatch(/^the manifest says sha256 [0-9a-f]{64}/)
      }
    })

  it('says nothing of files that it does not list, and which ones it leaves out on purpose', () => {
    const manifest = readManifest(signed({ ignored: ['.git/', 'model.sig'] }), [mine.pem])
    expect(expectedOf(manifest, 'model.sig')).toBe('ignored')
    expect(expectedOf(manifest, '.git/config')).toBe('ignored')
    expect(expectedOf(manifest, '.gitignore')).toBeNull()
    expect(expectedOf(manifest, '__proto__')).toBeNull()
  })

  it.each([['sha256', 1000], ['blake2b', undefined], ['blake2b', 4096]] as const)(
    'compares by %s in shards of %s bytes', (algorithm, shardBytes) => {
      const content = 'abc'.repeat(1500)
      const bytes = signedManifest({ w: content }, mine.privateKey, mine.publicKey, { algorithm, shardBytes })
      const manifest = readManifest(bytes, [mine.pem])
      expect(differs(manifest, 'w', content)).toBe('')
      expect(differs(manifest, 'w', `${content.slice(0, -1)}!`)).toMatch(/is not what|the manifest says/)
      expect(differs(manifest, 'w', content.slice(0, -1))).toMatch(/it ends at byte 4499|the manifest says/)
      expect(differs(manifest, 'w', `${content}c`)).toMatch(/goes on after byte 4500|the manifest says/)
      expect(differs(manifest, 'w', '')).not.toBe('')
    })

  it('is worth nothing without a key that is trusted', () => {
    const other = pairOf('prime256v1')
    expect(codeOf(signed(), [other.pem])).toBe('manifest_untrusted')
    expect(codeOf(signed(), [])).toBe('manifest_untrusted')
    // A key in the bundle is not looked at.
    const material = { publicKey: { rawBytes: Buffer.from(mine.pem).toString('base64') } }
    expect(codeOf(signed({ material }), [other.pem])).toBe('manifest_untrusted')
    expect(codeOf(signed({ material }))).toBeUndefined()
  })

  it('is not good when one letter of what was signed is another', () => {
    const change = (bundle: Loose) => {
      const envelope = bundle.dsseEnvelope as { payload: string }
      const text = Buffer.from(envelope.payload, 'base64').toString().replace('config.json', 'config.jsom')
      envelope.payload = Buffer.from(text).toString('base64')
    }
    const problem = problemOf(() => readManifest(signed({ bundle: change }), [mine.pem]))
    expect(problem?.code).toBe('manifest_untrusted')
    expect(problem?.message).toContain('was changed after it was signed')
  })

  it.each<[string, (statement: Loose) => void, string]>([
    ['of another type', (s) => { s._type = 'https://in-toto.io/Statement/v0.1' }, 'manifest_format'],
    ['of another predicate', (s) => { s.predicateType = 'https://slsa.dev/provenance/v1' }, 'manifest_format'],
    ['of the tool before 1.0', (s) => { s.predicateType = 'https://model_signing/Digests/v0.1' },
      'manifest_unsupported'],
    ['with a file left out of its list', (s) => { s.predicate.resources.pop() }, 'manifest_format'],
    ['with files in another order', (s) => { s.predicate.resources.reverse() }, 'manifest_format'],
    ['with two subjects', (s) => { s.subject.push(s.subject[0]) }, 'manifest_format'],
    ['with another way to list', (s) => { s.predicate.serialization.method = 'tensors' }, 'manifest_unsupported'],
    ['by BLAKE3', (s) => { s.predicate.resources[0].algorithm = 'blake3' }, 'manifest_unsupported'],
    ['by __proto__', (s) => { s.predicate.resources[0].algorithm = 'constructor' }, 'manifest_unsupported'],
    ['with a short digest', (s) => { s.predicate.resources[0].digest = 'ab' }, 'manifest_format'],
    ['with a name that leads out', (s) => { s.predicate.resources[0].name = '../config.json' }, 'manifest_format'],
    ['with an absolute name', (s) => { s.predicate.resources[0].name = '/etc/passwd' }, 'manifest_format'],
    ['with no name', (s) => { delete s.predicate.resources[0].name }, 'manifest_format'],
    ['with a name twice', (s) => { s.predicate.resources[0].name = 'empty' }, 'manifest_format'],
  ])('is refused with a statement %s', (_, statement, code) => {
    expect(codeOf(signed({ statement }))).toBe(code)
  })

  it.each<[string, (bundle: Loose) => void, string]>([
    ['of another media type', (b) => { b.mediaType = 'application/json' }, 'manifest_format'],
    ['without envelope', (b) => { delete b.dsseEnvelope }, 'manifest_format'],
    ['of a single file', (b) => { delete b.dsseEnvelope; b.messageSignature = {} }, 'manifest_unsupported'],
    ['of another payload', (b) => { b.dsseEnvelope.payloadType = 'text/plain' }, 'manifest_format'],
    ['without signature', (b) => { b.dsseEnvelope.signatures = [] }, 'manifest_format'],
    ['with too many signatures', (b) => { b.dsseEnvelope.signatures = Array(17).fill({ sig: 'AAAA' }) },
      'manifest_too_large'],
    ['with a long signature', (b) => { b.dsseEnvelope.signatures[0].sig = 'AAAA'.repeat(1000) },
      'manifest_too_large'],
    ['with no base64', (b) => { b.dsseEnvelope.payload = '***' }, 'manifest_format'],
    ['without material', (b) => { b.verificationMaterial = null }, 'manifest_format'],
  ])('is refused in a bundle %s', (_, bundle, code) => {
    expect(codeOf(signed({ bundle }))).toBe(code)
  })

  it('needs keys that can be read, and says which one cannot', () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const privatePem = mine.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    const cases: [string, RegExp][] = [
      ['', /Key 2 is no PEM/], ['-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----', /Key 2 cannot be read/],
      [pemOf(rsa.publicKey), /Key 2 is of another kind \(rsa\)/], [privatePem, /Key 2 is private/],
      [pairOf('secp256k1').pem, /Key 2 is of another kind \(ec secp256k1\)/], ['x'.repeat(70_000), /too long/],
    ]
    for (const [pem, words] of cases) {
      const problem = problemOf(() => readManifest(signed(), [mine.pem, pem]))
      expect(problem?.code).toBe('manifest_keys')
      expect(problem?.message).toMatch(words)
    }
  })

  it('of more than 8 MiB is not read', () => {
    expect(codeOf(Buffer.alloc(8 * 1024 * 1024 + 1, 0x20))).toBe('manifest_too_large')
  })
})

describe('a manifest that was damaged', () => {
  it('gives a clear error or is the same: nothing else is thrown, and nothing else is good', () => {
    const good = signed()
    let state = 12_345
    const next = (below: number): number => {
      state = Math.imul(state ^ state >>> 15, 0x2c1b3c6d) + 0x9e3779b9 >>> 0
      return state % below
    }
    const pieces = ['{', '}', '[', ']', '"', ':', ',', 'null', '1e999', '\\u0000', '"__proto__":', '\xff']
    const codes = new Set<string>()
    for (let round = 0; round < 600; round++) {
      const bytes = Buffer.from(good)
      let changed: Buffer = bytes
      if (round % 3 === 0) bytes[next(bytes.length)] = next(256)
      else if (round % 3 === 1) changed = bytes.subarray(0, next(bytes.length))
      else {
        const at = next(bytes.length)
        changed = Buffer.concat([bytes.subarray(0, at), Buffer.from(pieces[next(pieces.length)], 'latin1'),
          bytes.subarray(at + next(40))])
      }
      const code = codeOf(changed)
      codes.add(code ?? 'good')
      if (code !== undefined) continue
      // A byte of what nobody signs, such as the hint.
      expect(readManifest(changed, [mine.pem]).files).toEqual(readManifest(good, [mine.pem]).files)
    }
    expect([...codes]).toEqual(expect.arrayContaining(['manifest_format', 'manifest_untrusted']))
  })

  it('or signed by a trusted key while full of nonsense, is a clear error', () => {
    const nonsense: unknown[] = [null, 0, 'x', [], {}, [[]], { length: 3 }, true, -1, '\0'.repeat(9)]
    const places: ((s: Loose, value: unknown) => void)[] = [
      (s, v) => { s.subject = v }, (s, v) => { s.predicate = v }, (s, v) => { s.predicate.resources = v },
      (s, v) => { s.predicate.serialization = v }, (s, v) => { s.predicate.resources[0] = v },
      (s, v) => { s.predicate.resources[0].name = v }, (s, v) => { s.predicate.resources[0].digest = v },
      (s, v) => { s.predicate.resources[0].algorithm = v }, (s, v) => { s.subject[0].digest = v },
    ]
    for (const place of places) {
      for (const value of nonsense) {
        const bytes = signed({ statement: (s) => place(s, value) })
        // A name is free: the digest of the list does not cover it.
        const code = codeOf(bytes)
        if (code === undefined) expect(typeof value).toBe('string')
        else expect(['manifest_format', 'manifest_unsupported']).toContain(code)
      }
    }
  })

  it('or nested 100,000 levels deep, is refused', () => {
    expect(codeOf(Buffer.from('['.repeat(100_000)))).toBe('manifest_format')
    expect(codeOf(Buffer.from(`${'['.repeat(100_000)}${']'.repeat(100_000)}`))).toBe('manifest_format')
  })
})

const hasOpenssl = spawnSync('openssl', ['version']).status === 0
if (!hasOpenssl) console.warn('SKIPPED: certificates for signing need openssl')

describe.runIf(hasOpenssl)('a certificate in a manifest', () => {
  let dir: string
  beforeAll(() => { dir = mkdtempSync(join(tmpdir(), 'vedette-manifest-')) })
  afterAll(() => rmSync(dir, { recursive: true }))

  const issue = (name: string, extensions: string, issuer?: Certified) => issued(dir, name, extensions, issuer)
  const derOf = ({ certificate }: Certified): string =>
    readFileSync(certificate, 'latin1').replace(/-----[A-Z ]+-----|\s/g, '')
  const chainOf = (...chain: Certified[]): unknown =>
    ({ x509CertificateChain: { certificates: chain.map((one) => ({ rawBytes: derOf(one) })) } })
  const pemText = ({ certificate }: Certified): string => readFileSync(certificate, 'latin1')
  const [ca, signing] = [authority, signer]

  it('is good when it leads to a root that is trusted, and only then', () => {
    const root = issue('root', ca)
    const middle = issue('middle', ca, root)
    const leaf = issue('leaf', signing, middle)
    const bytes = signed({ material: chainOf(leaf, middle) }, leaf)
    expect(readManifest(bytes, [pemText(root)]).keyId).toBe(keyIdOf(leaf.publicKey))
    expect(readManifest(bytes, [pemText(middle)]).keyId).toBe(keyIdOf(leaf.publicKey))
    expect(readManifest(bytes, [pemText(leaf)]).keyId).toBe(keyIdOf(leaf.publicKey))
    expect(readManifest(bytes, [leaf.pem]).keyId).toBe(keyIdOf(leaf.publicKey))
    expect(codeOf(bytes, [pemText(issue('root2', ca))])).toBe('manifest_untrusted')
    expect(codeOf(bytes, [])).toBe('manifest_untrusted')
    // The step in the middle is missing.
    expect(codeOf(signed({ material: chainOf(leaf) }, leaf), [pemText(root)])).toBe('manifest_untrusted')
    // Another one signed.
    expect(codeOf(signed({ material: chainOf(leaf, middle) }), [pemText(root)])).toBe('manifest_untrusted')
  })

  it('is not good when it is for servers, or was issued by who may not issue', () => {
    const root = issue('ca', ca)
    const server = issue('server', signing.replace('codeSigning', 'serverAuth'), root)
    const user = issue('user', signing, root)
    const forged = issue('forged', signing, user)
    expect(codeOf(signed({ material: chainOf(server) }, server), [pemText(root)])).toBe('manifest_untrusted')
    expect(codeOf(signed({ material: chainOf(forged, user) }, forged), [pemText(root)])).toBe('manifest_untrusted')
    expect(codeOf(signed({ material: chainOf(user) }, user), [pemText(root)])).toBeUndefined()
  })

  it('of Fulcio is not good, whoever is trusted: anybody with an account gets one', () => {
    const root = issue('fulcio-root', ca)
    const keyless = issue('keyless', `${signing}\n1.3.6.1.4.1.57264.1.1=ASN1:UTF8String:https://issuer`, root)
    const bytes = signed({ material: { certificate: { rawBytes: derOf(keyless) }, tlogEntries: [] } }, keyless)
    const problem = problemOf(() => readManifest(bytes, [pemText(root)]))
    expect(problem?.code).toBe('manifest_untrusted')
    expect(problem?.message).toContain('by an identity')
  })

  it('that cannot be read is a clear error', () => {
    const root = issue('root3', ca)
    const material = { x509CertificateChain: { certificates: [{ rawBytes: 'AAAA' }] } }
    expect(codeOf(signed({ material }), [pemText(root)])).toBe('manifest_format')
  })
})
