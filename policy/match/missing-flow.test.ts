import { describe, expect, it } from 'vitest'
import { compilePolicy } from '../compile.ts'
import type { CompiledPolicy } from '../compile.ts'
import { NO_IDENTITY } from './flow-rules.ts'
import { missingFlow } from './missing-flow.ts'
import { parsePolicy } from '../parse.ts'

const ZONES = `version: 1
zones:
  - { name: inference, exposure: public, match: { cidrs: [10.1.0.0/16] } }
  - { name: storage, exposure: protected, match: { cidrs: [10.2.0.0/16] } }
`

function withFlow(entry: string): CompiledPolicy {
  const { policy, problems } = parsePolicy(`${ZONES}flows:\n${entry}`)
  expect(problems, entry).toEqual([])
  return compilePolicy(policy!)
}

describe('the rule that was missing', () => {
  it('is an entry of flows that a person can paste', () => {
    expect(missingFlow(
      { from: 'inference', to: 'storage', port: 5432, protocol: 'tcp', exe: '/usr/bin/psql' }))
      .toBe(`  - from: inference
    to: storage
    ports: [5432/tcp]
    executables: ["/usr/bin/psql"]
    reason: say here why this is needed
`)
  })

  it('allows exactly what it was made for, whatever the executable is called', () => {
    const names = ['/usr/bin/psql', '/a b/c"d', '/x\\y', "/it's: [x", '/opt/ü/💥', '/a*', '/b?c',
      '/{x}', '/nl\n  - from: a', '/esc\x1b[2J', '/u\u2028', '/lone\ud800',
      `/${'l'.repeat(600)}`, '', 'memfd:x', null]
    const ends = [[5432, 'tcp'], [0, 'rdma'], [7, 'vsock'], [0, 'vsock']] as const
    for (const exe of names) {
      for (const [port, protocol] of ends) {
        const entry = missingFlow({ from: 'inference', to: 'storage', port, protocol, exe })
        const compiled = withFlow(entry)
        expect(compiled.flowAllowed(2, 3, port, protocol, exe).allowed, entry).toBe(true)
        expect(compiled.flowAllowed(3, 2, port, protocol, exe).allowed).toBe(false)
        if (port > 0) {
          expect(compiled.flowAllowed(2, 3, port + 1, protocol, exe).allowed).toBe(false)
        }
      }
    }
  })

  it('is narrowed to the service account of a pod', () => {
    const made = (serviceAccount: string | null): CompiledPolicy => withFlow(missingFlow(
      { from: 'inference', to: 'storage', port: 22, protocol: 'tcp', exe: '/x', serviceAccount }))
    const allows = (compiled: CompiledPolicy, serviceAccount: string): boolean =>
      compiled.flowAllowed(2, 3, 22, 'tcp', '/x', { ...NO_IDENTITY, serviceAccount }).allowed
    const narrow = made('serving/llm')
    expect([allows(narrow, 'serving/llm'), allows(narrow, 'serving/x')]).toEqual([true, false])
    for (const none of [null, '', 'not/one/*', 'a/b]\n  - from: x']) {
      expect(allows(made(none), 'serving/x'), String(none)).toBe(true)
    }
  })

  it('names the built-in zones as a policy may', () => {
    const compiled = withFlow(missingFlow(
      { from: 'external', to: 'storage', port: 22, protocol: 'tcp', exe: null }))
    expect(compiled.flowAllowed(0, 3, 22, 'tcp', null)).toMatchObject(
      { allowed: true, identityUnknown: false })
    expect(compiled.flowAllowed(1, 3, 22, 'tcp', null).allowed).toBe(false)
  })
})
