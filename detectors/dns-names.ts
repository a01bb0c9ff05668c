/** Names asked for under one domain. Plain data, kept in the state of NET-010. */
import { nameKey } from './peer-key.ts'

/** One domain within one window. */
export interface Domain {
  sinceMs: number
  /** Hashes of the distinct names, at most `NAMES_MAX`. */
  names: Set<number>
  /** Sum over the distinct names: length of the longest label below the domain. */
  labelBytes: number
  told: boolean
}

const DOMAINS_MAX = 64
const NAMES_MAX = 256
/** Asked within a cluster or a site, or for addresses: no name server of a stranger. */
const inside = /(^|\.)(arpa|local|localhost|internal|intranet|lan|home|corp|svc|test|invalid)$/

/**
 * The domain that someone registered, as well as can be said without a list: two labels, three
 * below a country's `co`, `com`, `ac` and so on. Null for names that stay within the site.
 */
export function domainOf(name: string): string | null {
  if (inside.test(name) || name.includes('.svc.')) return null
  const labels = name.split('.')
  if (labels.length < 3) return null
  const [second, top] = labels.slice(-2)
  const count = top.length === 2 && second.length <= 3 ? 3 : 2
  return labels.length > count ? labels.slice(-count).join('.') : null
}

/** Counts a name; returns its domain as it is now. */
export function noteName(
  domains: Map<string, Domain>, domain: string, name: string, nowMs: number, windowMs: number,
): Domain {
  let known = domains.get(domain)
  if (known === undefined || nowMs - known.sinceMs >= windowMs) {
    known = { sinceMs: nowMs, names: new Set(), labelBytes: 0, told: false }
    domains.delete(domain)
    domains.set(domain, known)
    // In the order of their windows: the first is the oldest.
    if (domains.size > DOMAINS_MAX) domains.delete(domains.keys().next().value!)
  }
  const key = nameKey(name)
  if (known.names.size >= NAMES_MAX || known.names.has(key)) return known
  known.names.add(key)
  const labels = name.slice(0, name.length - domain.length - 1).split('.')
  known.labelBytes += labels.reduce((longest, label) => Math.max(longest, label.length), 0)
  return known
}
