// Which way to attach each probe, after what was refused so far. Pure: refusals in, choice out.

import type { ProbeState } from '../proto/gen/events.ts'
import type { AttachType, NativeFailure } from '../native/index.ts'
import type { Probe, ProbeWay } from './probe-table.ts'

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

/** What was chosen for one probe; `way` is -1 when nothing is left. */
export interface Choice { probe: Probe, way: number }

/** Programs of one family are refused together. */
const families: Partial<Record<AttachType, string>> = {
  fentry: 'fentry and fexit', fexit: 'fentry and fexit',
  kprobe: 'kprobe', kretprobe: 'kprobe',
}

function familyOf(type: AttachType): string {
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

/** The refusal that speaks against a way; undefined when nothing does. */
function against(way: ProbeWay, refusals: readonly Refusal[]): Refusal | undefined {
  return refusals.find((refusal) =>
    way.programs.includes(refusal.program) ||
    (refusal.family && familyOf(refusal.attach_type) === familyOf(way.attach_type)))
}

/** The best way of each probe that nothing speaks against, in the order of the table. */
export function chooseWays(table: readonly Probe[], refusals: readonly Refusal[]): Choice[] {
  return table.map((probe) => ({
    probe, way: probe.ways.findIndex((way) => !against(way, refusals)),
  }))
}

/** All programs of a choice, in the order in which they are attached. */
export function programsOf(choices: readonly Choice[]): string[] {
  return choices.flatMap(({ probe, way }) => way < 0 ? [] : [...probe.ways[way].programs])
}

/** The programs among them that are run by reading, not attached. */
export function iteratorsOf(choices: readonly Choice[]): string[] {
  return programsOf(choices.filter(({ probe, way }) => probe.ways[way]?.attach_type === 'iterator'))
}

/** Is a way chosen for this probe? The kernel side must know of some before it is loaded. */
export function isChosen(choices: readonly Choice[], name: string): boolean {
  return choices.some(({ probe, way }) => probe.name === name && way >= 0)
}

/** The facts of `probe_state` events, one for each probe, in the order of the table. */
export function probeStates(choices: readonly Choice[], refusals: readonly Refusal[]): ProbeState[] {
  return choices.map(({ probe, way }) => {
    const best = against(probe.ways[0], refusals)
    const chosen = way < 0 ? undefined : probe.ways[way]
    const lost = chosen ? chosen.lost : probe.lost
    const reasons = probe.ways.slice(0, way < 0 ? undefined : way)
      .map((refused) => against(refused, refusals)?.reason)
    return {
      probe: probe.name,
      state: !chosen ? 'missing' : lost ? 'degraded' : 'attached',
      program: chosen ? chosen.programs.join(', ') : '',
      attach_type: chosen ? chosen.attach_type : '',
      error: way === 0 ? 0 : best?.errno ?? 0,
      reason: [...new Set(reasons.filter(Boolean))].join('; '),
      lost,
    }
  })
}

/** Nothing can be loaded at all: every probe is missing, for one reason. */
export function allMissing(
  table: readonly Probe[], error: number, reason: string,
): ProbeState[] {
  return table.map((probe) => ({
    probe: probe.name, state: 'missing', program: '', attach_type: '', error, reason,
    lost: probe.lost,
  }))
}

/** The probe that a program belongs to, as lost after the start, such as an iterator that failed. */
export function stateAfterFailure(
  table: readonly Probe[], program: string, failure: NativeFailure,
): ProbeState | undefined {
  const probe = table.find(({ ways }) => ways.some((way) => way.programs.includes(program)))
  if (!probe) return undefined
  const reason = `${program}: ${failure.operation} failed (${failure.code})`
  return allMissing([probe], failure.errno, reason)[0]
}

/** The line of libbpf's or the verifier's text that says why: the last that is not framing. */
function cause(text: string): string {
  const framing = new RegExp('^(processed [0-9]+ insns|failed to load object|permission error)' +
    '|: failed to load: |(BEGIN|END) PROG LOAD LOG')
  const lines = text.split('\n').map((line) => line.replace(/^libbpf: /, '').trim())
    .filter((line) => line !== '' && !framing.test(line))
  return (lines.at(-1) ?? 'the kernel gave no detail').slice(0, 200)
}
