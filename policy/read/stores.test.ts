import { spawnSync } from 'node:child_process'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readManifest } from '../../stores/manifest/manifest.ts'
import { authority, issued, signer } from '../../test/stores/certificates.ts'
import type { Certified } from '../../test/stores/certificates.ts'
import { signedManifest } from '../../test/stores/manifest-sample.ts'
import { storeRulesOf } from '../match/store-rules.ts'
import { parsePolicy } from '../parse.ts'

const ZONES = 'zones: [{ name: training, exposure: protected, match: { namespaces: [t] } }]\n'
const pemOf = (key: KeyObject, type: 'spki' | 'pkcs8' = 'spki') => JSON.stringify(key.export({ type, format: 'pem' }))
const PAIR = generateKeyPairSync('ed25519')
const KEY = pemOf(PAIR.publicKey)

function storesOf(yaml: string) {
  const { policy, problems } = parsePolicy(`version: 1\n${ZONES}stores:\n${yaml}`)
  expect(problems).toEqual([])
  return policy!.stores
}

/** Problems of one or several stores, each as what stands in the braces. */
function problemsOf(...stores: string[]): string[] {
  const yaml = stores.map((one) => `  - { ${one} }\n`).join('')
  return parsePolicy(`version: 1\n${ZONES}stores:\n${yaml}`).problems
    .map((one) => `${one.severity} ${one.line} ${one.path}: ${one.message}; ${one.fix}`)
}
const dataset = (rest: string, name = 'a') => `name: ${name}, kind: dataset, sensitivity: internal, ${rest}`
const weights = (rest: string, name = 'a') => `name: ${name}, kind: weights, sensitivity: restricted, ${rest}`

