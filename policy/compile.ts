import { AddressRules } from './match/address-rules.ts'
import type { AddressFacts } from './match/address-rules.ts'
import { cidrHolds, cidrOf, isLoopback } from './match/cidr.ts'
import type { Cidr } from './match/cidr.ts'
import { drillEnd } from './match/drill-ranges.ts'
import { FactRules } from './match/fact-rules.ts'
import type { Rule } from './match/fact-rules.ts'
import { GpuRules } from './match/gpu-rules.ts'
import { FlowRules, NO_FLOW, SAME_ZONE } from './match/flow-rules.ts'
import type { FlowFit, FlowIdentity, Verdict } from './match/flow-rules.ts'
import { StoreRules } from './match/store-rules.ts'
import { missingFlow } from './match/missing-flow.ts'
import type { DetectorSetting, Policy, Zone } from './policy.ts'
import { ProcessRules } from './match/process-rules.ts'
import type { ProcessFacts } from './match/process-rules.ts'
import { DRILL_ZONES, EXTERNAL_ZONE, UNZONED_ZONE } from './zone-names.ts'

/** Index of the built-in zone of addresses that no zone holds. */
export const EXTERNAL = 0
/** Index of the built-in zone of processes and addresses of the cluster that no zone holds. */
export const UNZONED = 1
/** Instead of an index: nothing is known, or nothing matched. */
export const NO_ZONE = -1

const BUILT_IN = [EXTERNAL_ZONE, UNZONED_ZONE]

/**
 * A policy as look-ups. Zones are small integers: 0 external, 1 unzoned, then those of the file in
 * their order, then the two of drills; `zones[index]` is the name. Addresses are 16 bytes at an
 * offset, IPv4 as `::ffff:a.b.c.d`. Pure: the same questions get the same answers.
 *
 * **Which zone an end of a connection is in.** The process says more than the address, since
 * several planes share a node and its address. So the near end is `nearZone`: the zone of the
 * process, else of its address, else unzoned. The far end is `farZone`: the zone of the peer
 * process where it is known, else of the address, else external. Where it is known whom an address
 * stands for, `zoneOfNamed` says its zone instead of the address alone, and who looks up names
 * brings that zone along.
 *
 * **Loopback and own address.** When the far address is loopback, unspecified (the kernel takes it
 * as loopback) or equal to the near one, both ends are on one node and the address says nothing of
 * who answers. Such a connection crosses zones only when both processes are known and in different
 * ones; otherwise the far end is where the near end is, and nothing is a violation. Both ends come
 * to the same answer, and a zoned service may ask the resolver of its node, which is in no zone.
 */
export class CompiledPolicy {
  readonly sha256: string
  readonly zones: readonly string[]
  /** The policy has no zones of its own: only a drill can be a violation. */
  readonly learning: boolean
  /** Exposure by zone index; the outside is public, a stray process of a node internal. */
  readonly exposures: readonly Zone['exposure'][]
  readonly detectors: ReadonlyMap<string, DetectorSetting>
  readonly gpus: GpuRules
  readonly stores: StoreRules
  readonly #addresses: AddressRules
  readonly #zoneOfCidr: Uint16Array
  readonly #resolvers: readonly Cidr[]
  readonly #processes: ProcessRules
  readonly #flows: FlowRules
  readonly #drillSource: number

  constructor(policy: Policy) {
    this.sha256 = policy.sha256
    this.zones = [...BUILT_IN, ...policy.zones.map((zone) => zone.name), ...DRILL_ZONES]
    this.exposures = ['public', 'internal', ...policy.zones.map((zone) => zone.exposure),
      'public', 'protected']
    this.learning = policy.zones.length === 0
    this.#drillSource = BUILT_IN.length + policy.zones.length
    this.detectors = new Map(policy.detectors.map((setting) => [setting.id, setting]))
    this.gpus = new GpuRules(policy.gpus)
    this.stores = new StoreRules(policy.stores, this.zones)
    const facts = new FactRules(policy.zones, BUILT_IN.length)
    this.#addresses = new AddressRules(policy.zones, BUILT_IN.length, facts)
    this.#zoneOfCidr = this.#addresses.zones()
    this.#resolvers = policy.resolvers.map(({ text }) => cidrOf(text))
    this.#processes = new ProcessRules(facts)
    this.#flows = new FlowRules(policy.flows, this.zones, BUILT_IN.length)
  }

  /** Zone of an address by longest prefix, `EXTERNAL` when none holds it. Allocates nothing. */
  zoneOfAddress(bytes: Uint8Array, offset: number): number {
    const cidr = this.#addresses.cidr(bytes, offset)
    return cidr < 0 ? EXTERNAL : this.#zoneOfCidr[cidr]
  }

  /**
   * Zone of an address of which more is known than its bytes: `EXTERNAL`, or `UNZONED` for one of
   * the cluster, when no zone holds it. Keep the answer per address.
   */
  zoneOfNamed(bytes: Uint8Array, offset: number, facts: AddressFacts): number {
    return this.#addresses.find(bytes, offset, facts)?.zone ?? (facts.inside ? UNZONED : EXTERNAL)
  }

  /** True when answers of the name server at these 16 bytes count. */
  believes(bytes: Uint8Array, offset: number): boolean {
    return this.#resolvers.length === 0 ||
      this.#resolvers.some((cidr) => cidrHolds(cidr, bytes, offset))
  }

  /** Zone of a process, `NO_ZONE` when none holds it. Keep the answer per process. */
  zoneOfProcess(facts: ProcessFacts): number {
    return this.#processes.find(facts)?.zone ?? NO_ZONE
  }

