import { describe, expect, it } from 'vitest'
import { parseAddress } from '../../proto/address.ts'
import { compilePolicy, NO_ZONE, UNZONED } from '../compile.ts'
import { parsePolicy } from '../parse.ts'
import { storeRulesOf, StoreRules } from './store-rules.ts'

const POLICY = `version: 1
zones:
  - { name: training, exposure: protected, match: { namespaces: [train] } }
stores:
  - name: imagenet
    kind: dataset
    zone: training
    sensitivity: confidential
    paths: [/data/imagenet]
    readers: { zones: [training], namespaces: [eval] }
    writers: { systemd_units: [ingest.service] }
  - name: llm
    kind: weights
    sensitivity: restricted
    mounts: [filer:/export/llm]
    file_systems: [wekafs]
    writers: { workloads: [pod:ci/release-*] }
  - name: tokens
    kind: dataset
    sensitivity: internal
    paths: [/data/tokens]
    readers: { zones: [unzoned] }
  - name: vectors
    kind: database
    sensitivity: internal
    endpoints: [10.50.0.0/24, "10.50.0.7:6379", service:db/qdrant:6333, "*.example.com:443"]
  - name: cache
    kind: database
    sensitivity: internal
    endpoints: ["10.50.0.7:11211", "10.50.0.8", a.example.com, "[fd00::7]:6379"]
`
const policy = () => {
  const { policy: read, problems } = parsePolicy(POLICY)
  expect(problems.filter(({ severity }) => severity === 'error')).toEqual([])
  return read!
}
const compiled = compilePolicy(policy())
const rules = compiled.stores
const TRAINING = compiled.zones.indexOf('training')

describe('who may read and change a store', () => {
  it('is told by a zone or a pattern, with the line that decides', () => {
    expect(rules.mayRead('imagenet', { namespace: 'train' }, TRAINING))
      .toEqual({ allowed: true, list: 'readers', matcher: 'zones', text: 'training', line: 10 })
    expect(rules.mayRead('imagenet', { namespace: 'eval' }, NO_ZONE))
      .toEqual({ allowed: true, list: 'readers', matcher: 'namespaces', text: 'eval', line: 10 })
    expect(rules.mayRead('imagenet', { namespace: 'web', exe: '/bin/tar' }, NO_ZONE))
      .toEqual({ allowed: false, list: 'readers', matcher: '', text: '', line: 10 })
  })

  it('lets writers read, and readers not write', () => {
    expect(rules.mayRead('imagenet', { systemd_unit: 'ingest.service' }, NO_ZONE))
      .toMatchObject({ allowed: true, list: 'writers', matcher: 'systemd_units', line: 11 })
    expect(rules.mayWrite('imagenet', { namespace: 'train' }, TRAINING))
      .toEqual({ allowed: false, list: 'writers', matcher: '', text: '', line: 11 })
  })

  it('is nobody in particular where the policy says nothing', () => {
    expect(rules.mayRead('llm', { exe: '/bin/tar' }, NO_ZONE).allowed).toBeNull()
    expect(rules.mayWrite('llm', { workload: 'pod:ci/release-7' }, NO_ZONE).allowed).toBe(true)
    expect(rules.mayWrite('vectors', {}, NO_ZONE).allowed).toBeNull()
    expect(rules.mayRead('moon', {}, TRAINING)).toEqual({ allowed: null, list: '', matcher: '', text: '', line: 0 })
  })

  it('is asked anew of another store, and in another zone, with the same facts', () => {
    const facts = { namespace: 'train' }
    const allowed = (name: string, zone: number) => rules.mayRead(name, facts, zone).allowed
    expect([allowed('imagenet', NO_ZONE), allowed('imagenet', TRAINING), allowed('tokens', TRAINING),
      allowed('tokens', NO_ZONE), allowed('imagenet', NO_ZONE)]).toEqual([false, true, false, true, false])
  })

  it('takes who is in no zone for unzoned', () => {
    expect([NO_ZONE, UNZONED].map((zone) => rules.mayRead('tokens', {}, zone).allowed)).toEqual([true, true])
    expect(rules.mayRead('tokens', {}, TRAINING).allowed).toBe(false)
    expect(rules.mayRead('imagenet', {}, NO_ZONE).allowed).toBe(false)
  })
})

