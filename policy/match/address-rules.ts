import { AddressTable } from './address-table.ts'
import { cidrOf } from './cidr.ts'
import type { FactRules, NodeFacts, Rule, WorkloadFacts } from './fact-rules.ts'
import type { Zone } from '../policy.ts'

/** What is known of an address besides its bytes. */
export type AddressFacts = WorkloadFacts & NodeFacts & {
  /** Names that believed name servers gave for it. */
  dns_names?: readonly string[] | null
  /** It is that of a pod, Service or node of the cluster. */
  inside?: boolean
}

/**
 * Finds the zone of an address. In this order, the first that matches decides:
 *
 * 1. the pod or Service that has the address (workload, service account, labels, namespace),
 * 2. its node (labels, group, partitions), as for a process that runs there,
 * 3. the address range with the longest prefix,
 * 4. a DNS name that was given for it. Last, since a name server is the word of a stranger: it can
 *    say something of the rest of the world, but move no address of ours into another zone.
 */
export class AddressRules {
  readonly #facts: FactRules
  readonly #cidrs: readonly Rule[]
  readonly #table: AddressTable

  constructor(zones: readonly Zone[], firstZone: number, facts: FactRules) {
    this.#facts = facts
    this.#cidrs = zones.flatMap((zone, index) => zone.match.cidrs.map((pattern): Rule => {
      return { ...pattern, matcher: 'cidrs', zone: firstZone + index }
    }))
    this.#table = new AddressTable(this.#cidrs.map(({ text }) => cidrOf(text)))
  }

  /** Number of the CIDR that holds an address, -1 when none does. Allocates nothing. */
  cidr(bytes: Uint8Array, offset: number): number {
    return this.#table.find(bytes, offset)
  }

  /** The CIDR of a number that `cidr` gave. */
  rule(number: number): Rule | null {
    return this.#cidrs[number] ?? null
  }

  /** Zone of each CIDR by its number. */
  zones(): Uint16Array {
    return Uint16Array.from(this.#cidrs, (rule) => rule.zone)
  }

  /**
   * The rule that decides, or null when no zone holds the address. Not for the hot path.
   *
   * @param bytes null to ask of the facts alone
   */
  find(bytes: Uint8Array | null, offset: number, facts: AddressFacts): Rule | null {
    return this.#facts.ofWorkload(facts) ?? this.#facts.ofNode(facts) ??
      (bytes === null ? null : this.rule(this.cidr(bytes, offset))) ??
      this.#facts.ofAny('dns_names', facts.dns_names)
  }
}
