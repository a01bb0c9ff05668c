/** An incident told for a person: what happened, who did it, what is missing, what to do. */
import type { Coverage } from '../../detect/coverage.ts'
import type { Hop, HopEnd, HopLink, HopProcess } from '../../detect/finding.ts'
import type { Incident, IncidentFinding } from '../../detect/incident.ts'
import { tone, toneOf } from '../output.ts'
import { printable, shellWord } from './printable.ts'
import { factLines, shortTime } from './story-facts.ts'
import { wrap } from './table.ts'
import { formatBytes, formatCount } from './time.ts'

const LABEL_COLUMNS = 12
const INDENT = '  '

/** The whole story in lines of at most `width`, but for rules to be copied, which stay whole. */
export function incidentStory(incident: Incident, width: number): string[] {
  const { severity, state } = incident
  const head = tone(toneOf(severity), severity.toUpperCase())
  return [
    `${head}  ${tone('strong', printable(incident.title))}`,
    '',
    ...wrap(printable(incident.summary), width),
    '',
    ...labelled('Incident', `${incident.incident_id}, ${state}` +
      (incident.close_reason ? ` (${incident.close_reason.replace('_', ' ')})` : ''), width),
    ...labelled('Opened', shortTime(incident.opened_at), width),
    ...labelled('Last news', shortTime(incident.updated_at), width),
    ...(incident.joined_into ? labelled('Goes on in', incident.joined_into, width) : []),
    ...(incident.closed_at ? labelled('Closed', shortTime(incident.closed_at), width) : []),
    ...labelled('About', incident.subject, width),
    ...labelled('Nodes', incident.nodes.join(', '), width),
    ...labelled('Workloads', incident.workloads.join(', '), width),
    ...labelled('Zones', incident.zones.join(', '), width),
    ...labelled('Stores', incident.stores.join(', '), width),
    ...labelled('ATT&CK', [...incident.attack, ...incident.atlas].join(', '), width),
    ...section('What happened', incident.findings.flatMap((one) => findingLines(one, width))),
    ...(incident.findings_unlisted > 0
      ? [`${INDENT}and ${formatCount(incident.findings_unlisted)} more findings`] : []),
    ...section('The way, in order', incident.hops.flatMap((hop, i) => hopLines(hop, i, width))),
    ...section('What could not be seen', coverageLines(incident.coverage, width)),
    ...section('What to do', incident.next_steps.flatMap((step, i) => stepLines(step, i, width))),
  ]
}

function section(title: string, lines: string[]): string[] {
  return lines.length === 0 ? [] : ['', tone('strong', title), ...lines]
}

function labelled(label: string, text: string, width: number): string[] {
  if (text === '') return []
  return wrap(printable(text), width - LABEL_COLUMNS).map((line, i) =>
    (i === 0 ? label : '').padEnd(LABEL_COLUMNS) + line)
}

function hanging(mark: string, text: string, width: number): string[] {
  const start = INDENT.length + mark.length
  return wrap(text, width - start).map((line, i) =>
    i === 0 ? `${INDENT}${mark}${line}` : ' '.repeat(start) + line)
}

/** A step may end with lines to be copied into the policy: those stay as they are. */
function stepLines(step: string, index: number, width: number): string[] {
  const [first, ...rest] = step.trimEnd().split('\n')
  return [
    ...hanging(`${index + 1}. `, printable(first), width),
    ...rest.map((line) => `${INDENT}${INDENT}${INDENT}${printable(line)}`),
  ]
}

function findingLines(finding: IncidentFinding, width: number): string[] {
  const { detector, severity, time, last_time, count } = finding
  const often = count > 1 ? `${formatCount(count)} times until ${shortTime(last_time)}` : ''
  const lines = [
    `${INDENT}${shortTime(time)}  ${detector} ${tone(toneOf(severity), severity)}`,
    ...(often === '' ? [] : [`${INDENT}${INDENT}${often}`]),
    ...wrap(printable(finding.summary), width - 4).map((line) => `${INDENT}${INDENT}${line}`),
  ]
  const events = finding.evidence.map(({ node_id, seq }) => `${printable(node_id)}/${seq}`)
  const more = finding.evidence_unlisted > 0
    ? ` and ${formatCount(finding.evidence_unlisted)} more` : ''
  return [...lines, ...factLines({
    ...finding.totals, ...finding.details, evidence: `events ${events.join(', ')}${more}`,
  }, width)]
}

