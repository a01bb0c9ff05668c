import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { messageOfRules } from '../../stores/rule-message.ts'
import type { StoreRule } from '../../stores/rule.ts'
import { withFolder } from '../sample/spool.ts'
import { examineStores, judgeStores } from './examine.ts'
import { save } from './saved.ts'

const rule = (name: string, paths: string[]): StoreRule =>
  ({ name, kind: 'dataset', paths, mountSources: [], fileSystems: [], manifest: '', manifestKeys: [] })

describe('what doctor says of stores', () => {
  it('is where they are, and which are not on this node', () => withFolder(async (data) => {
    mkdirSync(join(data, 'set'))
    save(data, messageOfRules([rule('a', [join(data, 'set')]), rule('b', [join(data, 'none')])]))
    const facts = await examineStores({ dataDirs: [join(data, 'other'), data] })
    expect(facts.slice(0, 2)).toMatchObject([
      { name: 'store a', state: 'have', detail: expect.stringContaining(join(data, 'set')), lost: '' },
      { name: 'store b', state: 'waiting', detail: 'not on this node', lost: '' }])
  }))

  it('is that no agent was told of any, or that what it was told is damaged', () => withFolder(async (data) => {
    expect(await examineStores({ dataDirs: [data] })).toMatchObject([{ name: 'stores', state: 'waiting', lost: '' }])
    writeFileSync(join(data, 'stores.json'), '{')
    expect(await examineStores({ dataDirs: [data] })).toMatchObject([
      { state: 'missing', detail: expect.stringContaining('is damaged') }])
  }))

  it('is what part of them cannot be watched and why, and whose mounts cannot be seen', () => {
    const problems = [{ store: 'a', path: '/x', reason: 'its links go round (ELOOP)' }]
    expect(judgeStores([rule('a', ['/x'])], { roots: [], problems, left: 0 }, 7)).toMatchObject([
      { name: 'store a', state: 'missing', lost: '/x: its links go round (ELOOP)' },
      { name: 'mounts of others', state: 'degraded', detail: expect.stringContaining('7 processes') }])
    expect(judgeStores([], { roots: [], problems: [], left: 0 }, 7)).toEqual([])
  })
})
