// Which addresses stand for what, and what is to be told when that changes. Pure.

import { isIP } from 'node:net'
import type { NodeFacts, PodFacts, ServiceFacts } from './objects.ts'

/** Whom one address, or one port of it, stands for; the fields of an `address_seen` event. */
export interface SeenAddress {
  seen_addr: string
  /** 0: all ports. */
  port: number
  address_kind: 'pod' | 'service' | 'node'
  workload: string
  namespace: string
  service_account: string
  labels: string[]
  on_node: string
  /** The other end sees another address. */
  translated: boolean
  gone: boolean
}

const nothing = { namespace: '', service_account: '', on_node: '', translated: false, gone: false }

/** None when it has ended: its addresses are free then. */
export function addressesOfPod(pod: PodFacts): SeenAddress[] {
  const { namespace, name, service_account, labels, node } = pod
  if (pod.ended) return []
  return valid(pod.addresses).map((seen_addr) => ({
    ...nothing, seen_addr, port: 0, address_kind: 'pod', workload: `pod:${namespace}/${name}`,
    namespace, service_account, labels, on_node: node,
  }))
}

/** One by port: a Service without ports translates nothing, and none is known by port 0. */
export function addressesOfService(service: ServiceFacts): SeenAddress[] {
  const { namespace, name, labels, ports } = service
  const workload = `service:${namespace}/${name}`
  return valid(service.addresses).flatMap((seen_addr) => ports.map((port): SeenAddress => ({
    ...nothing, seen_addr, port, address_kind: 'service', workload, namespace, labels,
    translated: true,
  })))
}

export function addressesOfNode({ name, labels, addresses }: NodeFacts): SeenAddress[] {
  return valid(addresses).map((seen_addr) => ({
    ...nothing, seen_addr, port: 0, address_kind: 'node', workload: `node:${name}`, labels,
    on_node: name,
  }))
}

/** Objects hold whatever someone could write into the API. A zone means nothing to other nodes. */
function valid(addresses: readonly string[]): string[] {
  return addresses.filter((address) => isIP(address) !== 0 && !address.includes('%'))
}

/** What two words about an address are compared by: the address and the port. */
export function placeOf({ seen_addr, port }: SeenAddress): string {
  return `${seen_addr} ${port}`
}

/** Who has which address by now. Bounded by whoever bounds the objects and their addresses. */
export class AddressBook {
  /** By object, what was told of it, to take it back. */
  readonly #told = new Map<string, SeenAddress[]>()
  /** By place, the object that was the last to have it. */
  readonly #owners = new Map<string, string>()

  /** What is to be told when an object has these addresses now: first those that it has lost. */
  changed(object: string, addresses: readonly SeenAddress[]): SeenAddress[] {
    const places = new Set(addresses.map(placeOf))
    const lost = (this.#told.get(object) ?? []).filter((one) => !places.has(placeOf(one)))
      // Another object may have it by now, and has said so.
      .filter((one) => this.#owners.get(placeOf(one)) === object)
    for (const one of lost) this.#owners.delete(placeOf(one))
    for (const place of places) this.#owners.set(place, object)
    if (addresses.length > 0) this.#told.set(object, [...addresses])
    else this.#told.delete(object)
    return [...lost.map((one) => ({ ...one, gone: true })), ...addresses]
  }
}