describe('a store', () => {
  it('is found by its name', () => {
    expect(rules.get('llm')).toMatchObject({ kind: 'weights', sensitivity: 'restricted', zone: null })
    expect(rules.get('moon')).toBeNull()
    expect(rules.all.map(({ name }) => name)).toEqual(['imagenet', 'llm', 'tokens', 'vectors', 'cache'])
  })

  it('is told to agents when it is made of files', () => {
    expect(storeRulesOf(policy())).toEqual([
      { name: 'imagenet', kind: 'dataset', paths: ['/data/imagenet'], mountSources: [], fileSystems: [],
        manifest: '', manifestKeys: [] },
      { name: 'llm', kind: 'weights', paths: [], mountSources: ['filer:/export/llm'], fileSystems: ['wekafs'],
        manifest: '', manifestKeys: [] },
      { name: 'tokens', kind: 'dataset', paths: ['/data/tokens'], mountSources: [], fileSystems: [],
        manifest: '', manifestKeys: [] },
      { name: 'drill-dataset', kind: 'dataset', paths: ['/var/lib/vedette-drill/drill-dataset'], mountSources: [],
        fileSystems: [], manifest: '', manifestKeys: [] },
      { name: 'drill-weights', kind: 'weights', paths: ['/var/lib/vedette-drill/drill-weights'], mountSources: [],
        fileSystems: [], manifest: '', manifestKeys: [] }])
    expect(storeRulesOf({ stores: [] })).toEqual([])
  })

  it('is there for drills under every policy: nobody may change the weights', () => {
    expect(new StoreRules([], []).get('drill-dataset'))
      .toMatchObject({ expected: { bytesPerDay: 1_048_576 }, readers: null })
    expect(new StoreRules([], []).mayWrite('drill-weights', { exe: '/bin/sh' } as never, 0).allowed).toBe(false)
    expect(new StoreRules([], []).all).toEqual([])
  })
})

describe('the store behind an address', () => {
  const storeAt = (address: string, port: number, facts = {}) =>
    rules.storeOfConnection(parseAddress(address), 0, port, facts)

  it('is that of the longest prefix whose port fits', () => {
    expect([storeAt('10.50.0.7', 6379), storeAt('10.50.0.7', 11211), storeAt('10.50.0.7', 22),
      storeAt('10.50.0.8', 1), storeAt('10.51.0.7', 6379), storeAt('fd00::7', 6379), storeAt('fd00::7', 6380)])
      .toEqual(['vectors', 'cache', 'vectors', 'cache', null, 'cache', null])
  })

  it('is that of the Service before the prefix, and of a DNS name last', () => {
    expect(storeAt('10.50.0.8', 6333, { workload: 'service:db/qdrant' })).toBe('vectors')
    expect(storeAt('10.50.0.8', 6334, { workload: 'service:db/qdrant' })).toBe('cache')
    expect(storeAt('10.50.0.8', 443, { dns_names: ['b.example.com'] })).toBe('cache')
    expect(storeAt('203.0.113.9', 443, { dns_names: ['b.example.com'] })).toBe('vectors')
    expect(storeAt('203.0.113.9', 443, { dns_names: ['a.example.com'] })).toBe('cache')
    expect(storeAt('203.0.113.9', 80, { dns_names: ['b.example.com'] })).toBeNull()
  })

  it('reads the address at its offset, and is never asked for without endpoints', () => {
    const column = new Uint8Array(32)
    column.set(parseAddress('10.50.0.8'), 16)
    expect(rules.storeOfConnection(column, 16, 5)).toBe('cache')
    expect(rules.hasEndpoints).toBe(true)
    const none = compilePolicy(parsePolicy('version: 1\n').policy!).stores
    expect([none.hasEndpoints, none.storeOfConnection(column, 16, 5)]).toEqual([false, null])
  })
})
