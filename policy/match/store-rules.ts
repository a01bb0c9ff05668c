import type { StoreRule } from '../../stores/rule.ts'
import { DRILL_STORES } from '../drill-stores.ts'
import type { Actors, Matcher, Policy, StoreActors, StorePolicy } from '../policy.ts'
import type { AddressFacts } from './address-rules.ts'
import { FactRules } from './fact-rules.ts'
import { ProcessRules } from './process-rules.ts'
import type { ProcessFacts } from './process-rules.ts'
import { StorePlaces } from './store-places.ts'
import { UNZONED_ZONE } from '../zone-names.ts'

/** Whether somebody may read or change a store, and the place in the policy that says so. */
export type StoreVerdict = {
  /** null: the policy does not say. */
  allowed: boolean | null
  /** The list that lets it in or, when none does, the one that it is missing from. */
  list: 'readers' | 'writers' | ''
  /** What matched; '' when nothing did. */
  matcher: Matcher | 'zones' | ''
  text: string
  /** Of the pattern, or of the list; 0 when the policy does not say. */
  line: number
}

const NOT_SAID: StoreVerdict = { allowed: null, list: '', matcher: '', text: '', line: 0 }

/** An answer, and what it was asked of. */
type Kept = { name: string, zone: number, verdict: StoreVerdict }

/** The stores of a policy by name, who may read and change them, and which one is at an address. */
export class StoreRules {
  /** In the order of the file, without those of drills. */
  readonly all: readonly StorePolicy[]
  readonly #byName: ReadonlyMap<string, StorePolicy>
  readonly #readers: ReadonlyMap<string, Members>
  readonly #writers: ReadonlyMap<string, Members>
  readonly #places: StorePlaces
  /** The latest answer for each set of facts: several detectors ask the same of one event. */
  readonly #kept = new WeakMap<ProcessFacts, Kept>()
  readonly #zones: readonly string[]

  /** @param zones names of zones by their index, as in `CompiledPolicy.zones` */
  constructor(stores: readonly StorePolicy[], zones: readonly string[]) {
    this.all = stores
    this.#zones = zones
    const known = [...stores, ...DRILL_STORES]
    this.#byName = new Map(known.map((store) => [store.name, store]))
    this.#readers = membersOf(known, 'readers')
    this.#writers = membersOf(known, 'writers')
    this.#places = new StorePlaces(stores)
  }

  /** Kind, zone, sensitivity and what is expected of a store; null when the policy has no such. */
  get(name: string): StorePolicy | null {
    return this.#byName.get(name) ?? null
  }

  /**
   * Whether a process may read a store: readers may, and writers too.
   *
   * @param facts must stay as they are: the answer is kept with them
   * @param zone `zoneOfProcess`; in none it is `unzoned`. Of whom nothing is known, do not ask
   */
  mayRead(name: string, facts: ProcessFacts, zone: number): StoreVerdict {
    const kept = this.#kept.get(facts)
    if (kept?.name === name && kept.zone === zone) return kept.verdict
    const verdict = this.#judgeReader(name, facts, zone)
    this.#kept.set(facts, { name, zone, verdict })
    return verdict
  }

  #judgeReader(name: string, facts: ProcessFacts, zone: number): StoreVerdict {
    const readers = this.#readers.get(name)
    if (readers === undefined) return NOT_SAID
    const zoneName = this.#zoneName(zone)
    const verdict = readers.judge(facts, zoneName)
    if (verdict.allowed) return verdict
    const asWriter = this.#writers.get(name)?.judge(facts, zoneName)
    return asWriter?.allowed ? asWriter : verdict
  }

  /** Whether a process may change a store; as `mayRead`. */
  mayWrite(name: string, facts: ProcessFacts, zone: number): StoreVerdict {
    return this.#writers.get(name)?.judge(facts, this.#zoneName(zone)) ?? NOT_SAID
  }

  #zoneName(zone: number): string {
    return this.#zones[zone] ?? UNZONED_ZONE
  }

  /** False: the store at an address is that of its bytes, whatever the address is called. */
  get hasNamedEndpoints(): boolean {
    return this.#places.hasNames
  }

  /** False when no store has an endpoint: no connection leads to one. */
  get hasEndpoints(): boolean {
    return this.#places.count > 0
  }

  /**
   * The store that answers at an address, for the accepting end of a connection; null when none
   * does. What Kubernetes says of the address decides before the longest prefix, that before DNS
   * names; among equals one with a port before one without. Of loopback addresses it holds as well:
   * a database may run beside its user.
   *
   * @param bytes 16 bytes at `offset`
   * @param port of the accepting end
   * @param facts `dns_names` only of name servers that are believed
   */
  storeOfConnection(
    bytes: Uint8Array, offset: number, port: number, facts: AddressFacts = {},
  ): string | null {
    return this.#places.find(bytes, offset, port, facts)
  }
}

/** Who is in one of the lists of a store. */
class Members {
  readonly #list: 'readers' | 'writers'
  readonly #actors: StoreActors
  readonly #rules: ProcessRules

  constructor(list: 'readers' | 'writers', actors: StoreActors) {
    this.#list = list
    this.#actors = actors
    this.#rules = processRules(actors.match)
  }

  judge(facts: ProcessFacts, zone: string): StoreVerdict {
    const list = this.#list
    const rule = this.#rules.find(facts)
    if (rule !== null) {
      return { allowed: true, list, matcher: rule.matcher, text: rule.text, line: rule.line }
    }
    const named = this.#actors.zones.find(({ text }) => text === zone)
    if (named !== undefined) {
      return { allowed: true, list, matcher: 'zones', text: named.text, line: named.line }
    }
    return { allowed: false, list, matcher: '', text: '', line: this.#actors.line }
  }
}

/**
 * What agents must know of the stores: those that are files, in the order of the policy, and when
 * there are any those of drills.
 */
export function storeRulesOf({ stores }: Pick<Policy, 'stores'>): StoreRule[] {
  const ofFiles = stores.filter(isOfFiles)
  const all = ofFiles.length === 0 ? [] : [...ofFiles, ...DRILL_STORES]
  return all.map((store): StoreRule => ({
    name: store.name, kind: store.kind,
    paths: store.paths.map(({ text }) => text),
    mountSources: store.mounts.map(({ text }) => text),
    fileSystems: store.fileSystems.map(({ text }) => text),
    manifest: store.manifest?.text ?? '',
    manifestKeys: store.manifestKeys.map(({ text }) => text),
  }))
}

/** False for a store that is reached over the network alone. */
export function isOfFiles({ paths, mounts, fileSystems }: StorePolicy): boolean {
  return paths.length + mounts.length + fileSystems.length > 0
}

function membersOf(
  stores: readonly StorePolicy[], list: 'readers' | 'writers',
): Map<string, Members> {
  return new Map(stores.flatMap((store): [string, Members][] => {
    const actors = store[list]
    return actors === null ? [] : [[store.name, new Members(list, actors)]]
  }))
}

function processRules(match: Actors): ProcessRules {
  const zone = { name: '', exposure: 'internal' as const, line: 0, column: 0, match }
  return new ProcessRules(new FactRules([zone], 0))
}
