import { compileGlob } from './glob.ts'
import type { Glob } from './glob.ts'
import type { Flow } from '../policy.ts'
import { ANY_ZONE } from '../zone-names.ts'

/**
 * Whether traffic may pass, and why: within one zone; between two ends that are both outside of
 * the policy; by a flow; or by none, which is the violation.
 */
export type Verdict = {
  allowed: boolean
  because: 'same_zone' | 'outside_policy' | 'flow' | 'no_flow'
  /** The flow that allows it, with its line in the file. */
  flow: Flow | null
  /**
   * True when the flow names executables and that of the opening process was not known. It is let
   * pass: the accepting node cannot see it, and the opening node judges the same connection.
   */
  executableUnknown: boolean
}

/** Within one zone. */
export const SAME_ZONE: Verdict =
  { allowed: true, because: 'same_zone', flow: null, executableUnknown: false }
const OUTSIDE: Verdict =
  { allowed: true, because: 'outside_policy', flow: null, executableUnknown: false }
/** The violation. */
export const NO_FLOW: Verdict =
  { allowed: false, because: 'no_flow', flow: null, executableUnknown: false }

type Rule = { flow: Flow, globs: Glob[], verdict: Verdict, unknown: Verdict }

/** Stands for `any` where zones are numbers. */
const ANY = -1

/** Finds the flow that allows a connection. Verdicts are made once and must not be changed. */
export class FlowRules {
  readonly #builtIn: number
  /** Pairs that a shift and an or make one number of; at most one entry per flow. */
  readonly #byPair = new Map<number, Rule[]>()

  /**
   * @param zoneNames all zones by index, the built-in ones first
   * @param builtIn how many of them are built in
   */
  constructor(flows: readonly Flow[], zoneNames: readonly string[], builtIn: number) {
    this.#builtIn = builtIn
    const indexOf = (name: string): number => name === ANY_ZONE ? ANY : zoneNames.indexOf(name)
    for (const flow of flows) {
      const key = pairKey(indexOf(flow.from), indexOf(flow.to))
      const rules = this.#byPair.get(key) ?? []
      const verdict: Verdict =
        { allowed: true, because: 'flow', flow, executableUnknown: false }
      rules.push({
        flow, verdict, unknown: { ...verdict, executableUnknown: true },
        globs: flow.executables.map((pattern) => compileGlob(pattern.text)),
      })
      this.#byPair.set(key, rules)
    }
  }

  /** Flows that name both zones are asked first, so that the reason given is the closest one. */
  judge(from: number, to: number, port: number, protocol: string, exe: string | null): Verdict {
    if (from === to) return SAME_ZONE
    if (from < this.#builtIn && to < this.#builtIn) return OUTSIDE
    return this.#find(from, to, port, protocol, exe) ??
      this.#find(from, ANY, port, protocol, exe) ??
      this.#find(ANY, to, port, protocol, exe) ??
      this.#find(ANY, ANY, port, protocol, exe) ??
      NO_FLOW
  }

  #find(
    from: number, to: number, port: number, protocol: string, exe: string | null,
  ): Verdict | null {
    const rules = this.#byPair.get(pairKey(from, to))
    if (rules === undefined) return null
    let unknown: Verdict | null = null
    for (const rule of rules) {
      if (!portMatches(rule.flow, port, protocol)) continue
      if (rule.globs.length === 0) return rule.verdict
      if (exe === null) unknown ??= rule.unknown
      else if (rule.globs.some((glob) => glob.matches(exe))) return rule.verdict
    }
    return unknown
  }
}

function pairKey(from: number, to: number): number {
  return ((from + 1) << 12) | (to + 1)
}

function portMatches({ ports }: Flow, port: number, protocol: string): boolean {
  if (ports.length === 0) return true
  for (const range of ports) {
    if (port < range.from || port > range.to) continue
    if (range.protocol === null || range.protocol === protocol) return true
  }
  return false
}