describe('the stores of a policy', () => {
  it('are read with all that is said of them', () => {
    const [store] = storesOf(`
  - name: imagenet
    kind: dataset
    zone: training
    sensitivity: confidential
    paths: [/data/imagenet/, /mnt/*/imagenet]
    mounts: [filer:/export/imagenet]
    file_systems: [wekafs]
    endpoints: [10.50.0.7:9000]
    readers: { zones: [training], namespaces: [eval-*] }
    writers: { systemd_units: [ingest.service] }
    expected: { bytes_per_day: 20 TB, files: 1281167 }
`)
    expect(store).toMatchObject({
      name: 'imagenet', kind: 'dataset', zone: 'training', sensitivity: 'confidential', line: 5,
      readers: { line: 13 }, writers: { line: 14 }, expected: { bytesPerDay: 20e12, files: 1_281_167 },
      manifest: null, manifestKeys: [],
    })
    expect(store.paths.map(({ text }) => text)).toEqual(['/data/imagenet', '/mnt/*/imagenet'])
    expect(store.readers?.zones.map(({ text }) => text)).toEqual(['training'])
    expect(store.readers?.match.namespaces.map(({ text }) => text)).toEqual(['eval-*'])
  })

  it('have other names than those of drills', () => {
    expect(problemsOf(dataset('paths: [/data/a]', 'drill-dataset'), weights('paths: [/data/w]', 'drill-weights')))
      .toEqual(['error 4 stores[0].name: the name drill-dataset is for drills; write another name',
        'error 5 stores[1].name: the name drill-weights is for drills; write another name'])
  })

  it('say nothing of what is not written', () => {
    const [store] = storesOf(`  - { ${dataset('paths: [/data/a]')} }\n`)
    expect(store).toMatchObject({ zone: null, readers: null, writers: null, mounts: [], endpoints: [],
      expected: { bytesPerDay: null, files: null } })
  })

  it('take amounts with units of 1000 and of 1024, and as numbers', () => {
    const amount = (text: string) => storesOf(
      `  - { ${dataset(`paths: [/data/a], expected: { bytes_per_day: ${text} }`)} }\n`)[0].expected.bytesPerDay
    expect([amount('5000'), amount('500 GB'), amount('1.5TiB'), amount('3 kB'), amount('7 B')])
      .toEqual([5000, 500e9, 1.5 * 1024 ** 4, 3000, 7])
    expect(problemsOf(dataset('paths: [/data/a], expected: { bytes_per_day: 5 lots }'))[0])
      .toMatch(/"5 lots" does not fit here; write a number of bytes, or one with a unit/)
    expect(problemsOf(dataset('paths: [/data/a], expected: { bytes_per_day: 900 EB }'))[0]).toMatch(/out of range/)
    expect(problemsOf(dataset('paths: [/data/a], expected: { bytes_per_day: 0 B }'))[0]).toMatch(/out of range/)
  })

  it('need a name of their own, and zones that are there', () => {
    expect(problemsOf(dataset('paths: [/data/a]'), dataset('paths: [/data/b]')))
      .toEqual(['error 5 stores[1].name: there is a store a already, on line 4; '
        + 'merge the two stores, or write another name'])
    expect(problemsOf(dataset('paths: [/data/a], zone: trainin')))
      .toEqual(['error 4 stores[0].zone: there is no zone "trainin" here; did you mean training?'])
    expect(problemsOf(dataset('paths: [/data/a], readers: { zones: [unzoned, external] }')))
      .toEqual(['error 4 stores[0].readers.zones[1]: there is no zone "external" here; known zones: training, unzoned'])
    expect(problemsOf(dataset('paths: [/data/a], zone: unzoned'))[0]).toMatch(/there is no zone "unzoned" here/)
    expect(problemsOf('kind: dataset')).toHaveLength(3)
  })

  it('must be somewhere', () => {
    expect(problemsOf('name: a, kind: dataset, sensitivity: public'))
      .toEqual(['error 4 stores[0]: nothing says where a is; write paths:, mounts:, file_systems: or endpoints:'])
  })

  it('have absolute paths of the data alone', () => {
    const path = (text: string) => problemsOf(dataset(`paths: ["${text}"]`)).map((one) => one.slice(one.indexOf('"')))
    expect(path('data/a')).toEqual(['"data/a" is not an absolute path; write it from the root, such as /data/a'])
    expect(path('filer:/export')).toEqual(
      ['"filer:/export" is not an absolute path; write it under mounts: it is what is mounted'])
    expect(path('/data/../etc')).toEqual(['"/data/../etc" has a level . or ..; write the path as it is'])
    expect(path('/data/**/a')).toEqual(['"/data/**/a" crosses levels; write one * for each level'])
    expect(path('/data/[ab]')).toEqual(['"/data/[ab]" has a wildcard that is none; only * is a wildcard'])
    expect(path('/data//a')).toEqual(['"/data//a" has an empty level; write /data/a'])
    for (const wide of ['/', '//', '/usr', '/*', '/etc/']) {
      expect(path(wide).join(), wide).toMatch(/holds what every process reads|has an empty level/)
    }
    for (const good of ['/data', '/data/', '/mnt/*/a', '/usr/share/models', '/data/…']) expect(path(good)).toEqual([])
    expect(problemsOf(dataset('mounts: ["**"]'))[0]).toMatch(/every mount there is/)
  })

  it('are no file systems of the kernel, and rarely those of the system', () => {
    expect(problemsOf(dataset('file_systems: [proc]'))[0])
      .toMatch(/^error .*a file system of the type proc holds no data/)
    expect(problemsOf(dataset('file_systems: [ext4]'))[0]).toMatch(/^warning .*those of the system too/)
    expect(problemsOf(dataset('file_systems: [lustre, nfs4, fuse.s3fs]'))).toEqual([])
  })

  it('never share a place, but one may lie within another', () => {
    const two = (first: string, second: string) => problemsOf(dataset(first), dataset(second, 'b'))
    expect(two('paths: [/data]', 'paths: [/data/b]')).toEqual([])
    expect(two('paths: [/data/*]', 'paths: [/data/x/b]')).toEqual([])
    expect(two('paths: [/data/a]', 'paths: [/data/a/]')).toEqual(
      ['error 5 stores[1].paths[0]: /data/a is in the store a already, on line 4; keep it in one store'])
    expect(two('paths: [/data/*]', 'paths: [/data/b]')[0])
      .toMatch(/\/data\/b and \/data\/\* of the store a, on line 4, may stand for the same folder/)
    expect(two('paths: ["/d/x*y"]', 'paths: ["/d/*x*"]')).toHaveLength(1)
    expect(two('paths: ["/d/x*y"]', 'paths: ["/d/*z"]')).toEqual([])
    expect(two('paths: ["/d/x*y"]', 'paths: ["/e/x*y"]')).toEqual([])
    expect(two('mounts: ["f:/a"]', 'mounts: ["f:/a"]')).toHaveLength(1)
    expect(two('file_systems: [wekafs]', 'file_systems: [wekafs]')[0]).toMatch(/stores\[1\]\.file_systems\[0\]/)
    expect(two('endpoints: ["10.0.0.1/32:80"]', 'endpoints: ["10.0.0.1:80"]')).toHaveLength(1)
    expect(two('endpoints: ["10.0.0.1:80"]', 'endpoints: ["10.0.0.1:81"]')).toEqual([])
    expect(problemsOf(dataset('paths: [/data/a, /data/*]'))[0]).toMatch(/^warning .*in this store already/)
  })

  it('have a manifest only where one is asked, and keys only with it', () => {
    expect(problemsOf(weights(`paths: [/m], manifest: /m/model.sig, manifest_keys: [${KEY}]`))).toEqual([])
    expect(problemsOf(dataset(`paths: [/m], manifest: /m/model.sig, manifest_keys: [${KEY}]`))[0])
      .toMatch(/of a store of the kind dataset no manifest is asked; remove it, or write kind: weights/)
    expect(problemsOf(weights('paths: [/m], manifest: /m/model.sig'))[0]).toMatch(/^warning .*another manifest/)
    expect(problemsOf(weights(`paths: [/m], manifest: m.sig, manifest_keys: [${KEY}]`))[0])
      .toMatch(/not an absolute path/)
    expect(problemsOf(weights(`paths: [/m], manifest_keys: [${KEY}]`))[0]).toMatch(/no manifest to be signed/)
    expect(problemsOf(weights('paths: [/m], manifest: /m/x, manifest_keys: [abc]'))[0])
      .toMatch(/stores\[0\]\.manifest_keys\[0\]: this is no PEM; write the public key .* or the certificate of who/)
    expect(problemsOf(weights(`endpoints: [s3.example.com], manifest: /m/x, manifest_keys: [${KEY}]`))[0])
      .toMatch(/no files that could be compared/)
  })

  it('say what of a key is wrong, and never take a private one', () => {
    const told = (key: string) =>
      problemsOf(weights(`paths: [/m], manifest: /m/model.sig, manifest_keys: [${KEY}, ${key}]`))
    expect(told(pemOf(PAIR.privateKey, 'pkcs8'))).toEqual([expect.stringMatching(
      /manifest_keys\[1\]: this is private: nobody else may have it; take it out, make a new one/)])
    expect(told(pemOf(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey)))
      .toEqual([expect.stringMatching(/this is of another kind \(rsa\); write .* ECDSA with P-256/)])
    for (const word of ['PUBLIC KEY', 'CERTIFICATE']) {
      expect(told(`"-----BEGIN ${word}-----\\nAAAA\\n-----END ${word}-----"`))
        .toEqual([expect.stringMatching(/this cannot be read/)])
    }
    expect(told(KEY)).toEqual([])
  })

  it('over the network: who writes and which files are read, nobody sees', () => {
    const remote = 'name: a, kind: database, sensitivity: internal, endpoints: [service:db/pg]'
    expect(problemsOf(remote)).toEqual([])
    expect(problemsOf(`${remote}, writers: { namespaces: [x] }`)[0]).toMatch(/^warning .*nobody sees what is changed/)
    expect(problemsOf(`${remote}, expected: { files: 3 }`)[0]).toMatch(/^warning .*which files are read/)
  })

  it('are bounded', () => {
    const many = (key: string, place: (i: number) => string) => problemsOf(...Array.from({ length: 17 }, (_, i) =>
      dataset(`${key}: [${Array.from({ length: 64 }, (__, j) => `"${place(64 * i + j)}"`).join()}]`, `s${i}`)))
    expect(many('paths', (i) => `/data/${i}`)[0]).toMatch(/the stores hold more than 1024 paths/)
    expect(many('endpoints', (i) => `10.0.${i >> 8}.${i & 255}:80`)[0]).toMatch(/more than 1024 endpoints/)
    expect(many('paths', (i) => `/data/${i % 1000}/*/a*${i}*`)).toHaveLength(1)
  })
})

