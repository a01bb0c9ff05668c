// What becomes of the probes and their programs on this node, judged by trials. Pure.

import type { NativeFailure, ProgramInfo } from '../../native/index.ts'
import { explainRefusal } from '../probes.ts'
import type { KernelFacts } from '../probes/kernel-facts.ts'
import { probeTable } from '../probes/table.ts'
import type { Probe, ProbeWay } from '../probes/table.ts'
import { fact } from './doctor-fact.ts'
import type { DoctorFact } from './doctor-fact.ts'

/** What became of one program when it was loaded and attached alone. */
export interface ProgramTrial {
  program: ProgramInfo
  failure?: NativeFailure
  /** Not tried, since its kernel module is not loaded, or is of another origin than the kernel. */
  module?: string
  foreign?: boolean
  /** Not tried, since there is nothing that it could see; why. */
  idle?: string
}

type Trials = ReadonlyMap<string, ProgramTrial>

/** What each probe sees and loses here, by the best of its ways that the kernel allows. */
export function judgeProbes(list: readonly ProgramTrial[], facts: KernelFacts): DoctorFact[] {
  const trials: Trials = new Map(list.map((trial) => [trial.program.name, trial]))
  return probeTable.filter(({ ways }) => ways.some((way) => known(way, trials)))
    .map((probe) => judgeProbe(probe, trials, facts))
}

function judgeProbe(probe: Probe, trials: Trials, facts: KernelFacts): DoctorFact {
  const name = `probe ${probe.name}`
  const better = probe.unless && probeTable.find((one) => one.name === probe.unless!.probe)
  const instead = better?.ways.find((way) => works(way, trials))?.attach_type
  if (instead && instead === probe.unless!.attach_type) {
    return fact(name, 'have', `not needed: ${better!.name} sees it by ${instead}`)
  }
  const ways = probe.ways.filter((way) => known(way, trials))
  const best = ways.find((way) => works(way, trials))
  const refused = [...new Map(ways.slice(0, best && ways.indexOf(best)).flatMap((way) => {
    const trial = refusalOf(way, trials)
    return trial ? [[way.attach_type, trial] as const] : []
  }))]
  const why = refused.map(([type, trial]) => `${type}: ${trial.failure!.code}`).join(', ')
  const fix = refused.length === 0 ? '' : fixOf(refused[0][1], facts)
  if (best) {
    const detail = why === '' ? `by ${best.attach_type}` : `by ${best.attach_type}; ${why}`
    return best.lost === '' ? fact(name, 'have', detail)
      : fact(name, 'degraded', detail, best.lost, fix)
  }
  const waits = ways.flatMap(({ programs }) => programs).map((one) => trials.get(one)!)
    .find(({ module, idle }) => module !== undefined || idle !== undefined)
  if (waits?.foreign) {
    return fact(name, 'missing', `${waits.module} was not built with this kernel`, probe.lost,
      `the ${waits.module} of the kernel itself`)
  }
  if (waits) return fact(name, 'waiting', waits.idle ?? `for the module ${waits.module}`)
  return fact(name, 'missing', why, probe.lost, fix)
}

/** All of its programs are in this build. */
function known(way: ProbeWay, trials: Trials): boolean {
  return way.programs.every((name) => trials.has(name))
}

function works({ programs }: ProbeWay, trials: Trials): boolean {
  return programs.every((name) => {
    const trial = trials.get(name)
    return trial && !trial.failure && trial.module === undefined && trial.idle === undefined
  })
}

function refusalOf({ programs }: ProbeWay, trials: Trials): ProgramTrial | undefined {
  return programs.map((name) => trials.get(name)!).find(({ failure }) => failure)
}

function fixOf({ program, failure }: ProgramTrial, facts: KernelFacts): string {
  return (failure!.program ? '' : explainRefusal(failure!, facts)) || fixFor(program)
}

/**
 * Judges the trials: a refused program is degraded when its probe has another way that works,
 * missing otherwise. Pure.
 */
export function judgePrograms(trials: ProgramTrial[], facts: KernelFacts): DoctorFact[] {
  const works = new Set(trials.filter(({ failure }) => !failure).map(({ program }) => program.name))
  return trials.map(({ program, failure, module, foreign, idle }) => {
    const name = `program ${program.name}`
    if (idle) return fact(name, 'waiting', `${program.section}: ${idle}`)
    const probe = probeOf(program)
    if (module && foreign) {
      return fact(name, 'missing', `${program.section}: ${module} was not built with this kernel`,
        probe?.lost ?? '', `the ${module} of the kernel itself`)
    }
    if (module) return fact(name, 'waiting', `${program.section}: for the module ${module}`)
    if (!failure) return fact(name, 'have', program.section)
    const detail = `${program.section}: ${failure.operation} failed (${failure.code})`
    const other = probe?.ways.find((way) => way.programs.every((one) => works.has(one)))
    if (other) {
      return fact(name, 'degraded', detail, other.lost, `not needed: ${other.attach_type} works`)
    }
    return fact(name, 'missing', detail, probe?.lost ?? '', fixOf({ program, failure }, facts))
  })
}

/** The probe that a program belongs to. */
export function probeOf(program: ProgramInfo): Probe | undefined {
  return probeTable.find(({ ways }) => ways.some((way) => way.programs.includes(program.name)))
}

function fixFor(program: ProgramInfo): string {
  const fixes: Partial<Record<ProgramInfo['attach_type'], string>> = {
    fexit: 'a kernel that allows fentry and fexit (5.5 or newer; on arm64 6.4 or newer)',
    fentry: 'a kernel that allows fentry and fexit (5.5 or newer; on arm64 6.4 or newer)',
    lsm: 'a kernel that allows LSM programs (5.7 or newer, with bpf in lsm= of its command line)',
    kprobe: 'a kernel with CONFIG_KPROBE_EVENTS=y',
    kretprobe: 'a kernel with CONFIG_KPROBE_EVENTS=y',
    cgroup: 'CAP_NET_ADMIN, and a cgroup v2 mount that the agent can see',
  }
  return fixes[program.attach_type] ?? 'a newer kernel (5.10 or later)'
}
