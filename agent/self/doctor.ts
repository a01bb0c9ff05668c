// The facts for `vedette doctor`: what this node offers, what is missing, what is lost, how to get
// it. The CLI prints them.

import { KernelObject, programs } from '../../native/index.ts'
import { AddonMissingError } from '../../native/addon.ts'
import type { NativeFailure, ProgramInfo } from '../../native/index.ts'
import { readKernelFacts, readModule } from '../probes/kernel-facts.ts'
import type { KernelFacts } from '../probes/kernel-facts.ts'
import { reasonWithoutBtf, reasonWithoutModules } from '../probes.ts'
import { familyOf, refusalOf } from '../probes/refusal.ts'
import { fact } from './doctor-fact.ts'
import type { DoctorFact } from './doctor-fact.ts'
import { judgeProbes, judgePrograms, probeOf } from './doctor-probes.ts'
import type { ProgramTrial } from './doctor-probes.ts'

/** Reads the node and tries every program for a moment. */
export function examineNode(): DoctorFact[] {
  const facts = readKernelFacts()
  return [...judgeKernel(facts), ...judgeAddon(facts)]
}

function judgeAddon(facts: KernelFacts): DoctorFact[] {
  try {
    const trials = tryPrograms(programs(), facts)
    return [...judgeProbes(trials, facts), ...judgePrograms(trials, facts)]
  } catch (error) {
    if (!(error instanceof AddonMissingError)) throw error
    return [fact('addon', 'missing', error.message, 'every probe', 'npm run build')]
  }
}

/** So many programs are loaded at once: each load reads the types of the kernel anew. */
const togetherMax = 16

/**
 * Loads every program with the smallest ring, attaches it, and takes it away again. When a kernel
 * refuses one for its kind, the others of that kind need no try.
 */
function tryPrograms(list: ProgramInfo[], facts: KernelFacts): ProgramTrial[] {
  const refused = new Map<string, NativeFailure>()
  const trials = list.map((program) => trialWithoutTry(program, facts))
  const open = list.filter((_, index) => !trials[index])
    .sort((one, other) => familyOf(one.attach_type).localeCompare(familyOf(other.attach_type)))
  const tried = new Map<string, ProgramTrial>()
  for (let from = 0; from < open.length; from += togetherMax) {
    for (const trial of tryTogether(open.slice(from, from + togetherMax), facts, refused)) {
      tried.set(trial.program.name, trial)
    }
  }
  return list.map(({ name }, index) => trials[index] ?? tried.get(name)!)
}

/** Of a program that has nothing to see here, or whose module is not there. */
function trialWithoutTry(program: ProgramInfo, facts: KernelFacts): ProgramTrial | undefined {
  const { module, needs, untyped } = probeOf(program) ?? {}
  if (needs === 'modules' && !facts.modules) return { program, idle: reasonWithoutModules }
  const found = module ? readModule(module) : 'loaded'
  const foreign = found === 'foreign'
  return found === 'loaded' || (foreign && untyped) ? undefined : { program, module, foreign }
}

/** When one is refused while they are loaded, each is tried alone. */
function tryTogether(
  list: ProgramInfo[], facts: KernelFacts, refused: Map<string, NativeFailure>,
): ProgramTrial[] {
  const fresh = list.filter((program) => !refused.has(familyOf(program.attach_type)))
  const { object, failure: whole } = fresh.length > 0 ? load(fresh, facts.cgroup2) : {}
  const trials = list.map((program): ProgramTrial => {
    const family = familyOf(program.attach_type)
    const known = refused.get(family)
    if (known) return { program, failure: { ...known, program: program.name } }
    const failure = whole && list.length > 1
      ? tryTogether([program], facts, refused)[0].failure : whole ?? object?.attach(program.name)
    object?.detach(program.name)
    if (!failure) return { program }
    const ofKind = refusalOf(failure, program.name, program.attach_type).family
    // Without kprobes they load, and are refused when they are attached.
    if (ofKind || (family === 'kprobe' && facts.kprobes === false)) refused.set(family, failure)
    return { program, failure }
  })
  object?.close()
  return trials
}

function load(
  list: ProgramInfo[], cgroupDir: string,
): { object?: KernelObject, failure?: NativeFailure } {
  return KernelObject.load({
    programs: list.map(({ name }) => name), ring_bytes: 65536, sockets_max: 1, flows_max: 1,
    cgroup_dir: cgroupDir, scope_cgroup_id: 0n, scope_cgroup_level: 0,
    accept_visible: false, connect_visible: false,
  })
}

