// Whether what was raised is what a scenario wants. Pure.

import type { Hop, HopEnd } from '../../detect/finding.ts'
import type { Incident } from '../../detect/incident.ts'
import type { EndWanted, Expectation, HopWanted } from './scenario.ts'

/** Why it is not what is wanted, in plain words; empty when it is. */
export function judge(incidents: readonly Incident[], wanted: Expectation): string[] {
  return [...judgeStory(incidents, wanted), ...judgeAmounts(incidents, wanted)]
}

/** As `judge`, but without the bytes: those are known when the connections end. */
export function judgeStory(incidents: readonly Incident[], wanted: Expectation): string[] {
  const problems: string[] = []
  if (incidents.length !== wanted.incidents) {
    problems.push(`${incidents.length} incidents instead of ${wanted.incidents}: ` +
      `${incidents.map(told).join(' | ') || 'none'}`)
  }
  const raised = new Set(incidents.flatMap(({ findings }) => findings.map((one) => one.detector)))
  for (const id of wanted.quiet ?? []) {
    if (raised.has(id)) problems.push(`${id} must say nothing`)
  }
  const [first] = incidents
  const has = new Set(first?.findings.map(({ detector }) => detector))
  for (const id of wanted.detectors ?? []) {
    if (!has.has(id)) problems.push(`${id} found nothing in the first incident`)
  }
  for (const name of wanted.stores ?? []) {
    if (!first?.stores.includes(name)) problems.push(`store ${name} is not named`)
  }
  return [...problems, ...judgeTotals(first, wanted),
    ...inOrder(first?.hops ?? [], wanted.hops ?? [], fits)]
}

/** One finding must have all of them. */
function judgeTotals(first: Incident | undefined, { totals = {} }: Expectation): string[] {
  const wanted = Object.entries(totals)
  const all = first?.findings.map((one) => one.totals) ?? []
  if (all.some((one) => wanted.every(([name, least]) => (one[name] ?? 0) >= least))) return []
  return wanted.length === 0 ? []
    : [`no finding has ${JSON.stringify(totals)}; they have ${JSON.stringify(all)}`]
}

function judgeAmounts(incidents: readonly Incident[], { hops = [] }: Expectation): string[] {
  const [first] = incidents
  if (inOrder(first?.hops ?? [], hops, fits).length > 0) return []
  return inOrder(first?.hops ?? [], hops, (hop, want) => fits(hop, want) && carries(hop, want))
}

function told({ title, subject, findings }: Incident): string {
  const ids = [...new Set(findings.map(({ detector }) => detector))].join(', ')
  return `${title} (${ids}; ${subject})`
}

/** Names the first wanted hop that does not come after the one before it. */
function inOrder(
  hops: readonly Hop[], wanted: readonly HopWanted[],
  matches: (hop: Hop, want: HopWanted) => boolean,
): string[] {
  let at = 0
  for (const [number, want] of wanted.entries()) {
    while (at < hops.length && !matches(hops[at]!, want)) at++
    if (at === hops.length) {
      return [`hop ${number + 1} is not told in its place: ${JSON.stringify(want)}; told: ` +
        `${hops.map(hopText).join(' | ') || 'none'}`]
    }
    at++
  }
  return []
}

function fits(hop: Hop, want: HopWanted): boolean {
  return hop.established && endFits(hop.from, want.from) && endFits(hop.to, want.to)
}

function endFits(end: HopEnd, want: EndWanted): boolean {
  return (want.zone === undefined || end.zone === want.zone) &&
    (end.node_id ?? null) === want.node &&
    (want.address === undefined || end.address === want.address) &&
    (want.port === undefined || end.port === want.port) &&
    (want.exe === undefined || (end.exe ?? '').endsWith(want.exe)) &&
    (want.uid === undefined || end.uid === want.uid)
}

function carries(hop: Hop, { bytes_sent_min: sent = 0, bytes_received_min: got = 0 }: HopWanted,
): boolean {
  const amounts = hop as Hop & { bytes_sent?: number, bytes_received?: number }
  return (sent === 0 || (amounts.bytes_sent ?? 0) >= sent) &&
    (got === 0 || (amounts.bytes_received ?? 0) >= got)
}

function hopText(hop: Hop): string {
  const end = ({ node_id: node, address, port, exe, uid }: HopEnd): string =>
    `${node ?? 'somewhere'} ${address}:${port ?? ''} ${exe ?? ''} uid ${uid ?? '?'}`
  return `${end(hop.from)} → ${end(hop.to)}`
}
