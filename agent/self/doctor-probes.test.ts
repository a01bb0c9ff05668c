import { describe, expect, it } from 'vitest'
import { judgeProbes, judgePrograms } from './doctor-probes.ts'
import type { ProgramTrial } from './doctor-probes.ts'
import { probeTable } from '../probes/table.ts'
import type { KernelFacts } from '../probes/kernel-facts.ts'

const good: KernelFacts = {
  release: '6.12', btf: true, kprobes: true,
  capabilities: ['CAP_BPF', 'CAP_PERFMON', 'CAP_SYS_PTRACE', 'CAP_NET_ADMIN'], seccomp: false,
  user_namespace_initial: true, pid_namespace_initial: true, lockdown: 'integrity', lsms: ['bpf'],
  cgroup2: '/sys/fs/cgroup', tracefs: '/sys/kernel/tracing', bpffs: '/sys/fs/bpf',
  modules: true, kernel_log: true, nvidia_driver: '570.1', clocksource: 'tsc',
}

function trial(name: string, type: ProgramTrial['program']['attach_type'], code?: string): ProgramTrial {
  const program = { name, section: `${type}/x`, attach_type: type }
  if (!code) return { program }
  return { program, failure: { operation: 'load', errno: 1, code, program: name, detail: '' } }
}

describe('judgeProbes', () => {
  const probe = (name: string, trials: ProgramTrial[]) =>
    judgeProbes(trials, good).filter((one) => one.name === `probe ${name}`)

  it('has a probe by the best way that works, and says why not by a better one', () => {
    expect(judgeProbes([trial('connection_accept_fexit', 'fexit')], good)).toEqual([
      { name: 'probe connection_accept', state: 'have', detail: 'by fexit', lost: '', fix: '' },
    ])
    expect(probe('connection_accept', [trial('connection_accept_fexit', 'fexit', 'EPERM'),
      trial('connection_accept_kretprobe', 'kretprobe')])).toMatchObject([
      { state: 'have', detail: 'by kretprobe; fexit: EPERM', lost: '', fix: '' },
    ])
  })

  it('says once what is lost, however many programs are refused', () => {
    const refused = ['connect_v4_fexit', 'connect_v6_fexit'].map((name) => trial(name, 'fexit', 'EPERM'))
    const kprobes = ['connect_v4_kprobe', 'connect_v4_kretprobe', 'connect_v6_kprobe', 'connect_v6_kretprobe']
      .map((name) => trial(name, 'kretprobe', 'ENOENT'))
    expect(judgeProbes([...refused, ...kprobes], good)).toEqual([{
      name: 'probe connection_refused_locally', state: 'missing', detail: 'fexit: EPERM, kretprobe: ENOENT',
      lost: 'connect() calls that the node itself refuses, such as those without a route',
      fix: expect.stringContaining('fexit'),
    }])
  })

  it('is degraded by a way that sees less, and says how to get the better one', () => {
    const [all] = probe('store_listing', [trial('store_listing_fentry', 'fentry', 'EPERM'),
      trial('store_listing_kprobe', 'kprobe', 'ENOENT'), trial('store_listing_sys_exit', 'tp_btf')])
    expect(all).toMatchObject({ state: 'degraded', detail: 'by tp_btf; fentry: EPERM, kprobe: ENOENT' })
    expect([all.lost, all.fix]).toEqual([expect.stringContaining('32-bit'), expect.stringContaining('fentry')])
  })

  it('waits for a module, and lacks one that another kernel was built with', () => {
    const { ways: [way] } = probeTable.find(({ name }) => name === 'vsock_connection')!
    const names = way.programs
    const of = (foreign: boolean) => names.map((name) => ({ ...trial(name, 'fexit'), module: 'vsock', foreign }))
    expect(probe('vsock_connection', of(false))).toMatchObject([{ state: 'waiting', lost: '', fix: '' }])
    expect(probe('vsock_connection', of(true))).toMatchObject([
      { state: 'missing', lost: expect.stringContaining('vsock'), fix: 'the vsock of the kernel itself' },
    ])
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
