import { canonicalJson } from '../detect/incident.ts'
import type { Incident } from '../detect/incident.ts'
import { amount } from '../detect/words.ts'
import { policyChanges } from '../policy/learn/changes.ts'
import type { PolicyChange } from '../policy/learn/changes.ts'
import { spanOf } from '../policy/learn/told.ts'
import type { Policy } from '../policy/policy.ts'
import type { CommandSpec, ExitCode } from './command.ts'
import { timeOption } from './events.ts'
import { comparePolicies } from './learn/compare.ts'
import type { Comparison, StoreChange, VerdictChange } from './learn/compare.ts'
import { openSource } from './learn/source.ts'
import { printLines, say, screenWidth, tone } from './output.ts'
import { readPolicy } from './policy-file.ts'
import type { Values } from './settings.ts'
import { incidentTable } from './text/incident-line.ts'
import { printable } from './text/printable.ts'
import { alignRows } from './text/table.ts'
import type { Cell } from './text/table.ts'
import { formatBytes, formatCount, TIME_FORMS } from './text/time.ts'

const SIGNS = { added: '+', removed: '-', changed: '~' }
const PARTS = { zone: 'Zones', flow: 'Flows', store: 'Stores', detector: 'Detectors',
  resolvers: 'Resolvers' }
const NAMES_TOLD = 3

/** `vedette policy diff`. */
export const diff: CommandSpec = {
  name: 'diff',
  argument: '<old>',
  argumentHelp: 'policy file',
  second: '<new>',
  secondHelp: 'policy file',
  summary: 'compares two policies: what they say, and what they would do to what the log holds',
  examples: [
    'vedette policy diff old.yaml new.yaml                the texts alone',
    'vedette policy diff old.yaml new.yaml --data ./data  and what the log would have raised',
    'vedette policy diff a.yaml b.yaml --server 127.0.0.1:7411 --from 1d',
  ],
  settings: ['from', 'to', 'server', 'data', 'tls_ca', 'tls_cert', 'tls_key'],
  changes: {
    data: { help: 'data folder with an event log to judge' },
    server: { help: 'correlator with an event log to judge', default: undefined },
    from: { help: `the log from then on: ${TIME_FORMS}` },
    to: { help: 'the log until then' },
  },
  async run(values, old, now): Promise<ExitCode> {
    const [before, after] = [readPolicy(old!), readPolicy(now!)]
    const range = {
      fromMs: timeOption('from', values.from) ?? -Infinity,
      toMs: timeOption('to', values.to) ?? Infinity,
    }
    const changes = policyChanges(before, after)
    const compared = await compare(before, after, range, values)
    await printLines(values.output === 'json' ? jsonLines(changes, compared)
      : textLines(changes, compared, screenWidth()))
    if (compared === null) {
      say('vedette: only the texts were compared; name an event log with --data or --server')
    } else if (compared.extent.events === 0) say('vedette: the log holds nothing of this range')
    if (compared !== null && compared.unlisted > 0) {
      say(`vedette: not complete: ${compared.unlisted} connections or reports beyond the bound`)
    }
    if (compared !== null && compared.extent.malformed.size > 0) {
      say(`vedette: not complete: ${compared.extent.malformed.size} batches could not be read`)
    }
    return isSame(changes, compared) ? 0 : 1
  },
}

async function compare(
  before: Policy, after: Policy, range: { fromMs: number, toMs: number }, values: Values,
): Promise<Comparison | null> {
  if (values.data === undefined && values.server === undefined) return null
  const { frames } = await openSource(values, range)
  return comparePolicies(frames, before, after, range)
}

function isSame(changes: readonly PolicyChange[], compared: Comparison | null): boolean {
  return changes.length === 0 &&
    (compared === null || (compared.verdicts.length === 0 && compared.stores.length === 0 &&
      compared.incidents.identical))
}

