import type { UsualJson } from '../detect/stores/usual-json.ts'
import type { StorePolicy } from '../policy/policy.ts'
import { suggest } from '../policy/read/suggest.ts'
import type { CommandSpec, ExitCode } from './command.ts'
import { CliError } from './errors.ts'
import { timeOption } from './events.ts'
import { printLines, say, screenWidth, tone } from './output.ts'
import type { Tone } from './output.ts'
import type { Reader, StoreReadings, StoreSite } from './read/store-readings.ts'
import { readReadings, readUsual, usualKey } from './read/store-usual.ts'
import { fit, printable } from './text/printable.ts'
import { alignRows } from './text/table.ts'
import type { Cell } from './text/table.ts'
import { formatBytes, TIME_FORMS } from './text/time.ts'

const FROM_DEFAULT = '1d'
const LIMIT_DEFAULT = 10

export const spec: CommandSpec = {
  name: 'stores',
  argument: '[store]',
  argumentHelp: 'only this store of the policy',
  summary: 'the stores of the policy: where they are watched, who read how much, against normal',
  examples: [
    'vedette stores                        the last day; exit 1 when somebody read who may not',
    'vedette stores imagenet --from 7d     who read one store in a week',
    'vedette stores --output json          all readers, with what is usual of each',
  ],
  settings: ['from', 'to', 'limit', 'server', 'data', 'tls_ca', 'tls_cert', 'tls_key'],
  changes: {
    data: { help: 'read this data folder instead of asking a correlator' },
    from: { help: `reads from then on: ${TIME_FORMS}`, default: FROM_DEFAULT },
    to: { help: 'reads until then' },
    limit: { help: 'readers of a store that are shown', default: String(LIMIT_DEFAULT) },
  },
  async run(values, only): Promise<ExitCode> {
    const { output, limit = LIMIT_DEFAULT } = values
    const fromMs = timeOption('from', values.from) ?? 0
    const toMs = timeOption('to', values.to) ?? Infinity
    const readings = await readReadings(values, { fromMs, toMs })
    const names = wantedNames(readings, only)
    const usual = await readUsual(values, fromMs, only === undefined ? [] : [only])
    const stores = names.map((name) => storeView(readings, name, usual))
    await printLines(output === 'json' ? stores.flatMap(jsonLines)
      : [...placeTable(stores, screenWidth()), ...readerTable(stores, limit, screenWidth())])
    if (stores.length === 0) say('the policy names no stores, and nothing was read of one')
    if (readings.unlisted > 0) {
      say(`vedette: not complete: ${readings.unlisted} reports beyond the bound`)
    }
    return stores.some(({ readers }) => readers.some((reader) => !isPermitted(reader))) ? 1 : 0
  },
}

/** A store as it is shown. */
interface StoreView {
  name: string
  /** Null for one that the policy does not name any longer. */
  policy: StorePolicy | null
  sites: StoreSite[]
  readers: JudgedReader[]
}

/** What was read against what is usual. */
type Normal = 'above' | 'within' | 'thin' | 'new'
type JudgedReader = Reader & {
  normal: Normal
  /** The most of a day to what is usual in one; 0 when that is not known. */
  ratio: number
  usual: UsualJson | null
}

function wantedNames(readings: StoreReadings, only: string | undefined): string[] {
  const names = readings.names()
  if (only === undefined) return names
  if (names.includes(only)) return [only]
  const near = suggest(only, names)
  throw new CliError('CLI_NO_DATA', `there is no store ${JSON.stringify(only)}` +
    (near !== null ? `; did you mean ${near}?`
      : names.length === 0 ? '; the policy names none' : `; there are ${names.join(', ')}`))
}

function storeView(
  readings: StoreReadings, name: string, usual: ReadonlyMap<string, UsualJson>,
): StoreView {
  const judged = (reader: Reader): JudgedReader => {
    const known = usual.get(usualKey(name, reader.workload_class)) ?? null
    const most = reader.bytes_most_per_day
    const ratio = known === null || known.usual_bytes_per_day === 0 ? 0
      : most / known.usual_bytes_per_day
    const normal = known === null || known.days === 0 ? 'new'
      : known.thin ? 'thin' : ratio > 1 ? 'above' : 'within'
    return { ...reader, normal, ratio, usual: known }
  }
  return {
    name, policy: readings.stores.find((store) => store.name === name) ?? null,
    sites: readings.sitesOf(name), readers: readings.readersOf(name).map(judged),
  }
}

