/** Why a policy allows a connection or does not: both zones, what decided, and the flows. */
import { EXTERNAL, NO_ZONE, UNZONED } from './compile.ts'
import type { CompiledPolicy } from './compile.ts'
import type { AddressFacts } from './match/address-rules.ts'
import type { Rule } from './match/fact-rules.ts'
import { NO_IDENTITY } from './match/flow-rules.ts'
import type { FlowFit, FlowIdentity, Verdict } from './match/flow-rules.ts'
import type { ProcessFacts } from './match/process-rules.ts'
import { DRILL_ZONES } from './zone-names.ts'

/** One end, as far as it is known. */
export type EndFacts = {
  process: ProcessFacts | null
  /** 16 bytes. */
  address: Uint8Array | null
  /** What is known of the address besides its bytes. */
  named: AddressFacts
  /** Index of the zone where it was found already; otherwise it is found here. */
  zone?: number
}

/** The zone of one end, and the pattern that decided; null: `why` says what else did. */
export type ExplainedEnd = {
  zone: string
  exposure: string
  rule: Rule | null
  why: string
}

/** All that decided about one connection. */
export type Explanation = Verdict & {
  from: ExplainedEnd
  to: ExplainedEnd
  port: number
  protocol: string
  /** Flows between these zones, and what of them does not fit. */
  flows: FlowFit[]
  /** The flow that would allow it, as YAML; empty when it is allowed, or nothing can allow it. */
  missing: string
}

/**
 * Explains one connection. Pure.
 *
 * @param port of the accepting end
 * @param identity of who opens it; by default what `from` says
 */
export function explainConnection(
  policy: CompiledPolicy, from: EndFacts, to: EndFacts, port: number, protocol: string,
  identity: FlowIdentity = identityOf(from, to),
): Explanation {
  const [source, target] = zonesOf(policy, from, to)
  const exe = from.process?.exe || null
  const verdict = policy.flowAllowed(source, target, port, protocol, exe, identity)
  const drill = DRILL_ZONES.includes(policy.zones[source])
  return {
    ...verdict, port, protocol,
    from: explainEnd(policy, from, source), to: explainEnd(policy, to, target),
    flows: policy.explainFlows(source, target, port, protocol, exe, identity),
    missing: verdict.allowed || drill ? ''
      : policy.missingFlow(source, target, port, protocol, exe, identity.serviceAccount),
  }
}

/** As detectors find them: an end with a process is watched, one without is seen from the other. */
function zonesOf(policy: CompiledPolicy, from: EndFacts, to: EndFacts): [number, number] {
  return [from.zone ?? zoneOf(policy, from, to), to.zone ?? zoneOf(policy, to, from)]
}

function zoneOf(policy: CompiledPolicy, end: EndFacts, other: EndFacts): number {
  const zone = processZone(policy, end)
  const named = namedZone(policy, end)
  if (end.address === null || other.address === null) {
    if (zone !== NO_ZONE) return zone
    return end.process !== null && named === EXTERNAL ? UNZONED : named
  }
  if (end.process !== null) {
    return policy.nearZone(zone, end.address, 0, other.address, 0, named)
  }
  return policy.farZone(processZone(policy, other), other.address, 0, end.address, 0, NO_ZONE,
    namedZone(policy, other), named)
}

function processZone(policy: CompiledPolicy, { process }: EndFacts): number {
  return process === null ? NO_ZONE : policy.zoneOfProcess(process)
}

function namedZone(policy: CompiledPolicy, { address, named }: EndFacts): number {
  return policy.explainAddress(address, 0, named)?.zone ?? (named.inside ? UNZONED : EXTERNAL)
}

function explainEnd(policy: CompiledPolicy, end: EndFacts, zone: number): ExplainedEnd {
  const { process, address, named } = end
  const byProcess = process === null ? null : policy.explainProcess(process)
  const byAddress = policy.explainAddress(address, 0, named)
  const rule = [byProcess, byAddress].find((one) => one?.zone === zone) ?? null
  const name = policy.zones[zone]
  return { zone: name, exposure: policy.exposures[zone], rule, why: whyOf(end, name, rule, zone) }
}

function whyOf(end: EndFacts, zone: string, rule: Rule | null, number: number): string {
  if (rule !== null) return `${rule.matcher} ${rule.text}`
  if (DRILL_ZONES.includes(zone)) return 'both addresses are those of a drill'
  if (number === EXTERNAL) return 'no zone of the policy holds the address'
  if (number === UNZONED) {
    return end.process === null ? 'it is of the cluster, and no zone of the policy holds it'
      : 'no zone of the policy holds the process or its address'
  }
  if (end.process === null && end.address === null) return 'it was asked for'
  return 'both ends are on one node, and one of the processes is in no zone or not known'
}

function identityOf(from: EndFacts, to: EndFacts): FlowIdentity {
  const account = from.process?.service_account ?? from.named.service_account
  return {
    ...NO_IDENTITY, serviceAccount: account || null, from: from.address,
    toNames: to.named.dns_names ?? [],
  }
}