const hasOpenssl = spawnSync('openssl', ['version']).status === 0
if (!hasOpenssl) console.warn('SKIPPED: certificates need openssl')

it.runIf(hasOpenssl)('trusts a certificate of an authority, and the agent gets what it verifies with', () => {
  const dir = mkdtempSync(join(tmpdir(), 'vedette-roots-'))
  try {
    const [root, other] = [issued(dir, 'root', authority), issued(dir, 'other', authority)]
    const leaf = issued(dir, 'leaf', signer, root)
    const rawBytes = new X509Certificate(readFileSync(leaf.certificate)).raw.toString('base64')
    const manifest = signedManifest({ 'model.safetensors': 'w' }, leaf.privateKey, leaf.publicKey,
      { material: { x509CertificateChain: { certificates: [{ rawBytes }] } } })
    const verified = (by: Certified): string => {
      const pem = readFileSync(by.certificate, 'latin1').replaceAll(/^/gm, '        ')
      const { policy, problems } = parsePolicy(`version: 1\nstores:\n  - name: llm\n    kind: weights\n`
        + '    sensitivity: restricted\n    paths: [/m]\n    manifest: /m/model.sig\n    manifest_keys:\n'
        + `      - |\n${pem}`)
      expect(problems).toEqual([])
      return readManifest(manifest, storeRulesOf(policy!)[0].manifestKeys).keyId
    }
    expect(verified(root)).toBe(verified(leaf))
    expect(() => verified(other)).toThrow('does not lead to a root that is trusted')
  } finally {
    rmSync(dir, { recursive: true })
  }
})
