import type { StorePolicy } from '../policy.ts'
import type { AddressFacts } from './address-rules.ts'
import { AddressTable } from './address-table.ts'
import { cidrHolds } from './cidr.ts'
import { endpointOf } from './endpoint.ts'
import type { Endpoint } from './endpoint.ts'
import { compareSpecificity } from './glob.ts'
import type { Glob } from './glob.ts'

/** An endpoint, the store behind it, and how early it decides among those of its kind. */
type Place = Endpoint & { store: string, rank: number }

/** Names of workloads and of DNS whose places are kept; when there are more, all are looked for. */
const NAMES_MAX = 4096

/**
 * The endpoints of all stores. For every connection that says how much passed: of an address the
 * ranges that hold it are found at once, and of a name the patterns that match it are kept.
 */
export class StorePlaces {
  readonly count: number
  readonly #workloads: NamedPlaces
  readonly #names: NamedPlaces
  readonly #table: AddressTable | null
  /** By the number that the table gives: those that hold the same addresses, first ones first. */
  readonly #holding: readonly (readonly Place[])[]

  constructor(stores: readonly StorePolicy[]) {
    const places = stores.flatMap(({ name: store, endpoints }) =>
      endpoints.map(({ text }): Place => ({ ...endpointOf(text), store, rank: 0 })))
    this.count = places.length
    this.#workloads = new NamedPlaces(places, ({ workload }) => workload)
    this.#names = new NamedPlaces(places, ({ name }) => name)
    const ranges = places.filter(({ cidr }) => cidr !== null)
      .sort((a, b) => b.cidr!.bits - a.cidr!.bits || byPort(a, b))
    this.#table = ranges.length === 0 ? null : new AddressTable(ranges.map(({ cidr }) => cidr!))
    this.#holding = ranges.map(({ cidr: inner }) =>
      ranges.filter(({ cidr: outer }) =>
        outer!.bits <= inner!.bits && cidrHolds(outer!, inner!.bytes, 0)))
  }

  /** False: only addresses decide, whatever they are called. */
  get hasNames(): boolean { return this.#workloads.count + this.#names.count > 0 }

  /** The store at an address; null when there is none. As `StoreRules.storeOfConnection`. */
  find(bytes: Uint8Array, offset: number, port: number, facts: AddressFacts): string | null {
    const { workload, dns_names } = facts
    const found = (workload ? this.#workloads.find(workload, port) : null) ??
      this.#at(bytes, offset, port) ??
      (dns_names?.length ? this.#names.findAny(dns_names, port) : null)
    return found?.store ?? null
  }

  #at(bytes: Uint8Array, offset: number, port: number): Place | null {
    const number = this.#table?.find(bytes, offset) ?? -1
    return number < 0 ? null : firstOf(this.#holding[number], port)
  }
}

/** Places that are known by what somebody calls them. */
class NamedPlaces {
  readonly count: number
  readonly #places: readonly Place[]
  readonly #globOf: (place: Place) => Glob | null
  readonly #kept = new Map<string, readonly Place[]>()

  constructor(places: readonly Place[], globOf: (place: Place) => Glob | null) {
    this.#places = places.filter((place) => globOf(place) !== null)
      .sort((a, b) => compareSpecificity(globOf(a)!, globOf(b)!) || byPort(a, b))
      .map((place, rank) => ({ ...place, rank }))
    this.#globOf = globOf
    this.count = this.#places.length
  }

  find(name: string, port: number): Place | null {
    return this.count === 0 ? null : firstOf(this.#of(name), port)
  }

  /** By any of several names: the place that decides first of all. */
  findAny(names: readonly string[], port: number): Place | null {
    let first: Place | null = null
    for (const name of names) {
      const place = this.find(name, port)
      if (place !== null && (first === null || place.rank < first.rank)) first = place
    }
    return first
  }

  #of(name: string): readonly Place[] {
    const kept = this.#kept.get(name)
    if (kept !== undefined) return kept
    if (this.#kept.size >= NAMES_MAX) this.#kept.clear()
    const places = this.#places.filter((place) => this.#globOf(place)!.matches(name))
    this.#kept.set(name, places)
    return places
  }
}

function firstOf(places: readonly Place[], port: number): Place | null {
  return places.find((place) => place.port === 0 || place.port === port) ?? null
}

function byPort(a: Place, b: Place): number {
  return Math.sign(b.port) - Math.sign(a.port)
}
