// Loads and attaches the probes in the best way that this kernel allows, and says what is lost.
// Never throws for what a kernel refuses: the agent goes on with the probes that are left.

import { KernelObject } from '../native/index.ts'
import { AddonMissingError } from '../native/addon.ts'
import type { NativeFailure } from '../native/index.ts'
import type { ProbeState } from '../proto/gen/events.ts'
import { moduleIdentity, readKernelFacts, readModule } from './probes/kernel-facts.ts'
import type { KernelFacts } from './probes/kernel-facts.ts'
import { chooseWays, isChosen, iteratorsOf, programsOf, waitingOf } from './probes/choice.ts'
import type { Choice, IteratorRun } from './probes/choice.ts'
import { LateProbes } from './probes/late.ts'
import {
  refusalOf, refusalWithoutBpfLsm, refusalWithoutCgroup, refusalWithoutKprobes,
} from './probes/refusal.ts'
import type { Refusal } from './probes/refusal.ts'
import { allMissing, probeStates, waitingFor } from './probes/states.ts'
import { probeTable } from './probes/table.ts'
import type { Probe } from './probes/table.ts'

export interface ProbeOptions {
  /** Size of the ring buffer, a power of two. */
  ring_bytes: number
  /** Open connections of which the identity is kept. */
  sockets_max: number
  /** Watch only this cgroup v2 and what is below it; 0n is the whole node. */
  scope_cgroup_id: bigint
  /** Its depth below the root. */
  scope_cgroup_level: number
  /** Its folder. Absent: of the whole node the mount of cgroup v2, otherwise none is known. */
  scope_cgroup_dir?: string
  /** Datagram flows that are counted at the same time. Default 65,536. */
  flows_max?: number
  /** A type of file system (as in statfs) that counts as shared by nodes, too. Default 0: none. */
  shared_fs_magic_extra?: number
  /** Vendor of the GPUs on the PCI bus, whose BARs count as devices. Default 0x10de: NVIDIA. */
  gpu_pci_vendor?: number
  /** Records that a cgroup may make per second, of each class; 0 is no limit. Default 0. */
  cgroup_quota_per_s?: number
  /** Like connections of a process that are told per second; 0: all of them. Default 0. */
  connection_repeats_per_s?: number
}

export interface OpenProbes {
  /** Absent when nothing could be loaded. Close it. */
  object?: KernelObject
  /** One for each probe of the table; the facts of `probe_state` events. */
  states: ProbeState[]
  /** Programs that source runs. */
  iterators: IteratorRun[]
  /** Probes of kernel modules and stores, which may come later; their states are in `states`. */
  late?: LateProbes
  /** How often the object was loaded until it stayed. */
  tries: number
}

/** Every try drops one program at least, so this is never reached while the table is shorter. */
const triesMax = 16

/** Loads, attaches, and tries again without what was refused. Takes about 20 ms per try. */
export function openProbes(
  options: ProbeOptions, facts: KernelFacts = readKernelFacts(),
  table: readonly Probe[] = probeTable,
): OpenProbes {
  if (!facts.btf) return nothing(table, 0, 2, reasonWithoutBtf)
  const cgroupDir = options.scope_cgroup_dir ??
    (options.scope_cgroup_id === 0n ? facts.cgroup2 : '')
  const refusals: Refusal[] = facts.kprobes === false ? [refusalWithoutKprobes()] : []
  if (cgroupDir === '') refusals.push(refusalWithoutCgroup())
  if (!facts.lsms.includes('bpf')) refusals.push(refusalWithoutBpfLsm())
  const idle = facts.modules ? [] : table.filter(({ needs }) => needs === 'modules')
  const later = table.filter(({ module, needs }) => module || needs === 'stores')
  const own = table.filter((probe) => !idle.includes(probe) && !later.includes(probe))
  const idleStates = idle.map((probe) => waitingFor(probe, reasonWithoutModules))
  for (let tries = 1; tries <= triesMax; tries++) {
    const choices = chooseWays(own, refusals)
    const programs = programsOf(choices)
    const waiting = waitingOf(choices)
    const isWaiting = (name: string): boolean => waiting.some((probe) => probe.name === name)
    const states = probeStates(choices.filter(({ probe }) => !isWaiting(probe.name)), refusals)
    const lateProbes = [...waiting, ...later]
    if (programs.length === 0) {
      const none = probeStates(lateProbes.map((probe) => ({ probe, way: -1 })), refusals)
      return { states: [...states, ...idleStates, ...none], iterators: [], tries }
    }
    const { object, failure } = tryLoad(options, cgroupDir, choices)
    const refused = failure ?? attachAll(object!, choices)
    if (object && !refused) {
      const privileged = facts.capabilities.includes('CAP_SYS_ADMIN')
      const late = new LateProbes({
        kernel: object, probes: lateProbes, refusals, privileged, readModule, moduleIdentity,
      })
      const order = table.map(({ name }) => name)
      const all = [...states, ...idleStates, ...late.states]
        .sort((one, other) => order.indexOf(one.probe) - order.indexOf(other.probe))
      const lateOnes = iteratorsOf(lateProbes.map((probe) => ({ probe, way: 0 })))
        .map((one) => ({ ...one, late: true as const }))
      return { object, states: all, iterators: [...iteratorsOf(choices), ...lateOnes], late, tries }
    }
    object?.close()
    const { program = '' } = refused!
    const way = choices.map(({ probe, way }) => probe.ways[way])
      .find((chosen) => program && chosen?.programs.includes(program))
    if (!way) return nothing(table, tries, refused!.errno, explainRefusal(refused!, facts))
    refusals.push(refusalOf(refused!, program, way.attach_type))
  }
  return nothing(table, triesMax, 0, `gave up after ${triesMax} tries; this is a defect of Vedette`)
}