/** What each hop has to do with the one before it. */
const LINKS: Record<HopLink, string> = {
  same_process: 'by the process that was reached',
  descendant: 'by a descendant of the process that was reached',
  stdio: 'by a process whose standard streams are that connection',
  descriptor: 'by a process that was handed that connection',
  file: 'by a program that was left on shared storage',
  exec: 'by a process that was put into a running container',
  unix: 'by a process that was asked over a Unix socket',
}

function hopLines(hop: Hop, index: number, width: number): string[] {
  const what = hop.established ? hop.protocol : `${hop.protocol}, never established`
  const amounts = hop.bytes_sent === undefined ? ''
    : `, ${formatBytes(hop.bytes_sent)} there, ${formatBytes(hop.bytes_received ?? 0)} back`
  const ends = `${endText(hop.from)} → ${endText(hop.to)}`
  const lines = hanging(
    `${index + 1}. `, `${ends} (${what}${amounts}) at ${shortTime(hop.time)}`, width)
  const by = hop.link === undefined ? [] : hanging('   ', LINKS[hop.link] + (hop.link_of
    ? `, the likeliest of ${formatCount(hop.link_of)} that it could be` : ''), width)
  const via = (hop.via ?? []).flatMap((one) => hanging('   ', `ran ${viaText(one)}`, width))
  return [...lines, ...by, ...via]
}

/** The command line, and the executable when it is another one than that claims. */
function viaText({ pid, uid, exe, args }: HopProcess): string {
  const command = args.map((word) => shellWord(word)).join(' ')
  const isHonest = args[0]?.split('/').at(-1) === exe.split('/').at(-1)
  const name = isHonest ? command : [printable(exe), command].filter((part) => part).join(' as ')
  return `${name} (pid ${pid}, uid ${uid})`
}

function endText(end: HopEnd): string {
  const address = end.address.includes(':') ? `[${end.address}]` : end.address
  const facts = [
    end.node_id ? `node ${end.node_id}` : '',
    end.workload ?? '',
    end.pid ? `pid ${end.pid}` : '',
    end.exe ?? '',
    end.uid === undefined ? '' : `uid ${end.uid}`,
  ].filter((fact) => fact !== '')
  const port = end.port ? `:${end.port}` : ''
  const who = facts.length > 0 ? ` [${facts.join(', ')}]` : ''
  return printable(`${end.zone} ${address}${port}${who}`)
}

function coverageLines(coverage: Coverage, width: number): string[] {
  if (coverage.complete) return [`${INDENT}Nothing is known to be missing.`]
  return coverage.nodes.filter(({ complete }) => !complete).flatMap((node) => {
    const name = printable(node.node_id)
    const lines = [
      ...node.gaps.map((gap) => `${name}: ${formatCount(gap.count)} ${gap.event_kind} lost at ` +
        `${gap.stage} from ${rangeText(gap)}: ${printable(gap.reason)}` +
        (gap.cgroup ? ` (${printable(gap.cgroup)})` : '')),
      ...probeLines(name, node.probes_degraded),
      ...node.holes.map((hole) => `${name}: events ${hole.after_seq + 1} to ` +
        `${hole.before_seq - 1} never came, from ${rangeText(hole)}`),
      ...node.silences.map((silence) => `${name}: said nothing from ${rangeText(silence)}`),
      ...node.unwatched.map((one) =>
        `${name}: nobody watched from ${rangeText(one)} (${one.reason})`),
      ...(node.unlisted > 0 ? [`${name}: ${formatCount(node.unlisted)} more`] : []),
    ]
    return lines.flatMap((line) => hanging('- ', line, width))
  })
}

/** What was lost in the same time on one line: most of it is what a kernel never shows. */
function probeLines(name: string, probes: Coverage['nodes'][number]['probes_degraded']): string[] {
  const secondOf = (time: string): string => time.slice(0, 'yyyy-mm-ddThh:mm:ss'.length)
  const together = Map.groupBy(probes, ({ from, to }) => `${secondOf(from)} ${to ?? ''}`)
  return [...together.values()].map((group) => {
    const lost = group.map((probe) =>
      `${printable(probe.lost)} (${printable(probe.probe)} ${probe.state})`)
    return `${name}: not seen from ${rangeText(group[0])}: ${lost.join('; ')}`
  })
}

function rangeText({ from, to }: { from: string, to?: string }): string {
  return `${from} to ${to ?? 'now'}`
}
