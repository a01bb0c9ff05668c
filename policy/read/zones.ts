import { CIDRS_MAX } from '../match/address-table.ts'
import { isLoopback, parseCidr } from '../match/cidr.ts'
import { MATCHERS } from '../match/fact-rules.ts'
import { compileSelector } from '../match/selector.ts'
import { entryOf, listOf, patternsOf, problemAt, textOf } from './cursor.ts'
import type { Cursor, Report } from './cursor.ts'
import type { Matcher, Pattern, Zone } from '../policy.ts'
import { RESERVED_NAMES } from '../zone-names.ts'

const EXPOSURES = ['public', 'internal', 'protected'] as const

/**
 * Reads the zones and reports what only their meaning shows: names used twice or built in, CIDRs
 * that are none, and equal patterns, of which the later one could never match.
 */
export function readZones(cursor: Cursor | null, report: Report): Zone[] {
  const names = new Map<string, number>()
  const owners = new Map<string, { zone: string, line: number }>()
  let cidrCount = 0
  return listOf(cursor).map((entry): Zone => {
    const name = textOf(entry, 'name') ?? ''
    checkName(entry, name, names, report)
    const match = entryOf(entry, 'match')
    for (const cidr of listOf(entryOf(match, 'cidrs'))) {
      cidrCount += 1
      if (cidrCount === CIDRS_MAX + 1) {
        report(problemAt(cidr, 'error', `the zones hold more than ${CIDRS_MAX} address ranges`,
          'merge neighbouring ranges'))
      }
      const key = checkCidr(cidr, report)
      if (key !== null) claim(cidr, 'address range', key, name, owners, report)
    }
    for (const matcher of MATCHERS) {
      if (matcher === 'cidrs') continue
      for (const pattern of listOf(entryOf(match, matcher))) {
        if (typeof pattern.value !== 'string') continue
        claim(pattern, 'pattern', `${matcher} ${plainPattern(matcher, pattern.value)}`, name,
          owners, report)
      }
    }
    return {
      ...entry.located.at,
      name,
      exposure: EXPOSURES.find((one) => one === textOf(entry, 'exposure')) ?? 'internal',
      match: readMatch(match),
    }
  })
}

/** The patterns of `match`. Domain names have no case, and answers are told in small letters. */
export function readMatch(match: Cursor | null): Record<Matcher, Pattern[]> {
  const patterns = MATCHERS.map((matcher) => [matcher, patternsOf(entryOf(match, matcher))])
  const byMatcher = Object.fromEntries(patterns) as Record<Matcher, Pattern[]>
  byMatcher.dns_names = byMatcher.dns_names.map((one) => ({ ...one, text: one.text.toLowerCase() }))
  // What is no selector was reported by the schema; it must not be compiled.
  for (const matcher of ['labels', 'node_labels'] as const) {
    byMatcher[matcher] = byMatcher[matcher].filter(({ text }) => compileSelector(text) !== null)
  }
  return byMatcher
}

/** The same text for every way to write a pattern. */
function plainPattern(matcher: Matcher, text: string): string {
  if (matcher === 'dns_names') return text.toLowerCase()
  if (matcher !== 'labels' && matcher !== 'node_labels') return text
  return text.split(',').map((part) => part.trim()).sort().join(',')
}

function checkName(
  entry: Cursor, name: string, names: Map<string, number>, report: Report,
): void {
  const at = entryOf(entry, 'name')
  if (at === null || name === '') return
  if (RESERVED_NAMES.includes(name)) {
    report(problemAt(at, 'error', `${name} is a built-in zone`,
      'write another name; flows can use the built-in one as it is'))
    return
  }
  const first = names.get(name)
  if (first === undefined) {
    names.set(name, at.located.at.line)
    return
  }
  report(problemAt(at, 'error', `there is a zone ${name} already, on line ${first}`,
    'merge the two zones, or write another name'))
}

/** Reports a CIDR that is none, else gives the same text for every way to write it. */
function checkCidr(cursor: Cursor, report: Report): string | null {
  if (typeof cursor.value !== 'string') return null
  const cidr = parseCidr(cursor.value)
  if ('message' in cidr) {
    report(problemAt(cursor, 'error', cidr.message, cidr.fix))
    return null
  }
  const last = cidr.bits === 128
  if (isLoopback(cidr.bytes, 0) && (cidr.bytes[12] === 127 ? cidr.bits >= 104 : last)) {
    report(problemAt(cursor, 'warning', `${cursor.value} is loopback and never decides a zone`,
      'remove it: both ends of a loopback connection are known by their processes'))
  }
  return `${cidr.bytes.join('.')}/${cidr.bits}`
}

function claim(
  cursor: Cursor, what: string, key: string, zone: string,
  owners: Map<string, { zone: string, line: number }>, report: Report,
): void {
  const owner = owners.get(key)
  if (owner === undefined) {
    owners.set(key, { zone, line: cursor.located.at.line })
    return
  }
  const where = `on line ${owner.line}`
  if (owner.zone === zone) {
    report(problemAt(cursor, 'warning', `this ${what} is in the zone already, ${where}`,
      'remove one of the two'))
    return
  }
  report(problemAt(cursor, 'error', `zone ${owner.zone} has the same ${what}, ${where}`,
    'keep it in one zone, or make one of the two more specific'))
}