/** Judges what /proc and /sys say. Pure. */
export function judgeKernel(facts: KernelFacts): DoctorFact[] {
  return [
    fact('kernel', facts.release ? 'have' : 'degraded', facts.release || 'release unknown'),
    facts.btf
      ? fact('btf', 'have', '/sys/kernel/btf/vmlinux')
      : fact('btf', 'missing', reasonWithoutBtf, 'every probe',
        'boot a kernel with CONFIG_DEBUG_INFO_BTF=y'),
    judgeCapabilities(facts),
    judgeKprobes(facts),
    judgeUserNamespace(facts),
    facts.seccomp
      ? fact('seccomp', 'degraded', 'a filter is on this process',
        'probes, if the filter refuses bpf()', 'allow bpf() and perf_event_open()')
      : fact('seccomp', 'have', 'no filter'),
    judgeLockdown(facts),
    judgeLsms(facts),
    facts.cgroup2
      ? fact('cgroup2', 'have', facts.cgroup2)
      : fact('cgroup2', 'missing', 'no cgroup v2 mount', 'the cgroup, container and unit of events',
        'mount -t cgroup2 none /sys/fs/cgroup/unified'),
    judgeMount('tracefs', facts.tracefs, '/sys/kernel/tracing',
      facts.kprobes === false ? '' : 'kprobes on kernels before 4.17'),
    judgeMount('bpffs', facts.bpffs, '/sys/fs/bpf', ''),
    judgePidNamespace(facts),
    facts.nvidia_driver
      ? fact('nvidia_driver', 'have', facts.nvidia_driver)
      : fact('nvidia_driver', 'missing', 'no /proc/driver/nvidia/version', 'the state of GPUs',
        'none needed on a node without GPUs'),
    facts.kernel_log
      ? fact('kernel_log', 'have', '/dev/kmsg')
      : fact('kernel_log', 'missing', '/dev/kmsg cannot be read',
        'errors of GPUs (Xid) that the driver tells of in the kernel log',
        'CAP_SYSLOG, and /dev/kmsg in the container of the agent'),
    fact('clock', facts.clocksource ? 'have' : 'degraded',
      facts.clocksource ? `clocksource ${facts.clocksource}` : 'clocksource unknown'),
  ]
}

/** Without these much is seen still. */
const partly = ['CAP_SYS_PTRACE', 'CAP_NET_ADMIN']

function judgeCapabilities(facts: KernelFacts): DoctorFact {
  const held = (name: string): boolean => facts.capabilities.includes(name) ||
    // CAP_SYS_ADMIN contains these since before they existed.
    (!partly.includes(name) && facts.capabilities.includes('CAP_SYS_ADMIN'))
  const needed = {
    CAP_BPF: 'every probe', CAP_PERFMON: 'every probe',
    CAP_SYS_PTRACE: 'the executables and groups of processes of other users',
    CAP_NET_ADMIN: 'datagrams, UDP ports and answers of name servers',
  }
  const missing = Object.entries(needed).filter(([name]) => !held(name))
  if (missing.length === 0) {
    return fact('capabilities', 'have', Object.keys(needed).join(', '))
  }
  const state = missing.some(([name]) => !partly.includes(name)) ? 'missing' : 'degraded'
  return fact('capabilities', state, `${missing.map(([name]) => name).join(', ')} not held`,
    [...new Set(missing.map(([, lost]) => lost))].join('; '),
    'run as root, or grant them (AmbientCapabilities=, securityContext.capabilities)')
}

function judgeKprobes(facts: KernelFacts): DoctorFact {
  if (facts.kprobes === undefined) {
    return fact('kprobes', 'degraded', '/sys/bus/event_source is not there to tell')
  }
  return facts.kprobes
    ? fact('kprobes', 'have', 'built in')
    : fact('kprobes', 'missing', 'not built into this kernel',
      'the second choice where fexit is refused', 'boot a kernel with CONFIG_KPROBE_EVENTS=y')
}

function judgeUserNamespace(facts: KernelFacts): DoctorFact {
  return facts.user_namespace_initial
    ? fact('user_namespace', 'have', 'initial')
    : fact('user_namespace', 'missing', 'inside a user namespace', 'every probe',
      'run on the host: no rootless container, no userns-remap')
}

function judgePidNamespace(facts: KernelFacts): DoctorFact {
  return facts.pid_namespace_initial
    ? fact('pid_namespace', 'have', "the host's")
    : fact('pid_namespace', 'degraded',
      "not the host's: pids in events are not those in /proc here",
      'executables, groups and containers of processes that ran before the agent',
      'hostPID: true (Kubernetes), --pid=host (podman, docker)')
}

function judgeLockdown(facts: KernelFacts): DoctorFact {
  if (facts.lockdown === 'confidentiality') {
    return fact('lockdown', 'missing', 'confidentiality',
      'every probe: reading kernel memory is refused', 'boot with lockdown=integrity')
  }
  return fact('lockdown', 'have',
    facts.lockdown ? `${facts.lockdown} (allows what we use)` : 'none seen')
}

function judgeLsms(facts: KernelFacts): DoctorFact {
  if (facts.lsms.length === 0) {
    return fact('lsm', 'degraded', 'list unknown', '',
      'mount -t securityfs none /sys/kernel/security')
  }
  return fact('lsm', 'have', facts.lsms.join(', '))
}

function judgeMount(name: string, found: string, place: string, lost: string): DoctorFact {
  const type = name === 'bpffs' ? 'bpf' : name
  return found
    ? fact(name, 'have', found)
    : fact(name, lost ? 'degraded' : 'missing', 'not mounted', lost,
      `mount -t ${type} none ${place}`)
}
