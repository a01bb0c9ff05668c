/**
 * Who loaded a pickle lately, and what workloads run and call after they did. Plain data, the state
 * of STO-011.
 */
import type { Context } from '../../../detect/context.ts'
import type { Evidence } from '../../../detect/finding.ts'
import type { LineageProcess } from '../../../detect/lineage.ts'
import { className, classOf } from '../../../detect/names/workload-class.ts'
import type { Baseline } from '../../baseline.ts'

/** A process has read files that may be pickles. */
export interface Load {
  process: number
  /** Of the last report, wall clock milliseconds. */
  timeMs: number
  path: string
  store: string
  evidence: Evidence
  workloadClass: string
  /** Findings about it. */
  told: number
}

/** What a class of workloads does after it loaded one; `events` are its loads. */
export interface After extends Baseline {
  /** Programs and places, in one list. */
  known: string[]
  /** It does too many different things for any to be new. */
  wide: boolean
}

export interface Loads {
  /** By process; the one that read longest ago leaves. */
  byProcess: Map<number, Load>
  /** By class; the one that loaded longest ago leaves. */
  classes: Map<string, After>
  lastMs: number
}

const PROCESSES_MAX = 4096
const CLASSES_MAX = 2000
const KNOWN_MAX = 96

export function newLoads(): Loads {
  return { byProcess: new Map(), classes: new Map(), lastMs: -Infinity }
}

/** A process reads a pickle, or goes on with it. */
export function noteLoad(
  loads: Loads, process: LineageProcess, path: string, store: string, timeMs: number,
  evidence: Evidence,
): void {
  const { byProcess, classes } = loads
  const known = byProcess.get(process.number)
  const workloadClass = known?.workloadClass ?? className(classOf(process))
  byProcess.delete(process.number)
  byProcess.set(process.number, known !== undefined
    ? { ...known, timeMs: Math.max(known.timeMs, timeMs) }
    : { process: process.number, timeMs, path, store, evidence, workloadClass, told: 0 })
  if (byProcess.size > PROCESSES_MAX) byProcess.delete(byProcess.keys().next().value!)
  loads.lastMs = Math.max(loads.lastMs, timeMs)
  const after = classes.get(workloadClass) ??
    { sinceMs: timeMs, events: 0, known: [], wide: false }
  if (known === undefined) after.events++
  classes.delete(workloadClass)
  classes.set(workloadClass, after)
  if (classes.size > CLASSES_MAX) classes.delete(classes.keys().next().value!)
}

/** The load of the process itself or the nearest of those that started it, within a window. */
export function loadBefore(
  loads: Loads, process: LineageProcess, timeMs: number, windowMs: number, context: Context,
): Load | null {
  if (timeMs - loads.lastMs > windowMs) return null
  for (const one of [process, ...context.ancestry(process)]) {
    const load = loads.byProcess.get(one.number)
    // Reports of reads may be stamped a little later than what followed.
    if (load !== undefined && timeMs - load.timeMs <= windowMs) return load
  }
  return null
}

/** True when the class did not do that after a load before; it is known from here on. */
export function isNewAfter(after: After, what: string): boolean {
  if (after.wide || after.known.includes(what)) return false
  if (after.known.length < KNOWN_MAX) after.known.push(what)
  else after.wide = true
  return !after.wide
}
