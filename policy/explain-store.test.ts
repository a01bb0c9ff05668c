import { describe, expect, it } from 'vitest'
import { compilePolicy } from './compile.ts'
import { explainAccess } from './explain-store.ts'
import type { ProcessFacts } from './match/process-rules.ts'
import { parsePolicy } from './parse.ts'

const policy = compilePolicy(parsePolicy(`version: 1
zones:
  - { name: training, exposure: protected, match: { namespaces: [train] } }
stores:
  - name: imagenet
    kind: dataset
    sensitivity: confidential
    paths: [/data/imagenet]
    readers: { zones: [training] }
  - { name: open, kind: dataset, sensitivity: public, paths: [/data/open] }
`).policy!)
const explain = (facts: ProcessFacts, name = 'imagenet', zone?: number) =>
  explainAccess(policy, policy.stores.get(name)!, 'read', facts, zone)

describe('the explanation of a read', () => {
  it('names the zone, what decided it, and the line that allows the read', () => {
    expect(explain({ namespace: 'train' })).toMatchObject({
      allowed: true, list: 'readers', matcher: 'zones', text: 'training', line: 9,
      zone: 'training', exposure: 'protected', zoneWhy: 'namespaces train', zoneLine: 3, missing: '',
    })
  })

  it('says what would allow it, by what names the process best', () => {
    expect(explain({ namespace: 'web', service_account: 'web/app', exe: '/bin/tar' }))
      .toMatchObject({ allowed: false, line: 9, zone: 'unzoned', missing: 'service_accounts: ["web/app"]' })
    expect(explain({ exe: '/bin/tar' }).missing).toBe('executables: ["/bin/tar"]')
    expect(explain({}).missing).toBe('zones: [unzoned]')
  })

  it('judges nobody where the policy says nothing', () => {
    expect(explain({ exe: '/bin/tar' }, 'open')).toMatchObject({ allowed: null, line: 0, missing: '' })
    expect(explainAccess(policy, policy.stores.get('imagenet')!, 'write', {}).allowed).toBeNull()
  })

  it('takes a zone that was asked for', () => {
    const zone = policy.zones.indexOf('training')
    expect(explain({}, 'imagenet', zone)).toMatchObject({ allowed: true, zoneWhy: 'it was asked for', zoneLine: 0 })
  })
})
