import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  BaselineFormatError, readBaseline, writeBaseline, type Baseline, type ExpectedItem,
} from './baseline.ts'
import { checkBaseline, checkItem, compareVersions, type FoundItem } from './check.ts'
import { checkSignature, signBaseline } from './signature.ts'

const baseline: Baseline = {
  version: 1, node_class: 'h100-cc',
  items: [
    { subject: 'driver', item: 'driver_version', at_least: '570.124.06' },
    { subject: 'gpu', item: 'vbios_version', any_of: ['96.00.9F.00.01', '96.00.A5.00.01'] },
    { subject: 'gpu', item: 'ecc_mode', value: 'enabled' },
    { subject: 'gpu', item: 'mig_mode', reading: 'not_supported' },
  ],
}
const found = (subject: string, item: string, value: string, reading: FoundItem['reading'] = 'known'): FoundItem =>
  ({ subject, item, value, reading, reason: '' })

describe('a baseline file', () => {
  it('says the same after it was written and read', () => {
    expect(readBaseline(writeBaseline(baseline))).toEqual(baseline)
  })

  it('that is wrong says where, and what to write', () => {
    const items = (lines: string) => `version: 1\nnode_class: a100\nitems:\n${lines}`
    const wrong: [string, RegExp][] = [
      ['', /line 1, column 1: the file/],
      ['version: 2\nnode_class: a\nitems: [{subject: gpu, item: x, value: y}]', /line 1, column 10: version/],
      [items('  - {subject: gpu, item: ecc_mode}'), /line 4, column 5: items\.0 needs exactly one of value/],
      [items('  - {subject: gpu, item: ecc_mode, value: a, at_least: b}'), /needs exactly one of/],
      [items('  - {subject: gpu, item: ecc_mode, valeu: a}'), /unknown key "valeu"/],
      [items('  - {subject: gpu, item: a, value: b}\n  - {subject: gpu, item: a, value: c}'),
        /line 5, column 5: gpu a stands twice; put both values into any_of/],
      [items('  - {subject: gpu, item: a, value: 570}'), /items\.0\.value must be string/],
      ['version: 1\nversion: 1', /unique/],
      [`x: &a [1,1]\ny: [${'*a,'.repeat(2000)}]`, /no aliases/],
      ['\t: {', /./],
    ]
    for (const [yaml, message] of wrong) {
      expect(() => readBaseline(yaml)).toThrow(message)
      expect(() => readBaseline(yaml)).toThrow(BaselineFormatError)
    }
  })
})

describe('the signature of a baseline', () => {
  const pair = () => generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } })
  const ours = pair()
  const other = pair()

  it('holds whatever the file looks like, and is of whom it says', () => {
    const signed = signBaseline(baseline, ours.privateKey)
    const shuffled = readBaseline(writeBaseline({ signature: signed.signature, items: signed.items,
      node_class: signed.node_class, version: 1 }))
    expect(checkSignature(shuffled, [other.publicKey, ours.publicKey])).toEqual(
      { state: 'trusted', keyId: signed.signature?.key_id })
    expect(signBaseline(signed, ours.privateKey)).toEqual(signed)
  })

  it('breaks with any change of what it says', () => {
    const signed = signBaseline(baseline, ours.privateKey)
    const keys = [ours.publicKey]
    const changes: Partial<Baseline>[] = [
      { node_class: 'h100' }, { items: signed.items.slice(1) }, { captured_on: 'elsewhere' },
      { items: signed.items.map((one) => ({ ...one, item: `${one.item}x` })) },
    ]
    for (const change of changes) expect(checkSignature({ ...signed, ...change }, keys)).toEqual({ state: 'forged' })
    expect(checkSignature(baseline, keys)).toEqual({ state: 'unsigned' })
    expect(checkSignature(signed, [other.publicKey])).toEqual({ state: 'unknown_key' })
  })

  it('needs a key of Ed25519, and says how to make one', () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048,
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } })
    expect(() => signBaseline(baseline, rsa.privateKey)).toThrow(/key of rsa, not of Ed25519.*openssl genpkey/)
    expect(() => signBaseline(baseline, 'x')).toThrow(/not a private key in PEM/)
    expect(() => checkSignature(baseline, ['x'])).toThrow(/not a public key in PEM/)
  })
})

describe('a node against its baseline', () => {
  it('gives every item of the baseline a verdict, for every GPU', () => {
    const checked = checkBaseline([
      found('driver', 'driver_version', '570.133.20'), found('driver', 'license', 'Dual MIT/GPL'),
      found('gpu:A', 'vbios_version', '96.00.A5.00.01'), found('gpu:A', 'ecc_mode', 'disabled'),
      found('gpu:B', 'vbios_version', '', 'unknown'), found('gpu:B', 'mig_mode', '', 'not_supported'),
    ], baseline)
    expect(checked.map((one) => [one.subject, one.item, one.verdict])).toEqual([
      ['driver', 'driver_version', 'matches'],
      ['gpu:A', 'ecc_mode', 'differs'],
      ['gpu:A', 'vbios_version', 'matches'],
      ['gpu:B', 'mig_mode', 'matches'],
      ['gpu:B', 'vbios_version', 'unknown'],
    ])
    expect(checkBaseline([], baseline).map((one) => one.verdict)).toEqual(baseline.items.map(() => 'unknown'))
  })

  it('is unknown, not different, where the value could not be read', () => {
    const wants: Partial<ExpectedItem>[] = [
      { value: 'a' }, { any_of: ['a'] }, { at_least: '1' }, { reading: 'not_supported' },
    ]
    for (const want of wants) {
      const checked = checkItem({ ...found('gpu:A', 'x', '', 'unknown'), reason: 'NVML does not answer' },
        { subject: 'gpu', item: 'x', ...want })
      expect(checked).toMatchObject({ verdict: 'unknown', found: 'cannot be known: NVML does not answer' })
    }
  })

  it('differs where something is wanted that the GPU does not have, or has and must not', () => {
    const wanted = { subject: 'gpu', item: 'x' }
    expect(checkItem(found('gpu:A', 'x', '', 'not_supported'), { ...wanted, value: 'on' }).verdict).toBe('differs')
    expect(checkItem(found('gpu:A', 'x', 'on'), { ...wanted, reading: 'not_supported' }).verdict).toBe('differs')
  })

  it('compares versions by their numbers', () => {
    const rising = ['9.1', '535.104.05', '535.288.01', '570.9', '570.124', '570.124.06', '570.124.10', '1000']
    for (let i = 1; i < rising.length; i++) {
      expect([rising[i], compareVersions(rising[i - 1], rising[i]) < 0]).toEqual([rising[i], true])
      expect(compareVersions(rising[i], rising[i - 1])).toBeGreaterThan(0)
    }
    expect(compareVersions('570.0', '570')).toBe(0)
  })
})
