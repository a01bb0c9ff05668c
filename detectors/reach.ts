/** Whom one reached within a window, and what is usual. Plain data, in the state of NET-003. */
import type { Evidence } from '../detect/finding.ts'

/** One that was met. */
export interface Sample {
  target: string
  zone: string
  evidence: Evidence
}

/** One window of one subject. Hosts and services (port and protocol) are numbers. */
export interface Reach {
  sinceMs: number
  /** Distinct pairs of host and service, at most `PAIRS_MAX`. */
  pairs: Set<number>
  /** Distinct hosts by service, and distinct services by host. */
  hostsOf: Map<number, number>
  servicesOf: Map<number, number>
  /** Some of the last ones, by service or host, of those with many. */
  samples: Map<number, Sample[]>
}

/** The most that one subject of a class reached within a window. */
export interface Usual {
  /** By service; small amounts are left out. */
  hosts: Map<number, number>
  services: number
}

/** Counting ends here: then it says "at least". */
export const PAIRS_MAX = 1024
export const SAMPLES_MAX = 10
const USUAL_MAX = 64

export function newReach(nowMs: number): Reach {
  return {
    sinceMs: nowMs, pairs: new Set(), hostsOf: new Map(), servicesOf: new Map(), samples: new Map(),
  }
}

/**
 * Notes that `host` was reached on `service`; false when that was known, or there are too many.
 *
 * @param host 32 bits; so is the hash of a pair: such numbers are looked up ten times faster than
 *   larger ones, and two pairs with the same one are a host too few in a hundred thousand windows
 */
export function note(reach: Reach, host: number, service: number): boolean {
  const { pairs, hostsOf, servicesOf } = reach
  if (pairs.size >= PAIRS_MAX) return false
  const mixed = Math.imul(host ^ Math.imul(service, 0x9e3779b1), 0x85ebca6b)
  const pair = Math.imul(mixed ^ (mixed >>> 15), 0xc2b2ae35)
  if (pairs.has(pair)) return false
  pairs.add(pair)
  hostsOf.set(service, (hostsOf.get(service) ?? 0) + 1)
  servicesOf.set(host, (servicesOf.get(host) ?? 0) + 1)
  return true
}

/**
 * The window is over: what was reached in it is usual from here on. When there are too many
 * services, the one that was raised longest ago is forgotten.
 *
 * @param hostsMin fewer hosts are not worth to be kept
 */
export function learn(usual: Usual, reach: Reach, hostsMin: number): void {
  for (const [service, hosts] of reach.hostsOf) {
    if (hosts < hostsMin || hosts <= (usual.hosts.get(service) ?? 0)) continue
    usual.hosts.delete(service)
    usual.hosts.set(service, hosts)
    if (usual.hosts.size > USUAL_MAX) usual.hosts.delete(usual.hosts.keys().next().value!)
  }
  for (const services of reach.servicesOf.values()) {
    if (services > usual.services) usual.services = services
  }
}
