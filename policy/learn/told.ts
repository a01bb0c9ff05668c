/** A learned policy as text: YAML with the evidence for every rule as comments. */
import type { Refused, Told } from './flows.ts'
import { SLICES, slicesSeen } from './edges.ts'
import type { ProposedZone } from './zones.ts'
import { bytes, comment, count, list, printable, some, word } from './yaml-lines.ts'

/** Refusals that are written out; the rest is counted. */
const REFUSED_TOLD = 100

/** The entries below `zones:`, two blanks deep. */
export function zoneLines(zones: readonly ProposedZone[]): string[] {
  return zones.flatMap(({ name, exposure, match, evidence }, i) => [
    ...i > 0 ? [''] : [],
    ...comment(evidence.join(' '), '  '),
    `  - name: ${name}`,
    `    exposure: ${exposure}`,
    '    match:',
    ...Object.entries(match).flatMap(([key, patterns]) =>
      list(`      ${key}`, patterns.map(word))),
  ])
}

/** The entries below `flows:`, two blanks deep. */
export function flowLines(flows: readonly Told[]): string[] {
  return flows.flatMap((flow, i) => [
    ...i > 0 ? [''] : [], ...comment(evidenceOf(flow), '  '), ...entryLines(flow),
  ])
}

/** What was seen and is not proposed, all as comments; an entry can be taken over by hand. */
export function refusedLines(refused: readonly Refused[]): string[] {
  if (refused.length === 0) return []
  const told = refused.slice(0, REFUSED_TOLD)
  const more = refused.length - told.length
  return [
    ...comment(`Seen, not proposed: ${count(refused.length, 'entry', 'entries')}. To allow one, ` +
      'look at who did it, and take the entry over into flows.', ''),
    ...told.flatMap((one) => [
      '#',
      ...comment(`${whyRefused(one)} ${evidenceOf(one)}`, ''),
      ...entryLines(one).map((line) => `# ${line}`),
    ]),
    ...more > 0 ? ['#', `# ${more} more are not listed; --output json lists all.`] : [],
  ]
}

/** One sentence that says why it is left to a person. */
export function whyRefused({ refusal, incident, executables }: Refused): string {
  switch (refusal) {
    case 'incident': return `Part of incident ${incident}.`
    case 'failed': return 'Tried only: no connection was ever established.'
    case 'rare': return 'Rare: too few connections to be a habit.'
    case 'one_moment': return 'In one moment only: no habit of the whole range.'
    case 'odd_executable':
      return `The executable is where anyone may put one: ${printable(executables.join(', '))}.`
    case 'dynamic_ports': return 'Many ports that are chosen at run time: a list would be outdated.'
    case 'no_word': return 'The policy has no word for this protocol.'
  }
}

/** Amounts, who, and an example, for a comment. */
export function evidenceOf(told: Told): string {
  const { connections, bytes_sent, bytes_received, openers, servers, example } = told
  return `${count(connections, 'connection', 'connections')}, ${bytes(bytes_sent)} out and ` +
    `${bytes(bytes_received)} back, ${spanOf(told)}, in ${slicesSeen(told)} of ${SLICES} parts ` +
    `of the range. By ${some(openers)}; to ${some(servers)}. ` +
    `Such as event ${example.seq} of ${printable(example.node_id)}.`
}

function entryLines(told: Told): string[] {
  const { from, to, ports, executables, to_dns: names, connections } = told
  return [
    `  - from: ${from}`, `    to: ${to}`, ...list('    ports', ports),
    ...executables.length > 0 ? list('    executables', executables.map(word)) : [],
    ...names.length > 0 ? list('    to_dns', names.map(word)) : [],
    `    reason: Seen ${count(connections, 'time', 'times')}, ${spanOf(told)}; say here why.`,
  ]
}

/** UTC from and to, the day once where it is the same. */
export function spanOf(told: { first_ms: number, last_ms: number }): string {
  const [first, last] = [told.first_ms, told.last_ms]
    .map((ms) => `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')}`)
  return first === last ? `${first} UTC`
    : `${first} to ${last.slice(0, 10) === first.slice(0, 10) ? last.slice(11) : last} UTC`
}
