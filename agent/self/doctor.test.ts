import { describe, expect, it } from 'vitest'
import { examineNode, judgeKernel, judgePrograms } from './doctor.ts'
import type { ProgramTrial } from './doctor.ts'
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

function trial(name: string, type: 'fexit' | 'kretprobe' | 'tp_btf', code?: string): ProgramTrial {
  const program = { name, section: `${type}/x`, attach_type: type }
  if (!code) return { program }
  return { program, failure: { operation: 'load', errno: 1, code, program: name, detail: '' } }
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

describe('judgePrograms', () => {
  it('has a program that loads', () => {
    expect(judgePrograms([trial('process_exec_tp_btf', 'tp_btf')], good)).toEqual([{
      name: 'program process_exec_tp_btf', state: 'have', detail: 'tp_btf/x', lost: '', fix: '',
    }])
  })

  it('does not mourn a program whose probe has another way', () => {
    const facts = judgePrograms(
      [trial('connection_accept_fexit', 'fexit', 'EPERM'),
        trial('connection_accept_kretprobe', 'kretprobe')], good)
    expect(facts[0]).toMatchObject({
      state: 'degraded', lost: '', fix: 'not needed: kretprobe works',
    })
  })

  it('says what is lost when no way of the probe is left', () => {
    const facts = judgePrograms([trial('connection_accept_fexit', 'fexit', 'EPERM')], good)
    expect(facts[0]).toMatchObject({ state: 'missing', detail: 'fexit/x: load failed (EPERM)' })
    expect(facts[0].lost).toContain('worker')
    expect(facts[0].fix).toContain('fexit')
  })
})

describe('programs of kernel modules', () => {
  const program = {
    name: 'vsock_connect_fexit', section: 'fexit/vsock_connect', attach_type: 'fexit',
  } as const

  it('lack nothing while the module is not loaded', () => {
    expect(judgePrograms([{ program, module: 'vsock', foreign: false }], good)).toMatchObject([{
      state: 'waiting', detail: 'fexit/vsock_connect: for the module vsock', lost: '', fix: '',
    }])
  })

  it('are missing when the module is not of this kernel', () => {
    const [fact] = judgePrograms([{ program, module: 'vsock', foreign: true }], good)
    expect(fact).toMatchObject({ state: 'missing', fix: 'the vsock of the kernel itself' })
    expect(fact.lost).toContain('vsock')
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