function tryLoad(
  options: ProbeOptions, cgroupDir: string, choices: Choice[],
): { object?: KernelObject, failure?: NativeFailure } {
  try {
    return KernelObject.load({
      ring_bytes: options.ring_bytes,
      sockets_max: options.sockets_max,
      scope_cgroup_id: options.scope_cgroup_id,
      scope_cgroup_level: options.scope_cgroup_level,
      flows_max: options.flows_max,
      cgroup_dir: cgroupDir,
      shared_fs_magic_extra: options.shared_fs_magic_extra,
      gpu_pci_vendor: options.gpu_pci_vendor,
      programs: programsOf(choices),
      accept_visible: isChosen(choices, 'connection_accept'),
      connect_visible: isChosen(choices, 'connection_refused_locally'),
      // Nothing is held back in the kernel that nobody fetches.
      cgroup_quota_per_s:
        isChosen(choices, 'cgroup_quota') ? options.cgroup_quota_per_s : 0,
      connection_repeats_per_s:
        isChosen(choices, 'connection_repeats') ? options.connection_repeats_per_s : 0,
    })
  } catch (error) {
    if (!(error instanceof AddonMissingError)) throw error
    return {
      failure: { operation: 'load_addon', errno: 2, code: error.code, detail: error.message },
    }
  }
}

/** Attaches what is not an iterator, in the order of the table; stops at the first refusal. */
function attachAll(object: KernelObject, choices: Choice[]): NativeFailure | undefined {
  const iterators = iteratorsOf(choices).map(({ program }) => program)
  for (const program of programsOf(choices)) {
    if (iterators.includes(program)) continue
    const failure = object.attach(program)
    if (failure) return failure
  }
  return undefined
}

function nothing(
  table: readonly Probe[], tries: number, errno: number, reason: string,
): OpenProbes {
  return { states: allMissing(table, errno, reason), iterators: [], tries }
}

/** Why no probe works on a kernel that does not describe its types. */
export const reasonWithoutBtf = 'the kernel has no BTF (/sys/kernel/btf/vmlinux is missing): ' +
  'use a kernel built with CONFIG_DEBUG_INFO_BTF=y, as all current distributions do'

/** Why a probe of the loading of modules has nothing to do. */
export const reasonWithoutModules = 'this kernel is built without modules (CONFIG_MODULES): ' +
  'none can be loaded'

/** Why the whole object was refused, what is missing, and how to get it. Pure. */
export function explainRefusal(failure: NativeFailure, facts: KernelFacts): string {
  const said = `${failure.operation} failed (${failure.code})`
  if (failure.operation === 'load_addon') return failure.detail
  if (failure.code === 'ENOSYS') {
    return `${said}: the kernel has no bpf system call: use one built with CONFIG_BPF_SYSCALL=y`
  }
  if (failure.code !== 'EPERM' && failure.code !== 'EACCES') {
    return `${said}: ${failure.detail.split('\n').at(-1) ?? ''}`.slice(0, 400)
  }
  const missing = ['CAP_BPF', 'CAP_PERFMON'].filter((name) => !facts.capabilities.includes(name))
  if (missing.length > 0 && !facts.capabilities.includes('CAP_SYS_ADMIN')) {
    return `${said}: ${missing.join(' and ')} missing: run as root, or give the agent these ` +
      'capabilities (systemd: AmbientCapabilities=, Kubernetes: securityContext.capabilities)'
  }
  if (!facts.user_namespace_initial) {
    return `${said}: the agent is in a user namespace, where capabilities do not reach BPF: ` +
      'run it on the host (no rootless container, no userns-remap)'
  }
  if (facts.seccomp) {
    return `${said}: a seccomp profile refuses bpf(): allow it, or run with the profile unconfined`
  }
  return `${said}: capabilities are held, so a security module or lockdown refuses bpf(): ` +
    'see the kernel log and /sys/kernel/security/lockdown'
}
