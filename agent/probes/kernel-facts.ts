// What /proc and /sys say about this kernel and this process. Reads only; nothing is judged here.

import {
  closeSync, constants, existsSync, openSync, readFileSync, readlinkSync, statSync,
} from 'node:fs'
import { join } from 'node:path'

export interface KernelFacts {
  /** Such as '6.12.0-amd64'; '' when unknown. */
  release: string
  /** The kernel describes its own types. */
  btf: boolean
  /** undefined when /sys does not tell. */
  kprobes: boolean | undefined
  /** Modules can be loaded into the kernel. */
  modules: boolean
  /** Names of the effective capabilities, such as 'CAP_BPF'. */
  capabilities: string[]
  /** Is a seccomp filter on this process? */
  seccomp: boolean
  /** Is this process in the initial namespace of each kind? */
  user_namespace_initial: boolean
  pid_namespace_initial: boolean
  /** Mode in force, such as 'integrity'; '' when unknown. */
  lockdown: string
  /** Active security modules; empty when unknown. */
  lsms: string[]
  /** Where each is mounted; '' when not mounted. */
  cgroup2: string
  tracefs: string
  bpffs: string
  /** The kernel's log can be read. */
  kernel_log: boolean
  /** Version of the NVIDIA driver; '' when there is none. */
  nvidia_driver: string
  /** Such as 'tsc'; '' when unknown. */
  clocksource: string
}

/** In the order of their numbers (include/uapi/linux/capability.h of the kernel). */
const capabilityNames = [
  'CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID',
  'SETPCAP', 'LINUX_IMMUTABLE', 'NET_BIND_SERVICE', 'NET_BROADCAST', 'NET_ADMIN', 'NET_RAW',
  'IPC_LOCK', 'IPC_OWNER', 'SYS_MODULE', 'SYS_RAWIO', 'SYS_CHROOT', 'SYS_PTRACE', 'SYS_PACCT',
  'SYS_ADMIN', 'SYS_BOOT', 'SYS_NICE', 'SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'MKNOD',
  'LEASE', 'AUDIT_WRITE', 'AUDIT_CONTROL', 'SETFCAP', 'MAC_OVERRIDE', 'MAC_ADMIN', 'SYSLOG',
  'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ', 'PERFMON', 'BPF', 'CHECKPOINT_RESTORE',
]

/** Inode numbers of the initial namespaces; fixed in the kernel (include/linux/proc_ns.h). */
const initialNamespaces = { user: 'user:[4026531837]', pid: 'pid:[4026531836]' }

/** Reads everything; what cannot be read is unknown. `root` is another root folder, for tests. */
export function readKernelFacts(root = '/'): KernelFacts {
  const at = (path: string): string => join(root, path)
  const status = text(at('proc/self/status'))
  const mounts = text(at('proc/self/mounts'))
  const eventSources = at('sys/bus/event_source/devices')
  return {
    release: text(at('proc/sys/kernel/osrelease')).trim(),
    btf: existsSync(at('sys/kernel/btf/vmlinux')),
    kprobes: existsSync(eventSources) ? existsSync(join(eventSources, 'kprobe')) : undefined,
    modules: existsSync(at('proc/modules')),
    capabilities: capabilitiesOf(statusField(status, 'CapEff')),
    seccomp: statusField(status, 'Seccomp') === '2',
    user_namespace_initial: link(at('proc/self/ns/user')) === initialNamespaces.user,
    pid_namespace_initial: link(at('proc/self/ns/pid')) === initialNamespaces.pid,
    lockdown: /\[(\w+)\]/.exec(text(at('sys/kernel/security/lockdown')))?.[1] ?? '',
    lsms: text(at('sys/kernel/security/lsm')).trim().split(',').filter(Boolean),
    cgroup2: mountOf(mounts, 'cgroup2'),
    tracefs: mountOf(mounts, 'tracefs'),
    bpffs: mountOf(mounts, 'bpf'),
    kernel_log: opens(at('dev/kmsg')),
    nvidia_driver: nvidiaVersion(text(at('proc/driver/nvidia/version'))),
    clocksource:
      text(at('sys/devices/system/clocksource/clocksource0/current_clocksource')).trim(),
  }
}

/**
 * Is a module of the kernel there? 'loaded' (or built in), 'absent', or 'foreign': built outside of
 * this kernel's sources, so that its types are not what the kernel's BTF says.
 */
export function readModule(name: string, root = '/'): 'loaded' | 'absent' | 'foreign' {
  const folder = join(root, 'sys/module', name)
  if (existsSync(folder)) {
    return text(join(folder, 'taint')).includes('O') ? 'foreign' : 'loaded'
  }
  const release = text(join(root, 'proc/sys/kernel/osrelease')).trim()
  const builtin = text(join(root, 'lib/modules', release, 'modules.builtin'))
  return builtin.includes(`/${name}.ko\n`) ? 'loaded' : 'absent'
}

/** Changes whenever the module is loaded anew; 0 while it is not there. */
export function moduleIdentity(name: string, root = '/'): number {
  return statSync(join(root, 'sys/module', name), { throwIfNoEntry: false })?.ino ?? 0
}

/** Names for a hexadecimal mask as in /proc/self/status; numbers for those newer than our list. */
export function capabilitiesOf(mask: string): string[] {
  if (!/^[0-9a-f]+$/i.test(mask)) return []
  const bits = BigInt(`0x${mask}`)
  const names: string[] = []
  for (let bit = 0; bit < 64; bit++) {
    if ((bits >> BigInt(bit)) & 1n) names.push(`CAP_${capabilityNames[bit] ?? bit}`)
  }
  return names
}

function statusField(status: string, name: string): string {
  return new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1] ?? ''
}

/** Mount point of the first mount of a type. */
function mountOf(mounts: string, type: string): string {
  const line = mounts.split('\n').map((row) => row.split(' ')).find((row) => row[2] === type)
  // The kernel writes spaces and backslashes in paths as octal.
  const path = line?.[1] ?? ''
  return path.replace(/\\(\d{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)))
}

/** "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  …" */
function nvidiaVersion(version: string): string {
  return /NVRM version:.*?\s(\d+\.\d+(?:\.\d+)?)\s/.exec(version)?.[1] ?? ''
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** Opening asks for more than the permissions of the file do. */
function opens(path: string): boolean {
  try {
    closeSync(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK))
    return true
  } catch {
    return false
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
