import type { Sensitivity, StoreActors, StorePolicy, Zone } from '../policy.ts'
import { entryOf, listOf, patternsOf, problemAt, textOf } from './cursor.ts'
import type { Cursor, Report } from './cursor.ts'
import { checkStores } from './store-checks.ts'
import { suggest } from './suggest.ts'
import { readMatch } from './zones.ts'
import { RESERVED_STORE_NAMES } from '../drill-stores.ts'
import { UNZONED_ZONE } from '../zone-names.ts'

const KINDS = ['dataset', 'weights', 'checkpoints', 'registry', 'database', 'objects'] as const
const SENSITIVITIES: readonly Sensitivity[] = ['public', 'internal', 'confidential', 'restricted']

/** Powers of a unit: kB is 1,000, KiB is 1,024. */
const UNITS = ['', 'K', 'M', 'G', 'T', 'P', 'E']

/** Reads the stores, and reports what only their meaning shows. */
export function readStores(
  cursor: Cursor | null, zones: readonly Zone[], report: Report,
): StorePolicy[] {
  const names = new Map<string, number>()
  const stores = listOf(cursor).map((entry): StorePolicy => {
    checkName(entry, names, report)
    checkZones(entry, zones, report)
    const manifest = entryOf(entry, 'manifest')
    return {
      ...entry.located.at,
      name: textOf(entry, 'name') ?? '',
      kind: KINDS.find((one) => one === textOf(entry, 'kind')) ?? 'dataset',
      zone: textOf(entry, 'zone'),
      sensitivity: SENSITIVITIES.find((one) => one === textOf(entry, 'sensitivity')) ?? 'internal',
      paths: patternsOf(entryOf(entry, 'paths')).map((one) =>
        ({ ...one, text: one.text.replace(/(.)\/$/, '$1') })),
      mounts: patternsOf(entryOf(entry, 'mounts')),
      fileSystems: patternsOf(entryOf(entry, 'file_systems')),
      endpoints: patternsOf(entryOf(entry, 'endpoints')),
      readers: actorsOf(entryOf(entry, 'readers')),
      writers: actorsOf(entryOf(entry, 'writers')),
      expected: readExpected(entryOf(entry, 'expected'), report),
      manifest: manifest === null || typeof manifest.value !== 'string' ? null
        : { text: manifest.value, ...manifest.located.at },
      manifestKeys: patternsOf(entryOf(entry, 'manifest_keys')),
    }
  })
  checkStores(stores, report)
  return stores
}

function checkName(entry: Cursor, names: Map<string, number>, report: Report): void {
  const at = entryOf(entry, 'name')
  const name = textOf(entry, 'name')
  if (at === null || name === null) return
  if (RESERVED_STORE_NAMES.includes(name)) {
    report(problemAt(at, 'error', `the name ${name} is for drills`, 'write another name'))
  }
  const first = names.get(name)
  if (first === undefined) {
    names.set(name, at.located.at.line)
    return
  }
  report(problemAt(at, 'error', `there is a store ${name} already, on line ${first}`,
    'merge the two stores, or write another name'))
}

/** Processes are never external: only a zone of the file, or none, can read and write. */
function checkZones(entry: Cursor, zones: readonly Zone[], report: Report): void {
  const known = zones.map(({ name }) => name)
  const check = (at: Cursor | null, names: readonly string[]): void => {
    if (at === null || typeof at.value !== 'string' || names.includes(at.value)) return
    const near = suggest(at.value, names)
    report(problemAt(at, 'error', `there is no zone ${JSON.stringify(at.value.slice(0, 64))} here`,
      near !== null ? `did you mean ${near}?`
        : names.length === 0 ? 'write it under zones:' : `known zones: ${names.join(', ')}`))
  }
  check(entryOf(entry, 'zone'), known)
  for (const key of ['readers', 'writers']) {
    for (const at of listOf(entryOf(entryOf(entry, key), 'zones'))) {
      check(at, [...known, UNZONED_ZONE])
    }
  }
}

function actorsOf(cursor: Cursor | null): StoreActors | null {
  if (cursor === null) return null
  const at = cursor.located.keyAt ?? cursor.located.at
  return { ...at, match: readMatch(cursor), zones: patternsOf(entryOf(cursor, 'zones')) }
}

function readExpected(cursor: Cursor | null, report: Report): StorePolicy['expected'] {
  const files = entryOf(cursor, 'files')?.value
  const at = entryOf(cursor, 'bytes_per_day')
  const bytesPerDay = bytesOf(at?.value)
  if (at !== null && bytesPerDay !== null && !(bytesPerDay >= 1 && bytesPerDay <= 1e18)) {
    report(problemAt(at, 'error', 'this amount is out of range', 'write 1 B to 1000 PB'))
  }
  return { bytesPerDay, files: typeof files === 'number' ? files : null }
}

/** Null for what is no amount: the schema reports it. */
function bytesOf(value: unknown): number | null {
  if (typeof value === 'number') return value
  const parts = /^([0-9.]+) *([kKMGTPE]?)(i?)B$/.exec(typeof value === 'string' ? value : '')
  if (parts === null) return null
  const [, number, unit, binary] = parts
  const power = UNITS.indexOf(unit.toUpperCase())
  return Math.round(Number(number) * (binary === 'i' ? 1024 : 1000) ** power)
}
