// Which way to attach each probe, after what was refused so far. Pure: refusals in, choice out.

import { against } from './refusal.ts'
import type { Refusal } from './refusal.ts'
import type { Probe } from './table.ts'

/** What was chosen for one probe; `way` is -1 when nothing is left. */
export interface Choice { probe: Probe, way: number }

/**
 * The best way of each probe that nothing speaks against, in the order of the table. Ways that wait
 * for a kernel module are not among them.
 */
export function chooseWays(table: readonly Probe[], refusals: readonly Refusal[]): Choice[] {
  return table.map((probe) => ({
    probe, way: probe.ways.findIndex((way) => !way.module && !against(way, refusals)),
  }))
}

/** All programs of a choice, in the order in which they are attached. */
export function programsOf(choices: readonly Choice[]): string[] {
  return choices.flatMap(({ probe, way }) => way < 0 ? [] : [...probe.ways[way].programs])
}

/** A program that is run by reading, not attached. */
export interface IteratorRun {
  program: string
  /** 0: once. */
  every_ms: number
  /** It is loaded later, or never. */
  late?: true
}

/** The programs among them that are iterators. */
export function iteratorsOf(choices: readonly Choice[]): IteratorRun[] {
  return choices.flatMap(({ probe, way }) => {
    const chosen = probe.ways[way]
    if (chosen?.attach_type !== 'iterator') return []
    return chosen.programs.map((program) => ({ program, every_ms: chosen.every_ms ?? 0 }))
  })
}

/** Those that are left with a way that waits for a kernel module; as probes of that module. */
export function waitingOf(choices: readonly Choice[]): Probe[] {
  return choices.flatMap(({ probe, way }) => {
    const module = way < 0 ? probe.ways.find((one) => one.module)?.module : undefined
    return module ? [{ ...probe, module, untyped: true }] : []
  })
}

/** Is a way chosen for this probe? The kernel side must know of some before it is loaded. */
export function isChosen(choices: readonly Choice[], name: string): boolean {
  return choices.some(({ probe, way }) => probe.name === name && way >= 0)
}
