import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { capabilitiesOf, readKernelFacts, readModule } from './kernel-facts.ts'

let root = ''
afterEach(() => rmSync(root, { recursive: true, force: true }))

/** A root folder with these files; a value that begins with '->' is a symbolic link. */
function node(files: Record<string, string>): string {
  root = mkdtempSync(join(tmpdir(), 'vedette-facts-'))
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    if (content.startsWith('->')) symlinkSync(content.slice(2), join(root, path))
    else writeFileSync(join(root, path), content)
  }
  return root
}

describe('readKernelFacts', () => {
  it('reads a node as a GPU cluster has it', () => {
    const facts = readKernelFacts(node({
      'proc/sys/kernel/osrelease': '6.1.0-31-amd64\n',
      'proc/self/status': 'Name:\tnode\nCapEff:\t000000c000080000\nSeccomp:\t2\n',
      'proc/self/mounts': 'proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n' +
        'none /mnt/with\\040space tracefs rw 0 0\n',
      'proc/self/ns/user': '->user:[4026531837]',
      'proc/self/ns/pid': '->pid:[4026532001]',
      'proc/driver/nvidia/version':
        'NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 2023\n',
      'sys/kernel/btf/vmlinux': 'x',
      'sys/bus/event_source/devices/kprobe/type': '6',
      'sys/kernel/security/lockdown': 'none [integrity] confidentiality\n',
      'sys/kernel/security/lsm': 'lockdown,capability,bpf',
      'sys/devices/system/clocksource/clocksource0/current_clocksource': 'tsc\n',
      'proc/modules': '',
      'dev/kmsg': '',
    }))
    expect(facts).toEqual({
      release: '6.1.0-31-amd64', btf: true, kprobes: true, modules: true,
      capabilities: ['CAP_SYS_PTRACE', 'CAP_PERFMON', 'CAP_BPF'],
      seccomp: true, user_namespace_initial: true, pid_namespace_initial: false,
      lockdown: 'integrity', lsms: ['lockdown', 'capability', 'bpf'], cgroup2: '/sys/fs/cgroup',
      tracefs: '/mnt/with space', bpffs: '', kernel_log: true, nvidia_driver: '535.104.05', clocksource: 'tsc',
    })
  })

  it('knows nothing where nothing can be read, and does not guess', () => {
    const facts = readKernelFacts(node({ 'proc/empty': '' }))
    expect(facts).toMatchObject({
      release: '', btf: false, kprobes: undefined, modules: false, capabilities: [], seccomp: false, lockdown: '',
      lsms: [], cgroup2: '', tracefs: '', bpffs: '', kernel_log: false, nvidia_driver: '',
    })
  })

  it('tells a kernel without kprobes from one that does not say', () => {
    expect(readKernelFacts(node({ 'sys/bus/event_source/devices/software/type': '1' })).kprobes)
      .toBe(false)
  })
})

describe('capabilitiesOf', () => {
  it('names the bits, and keeps those that are newer than its list', () => {
    expect(capabilitiesOf('0000000000000001')).toEqual(['CAP_CHOWN'])
    expect(capabilitiesOf('0000040000000000')).toEqual(['CAP_42'])
    expect(capabilitiesOf('000001ffffffffff')).toHaveLength(41)
  })

  it('finds none in what is no mask', () => {
    expect(capabilitiesOf('')).toEqual([])
    expect(capabilitiesOf('0x1; rm')).toEqual([])
    expect(capabilitiesOf('0')).toEqual([])
  })
})

describe('a module of the kernel', () => {
  const files = {
    'sys/module/vsock/taint': '\n',
    'sys/module/ib_core/taint': 'OE\n',
    'proc/sys/kernel/osrelease': '6.1.0\n',
    'lib/modules/6.1.0/modules.builtin': 'kernel/net/core/unix.ko\nkernel/rdma_cm.ko\n',
  }

  it.each([
    ['vsock', 'loaded'], ['ib_core', 'foreign'], ['rdma_cm', 'loaded'], ['nix', 'absent'],
    ['dma_cm', 'absent'],
  ])('%s is %s', (name, expected) => {
    expect(readModule(name, node(files))).toBe(expected)
  })

  it('is absent where nothing can be read', () => {
    expect(readModule('vsock', node({}))).toBe('absent')
  })
})