  /**
   * The pattern that decided for an address, null when no zone holds it.
   *
   * @param bytes null to ask of the facts alone
   */
  explainAddress(bytes: Uint8Array | null, offset: number, facts: AddressFacts = {}): Rule | null {
    return this.#addresses.find(bytes, offset, facts)
  }

  /** The pattern that decided for a process, null for `NO_ZONE`. */
  explainProcess(facts: ProcessFacts): Rule | null {
    return this.#processes.find(facts)
  }

  /**
   * Zone of the end that was watched; `processZone` from `zoneOfProcess`. See the class.
   *
   * @param farBytes address of the other end; without it the end is in no drill zone
   * @param namedZone `zoneOfNamed` of the address where more is known of it, else `NO_ZONE`
   */
  nearZone(
    processZone: number, bytes: Uint8Array, offset: number, farBytes?: Uint8Array, farOffset = 0,
    namedZone: number = NO_ZONE,
  ): number {
    if (farBytes !== undefined) {
      const drill = this.#drillZone(bytes, offset, farBytes, farOffset)
      if (drill !== NO_ZONE) return drill
    }
    if (processZone !== NO_ZONE) return processZone
    if (isLoopback(bytes, offset)) return UNZONED
    const zone = namedZone !== NO_ZONE ? namedZone : this.zoneOfAddress(bytes, offset)
    return zone === EXTERNAL ? UNZONED : zone
  }

  /**
   * Zone of the other end. See the class for loopback and own address.
   *
   * @param processZone `zoneOfProcess` of the near process, not its `nearZone`
   * @param peerZone `zoneOfProcess` of the peer where it is known, else `NO_ZONE`
   * @param nearNamed `zoneOfNamed` of the near address where more is known of it, else `NO_ZONE`
   * @param farNamed the same of the far address
   */
  farZone(
    processZone: number, nearBytes: Uint8Array, nearOffset: number,
    farBytes: Uint8Array, farOffset: number, peerZone: number = NO_ZONE,
    nearNamed: number = NO_ZONE, farNamed: number = NO_ZONE,
  ): number {
    if (isLoopback(farBytes, farOffset) || same(nearBytes, nearOffset, farBytes, farOffset)) {
      const known = processZone !== NO_ZONE && peerZone !== NO_ZONE
      if (known) return peerZone
      return this.nearZone(processZone, nearBytes, nearOffset, undefined, 0, nearNamed)
    }
    const drill = this.#drillZone(farBytes, farOffset, nearBytes, nearOffset)
    if (drill !== NO_ZONE) return drill
    if (peerZone !== NO_ZONE) return peerZone
    return farNamed !== NO_ZONE ? farNamed : this.zoneOfAddress(farBytes, farOffset)
  }

  /**
   * False when no connection between these addresses can be a violation, whatever the processes
   * are. Decides at once for a policy that only learns, and is always true for any other.
   */
  mayCross(near: Uint8Array, nearOffset: number, far: Uint8Array, farOffset: number): boolean {
    return !this.learning || drillEnd(near, nearOffset, far, farOffset) !== null
  }

  /**
   * Whether `from` may open a connection to `to`. For an accepted connection `from` is the far end.
   *
   * @param port port of the accepting end
   * @param protocol as in events: `tcp`, `udp`, `rdma`
   * @param exe executable of the opening process, null when not known
   * @param identity what else is known of who opens it; without it, nothing
   */
  flowAllowed(
    from: number, to: number, port: number, protocol: string, exe: string | null,
    identity?: FlowIdentity,
  ): Verdict {
    if (from >= this.#drillSource) return from === to ? SAME_ZONE : NO_FLOW
    return this.#flows.judge(from, to, port, protocol, exe, identity)
  }

  /** The flows for these zones and, for those that do not fit, why. The closest ones first. */
  explainFlows(
    from: number, to: number, port: number, protocol: string, exe: string | null,
    identity?: FlowIdentity,
  ): FlowFit[] {
    if (from >= this.#drillSource) return []
    return this.#flows.explain(from, to, port, protocol, exe, identity)
  }

  /** The `flows:` entry, as YAML, that would allow this: the rule that was missing. */
  missingFlow(
    from: number, to: number, port: number, protocol: string, exe: string | null,
    serviceAccount: string | null = null,
  ): string {
    const [source, target] = [this.zones[from], this.zones[to]]
    return missingFlow({ from: source, to: target, port, protocol, exe, serviceAccount })
  }

  /** The drill zone of `bytes`; NO_ZONE unless both addresses are those of a drill. */
  #drillZone(
    bytes: Uint8Array, offset: number, otherBytes: Uint8Array, otherOffset: number,
  ): number {
    const end = drillEnd(bytes, offset, otherBytes, otherOffset)
    if (end === null) return NO_ZONE
    if (this.#addresses.cidr(bytes, offset) >= 0) return NO_ZONE
    if (this.#addresses.cidr(otherBytes, otherOffset) >= 0) return NO_ZONE
    return this.#drillSource + (end === 'source' ? 0 : 1)
  }
}

/** Makes the look-ups of a policy that `parsePolicy` gave. Milliseconds for thousands of CIDRs. */
export function compilePolicy(policy: Policy): CompiledPolicy {
  return new CompiledPolicy(policy)
}

function same(a: Uint8Array, aOffset: number, b: Uint8Array, bOffset: number): boolean {
  // From the end: addresses of one network differ there.
  for (let i = 15; i >= 0; i--) if (a[aOffset + i] !== b[bOffset + i]) return false
  return true
}
