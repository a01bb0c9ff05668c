import { cidrHolds, cidrOf } from './cidr.ts'
import type { Cidr } from './cidr.ts'
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
   * True when the flow names executables or service accounts and those of the opening process were
   * not known. It is let pass: the accepting node cannot see them, and the opening node judges the
   * same connection.
   */
  identityUnknown: boolean
}

/** Who opens a connection, and what for, as far as it is known. */
export type FlowIdentity = {
  /** `namespace/name` of the opening pod; '' when it is in no pod; null when not known. */
  serviceAccount: string | null
  /** Address of the opening end, 16 bytes at `fromOffset`; null when not known. */
  from: Uint8Array | null
  fromOffset: number
  /**
   * Names that believed name servers gave for the accepting end. No other end knows more of them:
   * a flow to names does not allow an address without one.
   */
  toNames: readonly string[]
}

/** One flow, and what of it does not fit a connection; nothing: it allows it, or would. */
export type FlowFit = {
  flow: Flow
  fails: ('ports' | 'executables' | 'service_accounts' | 'from_cidrs' | 'to_dns')[]
}

/** Of an end of which nothing is known. */
export const NO_IDENTITY: FlowIdentity =
  { serviceAccount: null, from: null, fromOffset: 0, toNames: [] }

/** Within one zone. */
export const SAME_ZONE: Verdict =
  { allowed: true, because: 'same_zone', flow: null, identityUnknown: false }
const OUTSIDE: Verdict =
  { allowed: true, because: 'outside_policy', flow: null, identityUnknown: false }
/** The violation. */
export const NO_FLOW: Verdict =
  { allowed: false, because: 'no_flow', flow: null, identityUnknown: false }

type Rule = {
  flow: Flow
  executables: Glob[]
  serviceAccounts: Glob[]
  fromCidrs: Cidr[]
  toDns: Glob[]
  /** It asks for zones and ports alone. */
  plain: boolean
  verdict: Verdict
  unknown: Verdict
}

/** Stands for `any` where zones are numbers. */
const ANY = -1

/** Finds the flow that allows a connection. Verdicts are made once and must not be changed. */
export class FlowRules {
  readonly #builtIn: number
  /** Pairs that a shift and an or make one number of; at most one entry per flow. */
  readonly #byPair = new Map<number, Rule[]>()
  /** Whether any flow is from, or to, whatever zone. */
  #fromAny = false
  #toAny = false

  /**
   * @param zoneNames all zones by index, the built-in ones first
   * @param builtIn how many of them are built in
   */
  constructor(flows: readonly Flow[], zoneNames: readonly string[], builtIn: number) {
    this.#builtIn = builtIn
    const indexOf = (name: string): number => name === ANY_ZONE ? ANY : zoneNames.indexOf(name)
    for (const flow of flows) {
      const key = pairKey(indexOf(flow.from), indexOf(flow.to))
      this.#fromAny ||= flow.from === ANY_ZONE
      this.#toAny ||= flow.to === ANY_ZONE
      const rules = this.#byPair.get(key) ?? []
      const verdict: Verdict =
        { allowed: true, because: 'flow', flow, identityUnknown: false }
      rules.push({
        flow, verdict, unknown: { ...verdict, identityUnknown: true },
        plain: flow.executables.length + flow.serviceAccounts.length + flow.fromCidrs.length +
          flow.toDns.length === 0,
        executables: flow.executables.map(({ text }) => compileGlob(text)),
        serviceAccounts: flow.serviceAccounts.map(({ text }) => compileGlob(text)),
        fromCidrs: flow.fromCidrs.map(({ text }) => cidrOf(text)),
        toDns: flow.toDns.map(({ text }) => compileGlob(text)),
      })
      this.#byPair.set(key, rules)
    }
  }

  /** Flows that name both zones are asked first, so that the reason given is the closest one. */
  judge(
    from: number, to: number, port: number, protocol: string, exe: string | null,
    identity: FlowIdentity = NO_IDENTITY,
  ): Verdict {
    if (from === to) return SAME_ZONE
    if (from < this.#builtIn && to < this.#builtIn) return OUTSIDE
    let unknown: Verdict | null = null
    for (let pair = 0; pair < (this.#fromAny ? 4 : 2); pair += this.#toAny ? 1 : 2) {
      const rules = this.#byPair.get(pairKey(pair < 2 ? from : ANY, pair % 2 === 0 ? to : ANY))
      if (rules === undefined) continue
      for (const rule of rules) {
        if (!portMatches(rule.flow, port, protocol)) continue
        const fits = rule.plain || identityFits(rule, exe, identity)
        if (fits === true) return rule.verdict
        if (fits === null) unknown ??= rule.unknown
      }
    }
    return unknown ?? NO_FLOW
  }

  /** Every flow for these zones, the closest ones first, with what does not fit. For people. */
  explain(
    from: number, to: number, port: number, protocol: string, exe: string | null,
    identity: FlowIdentity = NO_IDENTITY,
  ): FlowFit[] {
    const pairs = [[from, to], [from, ANY], [ANY, to], [ANY, ANY]]
    return pairs.flatMap(([source, target]) => this.#byPair.get(pairKey(source, target)) ?? [])
      .map((rule) => {
        const { executables, serviceAccounts, fromCidrs, toDns } = rule
        const none = { ...rule, executables: [], serviceAccounts: [], fromCidrs: [], toDns: [] }
        const fails: FlowFit['fails'] = portMatches(rule.flow, port, protocol) ? [] : ['ports']
        const check = (name: FlowFit['fails'][number], part: Partial<Rule>): void => {
          if (identityFits({ ...none, ...part }, exe, identity) === false) fails.push(name)
        }
        check('executables', { executables })
        check('service_accounts', { serviceAccounts })
        check('from_cidrs', { fromCidrs })
        check('to_dns', { toDns })
        return { flow: rule.flow, fails }
      })
  }
}

/** Null: perhaps, since something is not known. */
function identityFits(rule: Rule, exe: string | null, identity: FlowIdentity): boolean | null {
  const { executables, serviceAccounts, fromCidrs, toDns } = rule
  const { serviceAccount, from, fromOffset, toNames } = identity
  let known = true
  if (toDns.length > 0 && !toDns.some((glob) => toNames.some((name) => glob.matches(name)))) {
    return false
  }
  if (fromCidrs.length > 0) {
    if (from === null) known = false
    else if (!fromCidrs.some((cidr) => cidrHolds(cidr, from, fromOffset))) return false
  }
  if (executables.length > 0) {
    if (exe === null) known = false
    else if (!executables.some((glob) => glob.matches(exe))) return false
  }
  if (serviceAccounts.length > 0) {
    if (serviceAccount === null) known = false
    else if (!serviceAccounts.some((glob) => glob.matches(serviceAccount))) return false
  }
  return known ? true : null
}

function pairKey(from: number, to: number): number {
  return ((from + 1) << 12) | (to + 1)
}

function portMatches({ ports }: Flow, port: number, spoken: string): boolean {
  if (ports.length === 0) return true
  const protocol = spoken === 'icmpv6' ? 'icmp' : spoken
  for (const range of ports) {
    if (port < range.from || port > range.to) continue
    if (range.protocol === null || range.protocol === protocol) return true
  }
  return false
}
