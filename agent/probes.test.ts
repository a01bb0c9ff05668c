import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { NativeFailure } from '../native/index.ts'
import type { KernelFacts } from './probes/kernel-facts.ts'
import { explainRefusal, openProbes } from './probes.ts'
import { probeTable } from './probes/table.ts'

const able = process.getuid?.() === 0 && existsSync('/sys/kernel/btf/vmlinux')
if (!able) console.warn('SKIPPED: tests that load probes need root and a kernel with BTF')

const options = {
  ring_bytes: 65536, sockets_max: 64, scope_cgroup_id: 0n, scope_cgroup_level: 0,
}

const facts: KernelFacts = {
  release: '6.1', btf: true, kprobes: true, modules: true, capabilities: ['CAP_BPF', 'CAP_PERFMON'],
  seccomp: false, user_namespace_initial: true, pid_namespace_initial: true, lockdown: '',
  lsms: [], cgroup2: '/sys/fs/cgroup', tracefs: '', bpffs: '', kernel_log: true,
  nvidia_driver: '',
  clocksource: 'tsc',
}

const eperm: NativeFailure = { operation: 'load', errno: 1, code: 'EPERM', detail: '' }

describe('a kernel that gives nothing', () => {
  it('is not even asked without BTF, and the reason says how to get it', () => {
    const { object, states, tries } = openProbes(options, { ...facts, btf: false })
    expect(object).toBeUndefined()
    expect(tries).toBe(0)
    expect(states).toHaveLength(probeTable.length)
    expect(states[0]).toMatchObject({ state: 'missing' })
    expect(states[0].reason).toContain('CONFIG_DEBUG_INFO_BTF=y')
  })

  it('is explained by the capability that is missing', () => {
    const text = explainRefusal(eperm, { ...facts, capabilities: ['CAP_BPF'] })
    expect(text).toContain('CAP_PERFMON missing')
    expect(text).not.toContain('CAP_BPF')
    expect(explainRefusal(eperm, { ...facts, capabilities: [] }))
      .toContain('CAP_BPF and CAP_PERFMON')
  })

  it('does not blame capabilities when CAP_SYS_ADMIN stands for them', () => {
    expect(explainRefusal(eperm, { ...facts, capabilities: ['CAP_SYS_ADMIN'] }))
      .toContain('security module or lockdown')
  })

  it('is explained by a user namespace, a seccomp profile, or a kernel without bpf', () => {
    expect(explainRefusal(eperm, { ...facts, user_namespace_initial: false }))
      .toContain('user namespace')
    expect(explainRefusal(eperm, { ...facts, seccomp: true })).toContain('seccomp')
    expect(explainRefusal({ ...eperm, errno: 38, code: 'ENOSYS' }, facts))
      .toContain('CONFIG_BPF_SYSCALL')
    expect(explainRefusal({ ...eperm, errno: 12, code: 'ENOMEM', detail: 'a\nno memory' }, facts))
      .toBe('load failed (ENOMEM): no memory')
  })
})

describe.runIf(able)('the live kernel', () => {
  it('gets every probe in some way or says why not, and frees all of it again', () => {
    const { object, states, iterators, tries } = openProbes(options)
    try {
      expect(object).toBeDefined()
      expect(states.map(({ probe }) => probe)).toEqual(probeTable.map(({ name }) => name))
      for (const name of ['connection_state', 'process_exec', 'process_exit']) {
        expect(states.find(({ probe }) => probe === name)).toMatchObject({ state: 'attached' })
      }
      for (const { state, program, reason, lost } of states) {
        if (state === 'waiting') expect([program, reason !== '', lost]).toEqual(['', true, ''])
        else if (state !== 'missing') expect(program).not.toBe('')
        else expect([program, reason !== '', lost !== '']).toEqual(['', true, true])
      }
      expect(iterators).toContainEqual({ program: 'process_iter', every_ms: 0 })
      // Fexit may be refused as a kind and kprobes are known before: two loads on this kernel.
      expect(tries).toBeLessThanOrEqual(3)
    } finally {
      object?.close()
    }
  })

  it('takes the next way when a program cannot be loaded', () => {
    const table = [{
      name: 'process_exit', lost: 'exits',
      ways: [
        { programs: ['no_such_program'], attach_type: 'fexit', lost: '' },
        { programs: ['process_exit_tp_btf'], attach_type: 'tp_btf', lost: 'something' },
      ],
    }] as const
    const { object, states, tries } = openProbes(options, { ...facts, kprobes: undefined }, table)
    object?.close()
    expect(tries).toBe(2)
    expect(states).toMatchObject([{
      probe: 'process_exit', state: 'degraded', program: 'process_exit_tp_btf', error: 2,
      lost: 'something',
    }])
    expect(states[0].reason).toContain('no_such_program: load failed (ENOENT)')
  })

  it('goes on without probes when the process may not load them', () => {
    const code = `
      import { openProbes } from '${import.meta.dirname}/probes.ts'
      const { object, states, tries } = openProbes({
        ring_bytes: 65536, sockets_max: 64, scope_cgroup_id: 0n, scope_cgroup_level: 0 })
      process.stdout.write(JSON.stringify({ object: object !== undefined, states, tries }))`
    const { stdout, status, stderr } = spawnSync(
      'setpriv', ['--bounding-set=-all', '--inh-caps=-all', '--ambient-caps=-all',
        process.execPath, '--input-type=module', '-e', code],
      { encoding: 'utf8' })
    expect(status, stderr).toBe(0)
    const { object, states, tries } = JSON.parse(stdout)
    expect(object).toBe(false)
    expect(tries).toBe(1)
    expect(states[0]).toMatchObject({ state: 'missing', error: 1 })
    expect(states[0].reason).toContain('CAP_BPF and CAP_PERFMON missing')
  })
})
