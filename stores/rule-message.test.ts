import { describe, expect, it } from 'vitest'
import { messageOfRules, rulesOfMessage, StoreRulesError } from './rule-message.ts'
import type { StoresMessage } from './rule-message.ts'
import type { StoreRule } from './rule.ts'

const rule: StoreRule = {
  name: 'imagenet', kind: 'dataset', paths: ['/data/*'], mountSources: ['filer:/x'], fileSystems: ['wekafs'],
  manifest: '', manifestKeys: ['KEY'],
}

describe('the rules of stores', () => {
  it('come through a message as they were, and the same rules have the same digest', () => {
    const other: StoreRule = { ...rule, name: 'llm', manifest: '/m.json' }
    expect(rulesOfMessage(JSON.parse(JSON.stringify(messageOfRules([rule, other]))))).toEqual([rule, other])
    expect(messageOfRules([rule]).sha256).toBe(messageOfRules([{ ...rule }]).sha256)
    expect(messageOfRules([rule]).sha256).not.toBe(messageOfRules([{ ...rule, paths: [] }]).sha256)
    expect(rulesOfMessage(messageOfRules([]))).toEqual([])
  })

  it.each([
    ['no rules', null], ['no rules', { sha256: 'x' }], ['digest', { ...messageOfRules([rule]), sha256: 'x' }],
    ['called imagenet', messageOfRules([rule, rule])],
    ['257 stores', messageOfRules(Array.from({ length: 257 }, (_, i) => ({ ...rule, name: `s${i}` })))],
    ['store 0: the kind', { sha256: '', rules: [null] }], ['the name', messageOfRules([{ ...rule, name: 'a b' }])],
    ['the kind', messageOfRules([{ ...rule, kind: 'other' as StoreRule['kind'] }])],
    ['begin with /', messageOfRules([{ ...rule, paths: ['data'] }])],
    ['paths is wrong', messageOfRules([{ ...rule, paths: ['/a\0b'] }])],
    ['paths is wrong', messageOfRules([{ ...rule, paths: Array(65).fill('/a') }])],
    ['manifest_keys is wrong', messageOfRules([{ ...rule, manifestKeys: [''] }])],
    ['file_systems is wrong', { sha256: '', rules: [{ ...messageOfRules([rule]).rules[0], file_systems: 'nfs' }] }],
    ['manifest is wrong', messageOfRules([{ ...rule, manifest: `/${'x'.repeat(5000)}` }])],
  ] as [string, StoresMessage | null][])('that are wrong are not taken: %s', (what, message) => {
    expect(() => rulesOfMessage(message)).toThrow(StoreRulesError)
    expect(() => rulesOfMessage(message)).toThrow(what)
  })
})
