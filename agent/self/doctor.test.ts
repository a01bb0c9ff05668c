import { describe, expect, it } from 'vitest'
import { examineNode, judgeKernel } from './doctor.ts'
import type { KernelFacts } from '../probes/kernel-facts.ts'

const good: KernelFacts = {
  release: '6.12', btf: true, kprobes: true,
  capabilities: ['CAP_BPF', 'CAP_PERFMON', 'CAP_SYS_PTRACE', 'CAP_NET_ADMIN'], seccomp: false,
  user_namespace_initial: true, pid_namespace_initial: true, lockdown: 'integrity', lsms: ['bpf'],
  cgroup2: '/sys/fs/cgroup', tracefs: '/sys/kernel/tracing', bpffs: '/sys/fs/bpf',
  modules: true, kernel_log: true, nvidia_driver: '570.1', clocksource: 'tsc',
}

function judged(more: Partial<KernelFacts>, name: string) {
  return judgeKernel({ ...good, ...more }).find((fact) => fact.name === name)
}

describe('judgeKernel', () => {
  it('is content with a good node: nothing is lost, nothing is to do', () => {
    const facts = judgeKernel(good)
    expect(facts.every(({ state, lost, fix }) => state === 'have' && lost + fix === '')).toBe(true)
    expect(new Set(facts.map(({ name }) => name)).size).toBe(facts.length)
  })

  it('says what is lost and what to do for everything that a node may lack', () => {
    const bad = judgeKernel({
      ...good, btf: false, kprobes: false, capabilities: [], seccomp: true,
      user_namespace_initial: false, pid_namespace_initial: false, lockdown: 'confidentiality',
      cgroup2: '', kernel_log: false, nvidia_driver: '',
    }).filter(({ state }) => state !== 'have')
    expect(bad.map(({ name }) => name)).toEqual(['btf', 'capabilities', 'kprobes', 'user_namespace',
      'seccomp', 'lockdown', 'cgroup2', 'pid_namespace', 'nvidia_driver',
      'kernel_log'])
    for (const { lost, fix } of bad) expect([lost === '', fix === '']).toEqual([false, false])
  })

  it('takes CAP_SYS_ADMIN for CAP_BPF and CAP_PERFMON, but not for the others', () => {
    expect(judged({ capabilities: ['CAP_SYS_ADMIN'] }, 'capabilities')).toMatchObject({
      state: 'degraded', detail: 'CAP_SYS_PTRACE, CAP_NET_ADMIN not held',
    })
    const without = ['CAP_BPF', 'CAP_PERFMON', 'CAP_SYS_PTRACE']
    expect(judged({ capabilities: without }, 'capabilities')).toMatchObject({
      state: 'degraded', detail: 'CAP_NET_ADMIN not held', lost: expect.stringContaining('UDP'),
    })
    const capabilities = ['CAP_BPF', 'CAP_SYS_PTRACE', 'CAP_NET_ADMIN']
    expect(judged({ capabilities }, 'capabilities')).toMatchObject({
      state: 'missing', detail: 'CAP_PERFMON not held', lost: 'every probe',
    })
  })
})

describe('examineNode', () => {
  it('reports this node, with or without privilege: every fact is complete', () => {
    const facts = examineNode()
    expect(facts.find(({ name }) => name === 'kernel')?.detail).not.toBe('')
    expect(facts.some(({ name }) => name === 'program process_exec_tp_btf')).toBe(true)
    for (const { state, detail } of facts) {
      expect(['have', 'missing', 'degraded', 'waiting']).toContain(state)
      expect(detail).not.toBe('')
    }
  })
})
