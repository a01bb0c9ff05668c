import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { messageOfRules } from '../../stores/rule-message.ts'
import type { StoreRule } from '../../stores/rule.ts'
import { withFolder } from '../sample/spool.ts'
import { readSaved, save } from './saved.ts'

const rule: StoreRule = {
  name: 'llm', kind: 'weights', paths: ['/models'], mountSources: [], fileSystems: [], manifest: '/m', manifestKeys: [],
}

describe('the stores in the data folder', () => {
  it('are read as they were saved, and are none at first', () => withFolder((data) => {
    expect(readSaved(data)).toEqual({ sha256: '', rules: [] })
    const message = messageOfRules([rule])
    save(data, message)
    expect(readSaved(data)).toEqual({ sha256: message.sha256, rules: [rule] })
    expect(readdirSync(data)).toEqual(['stores.json'])
    save(data, messageOfRules([]))
    expect(readSaved(data).rules).toEqual([])
  }))

  it('that are damaged are an error that says what to do', () => withFolder((data) => {
    save(data, messageOfRules([rule]))
    const path = join(data, 'stores.json')
    const text = readFileSync(path, 'utf8')
    for (const wrong of ['', '{', 'null', text.replace('/models', '/other'), text.slice(0, 50)]) {
      writeFileSync(path, wrong)
      expect(() => readSaved(data)).toThrow(/stores\.json is damaged: .*Repair or remove it/)
    }
  }))

  it('that cannot be written are an error', () => withFolder((data) => {
    mkdirSync(join(data, 'stores.json.new'))
    expect(() => save(data, messageOfRules([rule]))).toThrow(/stores\.json cannot be written/)
    expect(() => save(join(data, 'none'), messageOfRules([rule]))).toThrow(/cannot be written/)
  }))
})
