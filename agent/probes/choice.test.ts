import { describe, expect, it } from 'vitest'
import type { NativeFailure } from '../../native/index.ts'
import { chooseWays, isChosen, iteratorsOf, programsOf } from './choice.ts'
import { refusalOf, refusalWithoutKprobes } from './refusal.ts'
import type { Refusal } from './refusal.ts'
import { allMissing, probeStates, stateAfterFailure } from './states.ts'
import { probeTable } from './table.ts'

function failure(more: Partial<NativeFailure>): NativeFailure {
  return { operation: 'load', errno: 1, code: 'EPERM', detail: '', ...more }
}

function stateOf(name: string, refusals: Refusal[]) {
  return probeStates(chooseWays(probeTable, refusals), refusals).find(({ probe }) => probe === name)
}

describe('the table', () => {
  it('names every probe and every program once, and says what is lost', () => {
    const programs = probeTable.flatMap(({ ways }) => ways.flatMap((way) => way.programs))
    // The ways of a probe may share programs; two probes may not.
    const ofProbes = probeTable.flatMap(({ ways }) =>
      [...new Set(ways.flatMap((way) => way.programs))])
    expect(new Set(programs).size).toBe(ofProbes.length)
    expect(new Set(probeTable.map(({ name }) => name)).size).toBe(probeTable.length)
    expect(probeTable.every(({ lost, ways }) => lost !== '' && ways.length > 0)).toBe(true)
  })
})

describe('the choice', () => {
  it('takes the best way of every probe when nothing was refused', () => {
    const choices = chooseWays(probeTable, [])
    expect(choices.every(({ way }) => way === 0)).toBe(true)
    expect(isChosen(choices, 'connection_accept')).toBe(true)
    const states = probeStates(choices, [])
    expect(states.every(({ error, reason }) => error === 0 && reason === '')).toBe(true)
    expect(states.filter(({ state, lost }) => state !== 'attached' || lost !== '')
      .map(({ probe }) => probe)).toEqual(['dns_answer', 'store_read'])
  })

  it('attaches who accepts before what was accepted, and runs iterators apart', () => {
    const programs = programsOf(chooseWays(probeTable, []))
    expect(programs.indexOf('connection_accept_fexit'))
      .toBeLessThan(programs.indexOf('connection_state_tp_btf'))
    const iterators = iteratorsOf(chooseWays(probeTable, []))
    expect(iterators.filter((run) => run.every_ms === 0).map(({ program }) => program))
      .toEqual([
        'datagram_sockets_iter', 'raw_sockets_iter', 'gpu_devices_at_start', 'listener_iter',
        'process_iter', 'connection_iter',
      ])
    expect(iterators).toContainEqual({ program: 'quotas_iter', every_ms: 1000 })
  })

  it('skips all programs of a kind that the kernel does not permit, without trying them', () => {
    const refusal = refusalOf(failure({}), 'connection_accept_fexit', 'fexit')
    const programs = programsOf(chooseWays(probeTable, [refusal]))
    expect(programs.filter((name) => name.endsWith('_fexit'))).toEqual([])
    expect(programs).toContain('connection_accept_kretprobe')
    expect(programs).toContain('connect_v4_kretprobe')
    expect(stateOf('connection_refused_locally', [refusal])).toMatchObject({
      state: 'attached', attach_type: 'kretprobe', error: 1,
      reason: 'this kernel refuses fentry and fexit programs (EPERM for connection_accept_fexit)',
    })
  })

  it('drops only the one program when the verifier refused it', () => {
    const refusal = refusalOf(
      failure({
        errno: 13, code: 'EACCES', detail: 'R1 invalid mem access\nprocessed 9 insns (x)',
      }),
      'connection_accept_fexit', 'fexit')
    const programs = programsOf(chooseWays(probeTable, [refusal]))
    expect(programs).toContain('connect_v4_fexit')
    expect(programs).not.toContain('connection_accept_fexit')
    expect(stateOf('connection_accept', [refusal])?.reason)
      .toBe('connection_accept_fexit: load failed (EACCES): R1 invalid mem access')
  })

  it('drops the whole way when one of its programs was refused', () => {
    const refusal = refusalOf(
      failure({ operation: 'attach', errno: 2, code: 'ENOENT' }), 'connect_v6_fexit', 'fexit')
    const programs = programsOf(chooseWays(probeTable, [refusal]))
    expect(programs).not.toContain('connect_v4_fexit')
    expect(programs).toContain('connection_accept_fexit')
  })

  it('leaves a probe missing when no way is left, with every reason and what is lost', () => {
    const refusals = [
      refusalWithoutKprobes(), refusalOf(failure({}), 'connection_accept_fexit', 'fexit'),
    ]
    const choices = chooseWays(probeTable, refusals)
    expect(isChosen(choices, 'connection_accept')).toBe(false)
    const state = stateOf('connection_accept', refusals)
    expect(state).toMatchObject({ state: 'missing', program: '', attach_type: '', error: 1 })
    expect(state?.reason).toContain('fexit')
    expect(state?.reason).toContain('kprobes')
    expect(state?.lost).toContain('worker')
    expect(stateOf('connection_state', refusals)).toMatchObject({ state: 'attached', reason: '' })
  })

  it('calls a probe degraded when the way that is left sees less', () => {
    const table = [{
      name: 'p', lost: 'all',
      ways: [
        { programs: ['best'], attach_type: 'lsm', lost: '' },
        { programs: ['worse'], attach_type: 'tp_btf', lost: 'half' },
      ],
    }] as const
    const refusals = [refusalOf(failure({}), 'best', 'lsm')]
    expect(probeStates(chooseWays(table, refusals), refusals)).toEqual([{
      probe: 'p', state: 'degraded', program: 'worse', attach_type: 'tp_btf', error: 1,
      reason: 'this kernel refuses lsm programs (EPERM for best)', lost: 'half',
    }])
  })

  it('ends: every refusal removes at least one program, down to none', () => {
    const refusals: Refusal[] = []
    let programs = programsOf(chooseWays(probeTable, refusals))
    while (programs.length > 0) {
      refusals.push(refusalOf(failure({ errno: 22, code: 'EINVAL' }), programs[0], 'tp_btf'))
      const next = programsOf(chooseWays(probeTable, refusals))
      expect(next).not.toContain(programs[0])
      programs = next
    }
    const states = probeStates(chooseWays(probeTable, refusals), refusals)
    expect(states.every(({ state, error }) => state === 'missing' && error === 22)).toBe(true)
  })
})

describe('what becomes of all', () => {
  it('gives every probe the same reason when nothing can be loaded', () => {
    const states = allMissing(probeTable, 38, 'no bpf')
    expect(states).toHaveLength(probeTable.length)
    expect(states.every(({ state, error, reason, lost }) =>
      state === 'missing' && error === 38 && reason === 'no bpf' && lost !== '')).toBe(true)
  })

  it('names the probe of an iterator that failed, and none for an unknown program', () => {
    const failed = failure({ operation: 'read_iterator', errno: 5, code: 'EIO' })
    expect(stateAfterFailure(probeTable, 'process_iter', failed)).toMatchObject({
      probe: 'processes_at_start', state: 'missing', error: 5,
      reason: 'process_iter: read_iterator failed (EIO)',
    })
    expect(stateAfterFailure(probeTable, 'no_such', failed)).toBeUndefined()
  })
})