function isPermitted({ bytes_not_permitted: bytes }: Reader): boolean {
  return bytes === 0
}

function jsonLines({ name, policy, sites, readers }: StoreView): string[] {
  return [
    JSON.stringify({
      about: 'store', store: name,
      ...policy !== null && {
        store_kind: policy.kind, sensitivity: policy.sensitivity, store_zone: policy.zone,
        expected_bytes_per_day: policy.expected.bytesPerDay, expected_files: policy.expected.files,
      },
      sites,
    }),
    ...readers.map(({ normal, ratio, usual, ...reader }) => JSON.stringify({
      about: 'reader', ...reader, permitted: isPermitted(reader), against_normal: normal,
      ...ratio > 0 && { times_usual: Number(ratio.toPrecision(3)) }, usual,
    })),
  ]
}

function placeTable(stores: readonly StoreView[], width: number): string[] {
  if (stores.length === 0) return []
  const rows = stores.map(({ name, policy, sites }): Cell[] => [
    fit(printable(name), 24), policy?.kind ?? '-', policy?.sensitivity ?? '-',
    policy?.zone ?? '-', placesInWords(policy, sites),
  ])
  return alignRows([['STORE', 'KIND', 'SENSITIVITY', 'ZONE', 'WHERE'], ...rows], width)
}

/** Of several places on a node the best one counts. */
const STATES = ['watched', 'unresolved', 'absent', 'gone']
const NODES_NAMED = 3

function placesInWords(policy: StorePolicy | null, sites: readonly StoreSite[]): string {
  const best = new Map<string, StoreSite>()
  for (const site of sites) {
    const before = best.get(site.node_id)
    if (before === undefined || STATES.indexOf(site.state) < STATES.indexOf(before.state)) {
      best.set(site.node_id, site)
    }
  }
  const words = STATES.flatMap((state) => {
    const nodes = [...best.values()].filter((site) => site.state === state)
    if (nodes.length === 0) return []
    const named = nodes.slice(0, NODES_NAMED).map(({ node_id, reason }) =>
      printable(reason === '' ? node_id : `${node_id} (${reason})`))
    const more = nodes.length > NODES_NAMED ? [`${nodes.length - NODES_NAMED} more`] : []
    return [`${state} on ${[...named, ...more].join(', ')}`]
  })
  if (words.length > 0) return words.join('; ')
  if (policy === null) return 'no longer in the policy'
  return policy.endpoints.length > 0 ? `at ${policy.endpoints.map(({ text }) => text).join(', ')}`
    : 'no node told of it'
}

const TONES: Record<Normal, Tone> = {
  above: 'warning', within: 'good', thin: 'faint', new: 'warning',
}

function readerTable(stores: readonly StoreView[], limit: number, width: number): string[] {
  const rows = stores.flatMap(({ readers }) => readers.slice(0, limit).map(readerRow))
  if (rows.length === 0) return stores.length === 0 ? [] : ['', 'Nobody read any of them.']
  const left = stores.filter(({ readers }) => readers.length > limit)
    .map(({ name, readers }) => `${readers.length - limit} more read ${printable(name)}`)
  return ['', ...alignRows([
    ['STORE', 'READER', 'READ', 'A DAY', 'USUAL', 'FILES', 'RATE', 'NORMAL'], ...rows,
  ], width), ...left]
}

function readerRow(reader: JudgedReader): Cell[] {
  const { normal, ratio, usual } = reader
  const bytesUsual = usual?.usual_bytes_per_day ?? 0
  return [
    fit(printable(reader.store), 16), fit(printable(reader.workload_class) || '-', 22),
    formatBytes(reader.bytes), formatBytes(reader.bytes_most_per_day),
    bytesUsual === 0 ? '-' : formatBytes(bytesUsual), short(reader.files_distinct),
    `${formatBytes(reader.bytes_per_second)}/s`,
    { text: !isPermitted(reader) ? 'not allowed'
      : normal === 'above' ? `${Number(ratio.toPrecision(2))} × usual` : normal,
    paint: (text) => tone(isPermitted(reader) ? TONES[normal] : 'bad', text) },
  ]
}

/** A count of at most five characters; '-' where none is known. */
function short(count: number): string {
  if (count === 0) return '-'
  const units = ['', 'k', 'M', 'G', 'T']
  let [value, unit] = [count, 0]
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000
  return `${unit === 0 ? count : value.toPrecision(3)}${units[unit]}`
}
