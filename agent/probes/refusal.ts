// What the kernel refused, and what that says about other programs. Pure.

import type { AttachType, NativeFailure } from '../../native/index.ts'
import type { ProbeWay } from './table.ts'

/** A program that the kernel refused, or would refuse. */
export interface Refusal {
  program: string
  attach_type: AttachType
  errno: number
  /** In words, for people. */
  reason: string
  /** Every program of the same family will be refused too. */
  family: boolean
}

/** Programs of one family are refused together. */
const families: Partial<Record<AttachType, string>> = {
  fentry: 'fentry and fexit', fexit: 'fentry and fexit',
  kprobe: 'kprobe', kretprobe: 'kprobe',
}

/** What the kernel takes or refuses as one. */
export function familyOf(type: AttachType): string {
  return families[type] ?? type
}

/** EPERM at load speaks of the type of program, not of the one program. */
export function refusalOf(
  failure: NativeFailure, program: string, attachType: AttachType,
): Refusal {
  const family = failure.operation === 'load' && failure.code === 'EPERM'
  const what = family
    ? `this kernel refuses ${familyOf(attachType)} programs (${failure.code} for ${program})`
    : `${program}: ${failure.operation} failed (${failure.code}): ${cause(failure.detail)}`
  return { program, attach_type: attachType, errno: failure.errno, reason: what, family }
}

/** Before anything is tried: a kernel built without kprobes refuses them only at attach. */
export function refusalWithoutKprobes(): Refusal {
  return {
    program: '', attach_type: 'kprobe', errno: 2, family: true,
    reason: 'this kernel is built without kprobes (CONFIG_KPROBES, CONFIG_KPROBE_EVENTS)',
  }
}

/** Before anything is tried: LSM programs can be attached anywhere, but only then are they run. */
export function refusalWithoutBpfLsm(): Refusal {
  return {
    program: '', attach_type: 'lsm', errno: 2, family: true,
    reason: 'bpf is not known to be among the active security modules (lsm= of the kernel ' +
      'command line, /sys/kernel/security/lsm)',
  }
}

/** Before anything is tried: cgroup programs need a folder to be attached to. */
export function refusalWithoutCgroup(): Refusal {
  return {
    program: '', attach_type: 'cgroup', errno: 2, family: true,
    reason: 'no cgroup v2 is mounted, so its programs have no place',
  }
}

/** The refusal that speaks against a way; undefined when nothing does. */
export function against(way: ProbeWay, refusals: readonly Refusal[]): Refusal | undefined {
  return refusals.find((refusal) =>
    way.programs.includes(refusal.program) ||
    (refusal.family && familyOf(refusal.attach_type) === familyOf(way.attach_type)))
}

/** The line of libbpf's or the verifier's text that says why: the last that is not framing. */
function cause(text: string): string {
  const framing = new RegExp('^(processed [0-9]+ insns|failed to load object|permission error)' +
    '|: failed to load: |(BEGIN|END) PROG LOAD LOG')
  const lines = text.split('\n').map((line) => line.replace(/^libbpf: /, '').trim())
    .filter((line) => line !== '' && !framing.test(line))
  return (lines.at(-1) ?? 'the kernel gave no detail').slice(0, 200)
}