function jsonLines(changes: readonly PolicyChange[], compared: Comparison | null): string[] {
  const verdicts = compared?.verdicts ?? []
  const { only_live: fewer = [], only_replayed: more = [], different = [], same = 0 } =
    compared?.incidents ?? {}
  const ids = (list: readonly { incident_id: string }[]): string[] =>
    list.map(({ incident_id }) => incident_id)
  return [
    ...changes.map((change) => JSON.stringify({ differs: 'text', ...change })),
    ...verdicts.map((verdict) => JSON.stringify({ differs: 'verdict', ...verdict })),
    ...(compared?.stores ?? []).map((change) => JSON.stringify({ differs: 'store', ...change })),
    ...fewer.map((incident) => canonicalJson({ differs: 'incident', only: 'old', incident })),
    ...more.map((incident) => canonicalJson({ differs: 'incident', only: 'new', incident })),
    ...different.map(({ incident_id, keys, live, replayed }) => canonicalJson(
      { differs: 'incident', incident_id, keys, old: live, new: replayed })),
    JSON.stringify({
      identical: isSame(changes, compared), changes: changes.length, verdicts: verdicts.length,
      stores: compared?.stores.length ?? 0,
      events: compared?.extent.events ?? 0, incidents_only_old: ids(fewer),
      incidents_only_new: ids(more), incidents_different: ids(different), incidents_same: same,
      unlisted: compared?.unlisted ?? 0, batches_unread: compared?.extent.malformed.size ?? 0,
    }),
  ]
}

function textLines(
  changes: readonly PolicyChange[], compared: Comparison | null, width: number,
): string[] {
  const parts = Object.entries(PARTS).flatMap(([part, title]) =>
    section(title, alignRows(changes.filter((one) => one.part === part).map((one) =>
      [`  ${SIGNS[one.change]}`, printable(one.name), printable(one.what)]), width)))
  const lines = [...parts, ...compared === null ? [] : comparedLines(compared, width)]
  return lines.length > 0 ? lines : [`${tone('good', 'identical')}: the policies say the same` +
    (compared === null ? '' : `, and do the same to ${formatCount(compared.extent.events)} events`)]
}

function comparedLines(
  { extent, verdicts, stores, incidents }: Comparison, width: number,
): string[] {
  const span = extent.events === 0 ? ''
    : `, ${spanOf({ first_ms: extent.fromMs, last_ms: extent.toMs })}`
  const table = (list: readonly Incident[]): string[] =>
    incidentTable(list, width - 2).map((line) => `  ${line}`)
  const { only_live: fewer, only_replayed: more, different } = incidents
  return [
    ...section(`Connections${span}`, verdictLines(verdicts, width)),
    ...section(`Reads and changes of stores${span}`, storeLines(stores, width)),
    ...section(`${amount(more.length, 'incident')} more`, table(more)),
    ...section(`${amount(fewer.length, 'incident')} fewer`, table(fewer)),
    ...section(`${amount(different.length, 'incident')} not the same (as by the new policy)`,
      table(different.map(({ replayed }) => replayed))),
  ]
}

function verdictLines(verdicts: readonly VerdictChange[], width: number): string[] {
  return alignRows(verdicts.map((verdict) => {
    const { now, connections, from, to, port, protocol, established, example } = verdict
    const what = `event ${example.seq} of ${example.node_id}: ${some(verdict.openers)} ` +
      `${established ? '' : 'tried to connect '}to ${some(verdict.servers)}`
    return [
      verdictCell(now), formatCount(connections), `${from} > ${to}`,
      `${port === 0 ? 'any' : port}/${protocol}`, printable(what),
    ]
  }), width)
}

function storeLines(changes: readonly StoreChange[], width: number): string[] {
  return alignRows(changes.map((change) => {
    const { now, store, does, bytes, changes: count, programs, workloads, example } = change
    return [
      verdictCell(now), does === 'read' ? formatBytes(bytes) : formatCount(count),
      does === 'read' ? 'read of' : 'changes of', printable(store),
      printable(`event ${example.seq} of ${example.node_id}: ${some(programs)} of ` +
        some(workloads)),
    ]
  }), width)
}

function verdictCell(now: 'violation' | 'allowed'): Cell {
  return {
    text: now === 'violation' ? '  now a violation' : '  now allowed',
    paint: (text: string) => tone(now === 'violation' ? 'bad' : 'good', text),
  }
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [tone('strong', title), ...lines]
}

function some(names: readonly string[]): string {
  const more = names.length - NAMES_TOLD
  return names.slice(0, NAMES_TOLD).join(', ') + (more > 0 ? ` and ${more} more` : '')
}
