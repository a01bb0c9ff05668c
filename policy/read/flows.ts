import { entryOf, listOf, patternsOf, problemAt, textOf } from './cursor.ts'
import type { Cursor, Report } from './cursor.ts'
import { parseCidr } from '../match/cidr.ts'
import type { Flow, Pattern, Zone } from '../policy.ts'
import { parsePorts, portsCover } from '../match/ports.ts'
import type { PortRange } from '../match/ports.ts'
import { suggest } from './suggest.ts'
import {
  ANY_ZONE, BUILT_IN_NAMES, DRILL_ZONES, EXTERNAL_ZONE, UNZONED_ZONE,
} from '../zone-names.ts'

/**
 * Reads the flows and reports what only their meaning shows: zones that are not there, port ranges
 * upside down, and flows that change nothing.
 */
export function readFlows(cursor: Cursor | null, zones: readonly Zone[], report: Report): Flow[] {
  const names = [...zones.map((zone) => zone.name), ...BUILT_IN_NAMES]
  const known = new Set(names)
  const read: Flow[] = []
  for (const entry of listOf(cursor)) {
    let whole = true
    for (const end of ['from', 'to']) {
      const name = textOf(entry, end)
      if (name !== null && known.has(name)) continue
      whole = false
      const at = entryOf(entry, end)
      if (name === null || at === null) continue
      if (DRILL_ZONES.includes(name)) {
        report(problemAt(at, 'error', `${name} is for drills, and no flow may open it`,
          'remove this flow: a drill is there to be seen'))
        continue
      }
      const near = suggest(name, names)
      report(problemAt(at, 'error', `there is no zone ${JSON.stringify(name.slice(0, 64))}`,
        near === null ? `known zones: ${listed(names)}` : `did you mean ${near}?`))
    }
    const flow: Flow = {
      ...entry.located.at,
      from: textOf(entry, 'from') ?? '',
      to: textOf(entry, 'to') ?? '',
      ports: readPorts(entryOf(entry, 'ports'), report),
      executables: patternsOf(entryOf(entry, 'executables')),
      serviceAccounts: patternsOf(entryOf(entry, 'service_accounts')),
      fromCidrs: readCidrs(entryOf(entry, 'from_cidrs'), report),
      toDns: patternsOf(entryOf(entry, 'to_dns'))
        .map((pattern) => ({ ...pattern, text: pattern.text.toLowerCase() })),
      reason: textOf(entry, 'reason') ?? '',
    }
    if (whole) checkUse(entry, flow, read, report)
    read.push(flow)
  }
  return read
}

function readPorts(cursor: Cursor | null, report: Report): PortRange[] {
  return listOf(cursor).flatMap((entry) => {
    const { value } = entry
    if (typeof value !== 'number' && typeof value !== 'string') return []
    const ports = parsePorts(value)
    if (!('message' in ports)) return [ports]
    // The schema reports a wrong shape and a number out of range; the rest only shows here.
    if (ports.wrong === 'numbers' && typeof value === 'string') {
      report(problemAt(entry, 'error', ports.message, ports.fix))
    }
    return []
  })
}

/** Address ranges; one that is none is reported, and left out. */
export function readCidrs(cursor: Cursor | null, report: Report): Pattern[] {
  return listOf(cursor).flatMap((entry) => {
    if (typeof entry.value !== 'string') return []
    const cidr = parseCidr(entry.value)
    if (!('message' in cidr)) return [{ text: entry.value, ...entry.located.at }]
    report(problemAt(entry, 'error', cidr.message, cidr.fix))
    return []
  })
}

/** Warns of a flow that decides nothing. It does no harm, so the policy stays good. */
function checkUse(entry: Cursor, flow: Flow, before: readonly Flow[], report: Report): void {
  if (flow.from === flow.to && flow.from !== ANY_ZONE) {
    report(problemAt(entry, 'warning', `this flow stays within ${flow.from}, where all is allowed`,
      'remove it'))
    return
  }
  const outside = [EXTERNAL_ZONE, UNZONED_ZONE]
  if (outside.includes(flow.from) && outside.includes(flow.to)) {
    report(problemAt(entry, 'warning', 'neither end of this flow is in a zone of the policy',
      'remove it: what happens between such ends is not judged'))
    return
  }
  const wider = before.find((other) => covers(other, flow))
  if (wider === undefined) return
  report(problemAt(entry, 'warning', `the flow on line ${wider.line} allows all of this already`,
    'remove one of the two'))
}

function covers(wide: Flow, narrow: Flow): boolean {
  if (wide.from !== ANY_ZONE && wide.from !== narrow.from) return false
  if (wide.to !== ANY_ZONE && wide.to !== narrow.to) return false
  for (const list of ['executables', 'serviceAccounts', 'fromCidrs', 'toDns'] as const) {
    if (!patternsCover(wide[list], narrow[list])) return false
  }
  return portsCover(wide.ports, narrow.ports)
}

/** No patterns let everything through. */
function patternsCover(wide: readonly Pattern[], narrow: readonly Pattern[]): boolean {
  if (wide.length === 0) return true
  const texts = new Set(wide.map(({ text }) => text))
  return narrow.length > 0 && narrow.every(({ text }) => texts.has(text))
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 8).join(', ')
  return names.length > 8 ? `${shown} and ${names.length - 8} more` : shown
}
