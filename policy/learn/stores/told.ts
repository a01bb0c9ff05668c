/** What was learned of stores as text: YAML with the evidence as comments. */
import type { StoreActors, StorePolicy } from '../../policy.ts'
import { bytes, comment, count, list, printable, some, word } from '../yaml-lines.ts'
import type { ExpectedStore, Listed, ProposedStore } from './propose.ts'
import { amountsInWords, seenInWords } from './seen-words.ts'

/** Units by which amounts of the policy are written. */
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB']

/** Entries below `stores:`, two blanks deep: what the policy says of each, and what was learned. */
export function storeLines(
  proposed: readonly ProposedStore[], zones: ReadonlySet<string>,
): string[] {
  return proposed.flatMap((one, i) => [
    ...i > 0 ? [''] : [], ...placeLines(one.store, zones),
    ...addedLines(one),
  ])
}

/** What goes to the end of an entry that is there, four blanks deep. */
export function addedLines({ readers, writers, expected }: ProposedStore): string[] {
  return [
    ...listLines('readers', readers), ...listLines('writers', writers),
    ...expected === null ? [] : expectedLines(expected),
  ]
}

/** A store as the policy has it. A zone that is not in this file is left out. */
export function placeLines(store: StorePolicy, zones: ReadonlySet<string>): string[] {
  const { name, kind, sensitivity, zone, expected, manifest, manifestKeys } = store
  const texts = (key: string, patterns: readonly { text: string }[]): string[] =>
    patterns.length === 0 ? [] : list(`    ${key}`, patterns.map(({ text }) => word(text)))
  const amounts = [
    ...expected.bytesPerDay === null ? [] : [`bytes_per_day: ${unitsOf(expected.bytesPerDay)}`],
    ...expected.files === null ? [] : [`files: ${expected.files}`],
  ]
  return [
    `  - name: ${word(name)}`, `    kind: ${kind}`, `    sensitivity: ${sensitivity}`,
    ...zone === null ? [] : zones.has(zone) ? [`    zone: ${word(zone)}`]
      : comment(`It was of the zone ${zone}, which is not in this file.`, '    '),
    ...texts('paths', store.paths), ...texts('mounts', store.mounts),
    ...texts('file_systems', store.fileSystems), ...texts('endpoints', store.endpoints),
    ...actorLines('readers', store.readers), ...actorLines('writers', store.writers),
    ...amounts.length === 0 ? [] : [`    expected: { ${amounts.join(', ')} }`],
    ...manifest === null ? [] : [`    manifest: ${word(manifest.text)}`],
    ...manifestKeys.length === 0 ? [] : ['    manifest_keys:'],
    ...manifestKeys.flatMap(({ text }) => ['      - |',
      ...text.trimEnd().split('\n').map((line) => `        ${printable(line.trim())}`)]),
  ]
}

function actorLines(key: string, actors: StoreActors | null): string[] {
  if (actors === null) return []
  return [
    `    ${key}:`,
    ...actors.zones.length === 0 ? []
      : list('      zones', actors.zones.map(({ text }) => word(text))),
    ...Object.entries(actors.match).flatMap(([matcher, patterns]) => patterns.length === 0 ? []
      : list(`      ${matcher}`, patterns.map(({ text }) => word(text)))),
  ]
}

function listLines(key: string, listed: readonly Listed[]): string[] {
  if (listed.length === 0) return []
  const byMatcher = [...Map.groupBy(listed, ({ matcher }) => matcher)]
  return [`    ${key}:`, ...byMatcher.flatMap(([matcher, some]) => [
    ...some.flatMap((one) => comment(listedInWords(one), '      ')),
    ...list(`      ${matcher}`, some.map(({ pattern }) => word(pattern))),
  ])]
}

/** The evidence for one pattern of a list. */
export function listedInWords({ pattern, caution, seen, besides }: Listed): string {
  const left = besides === null ? ''
    : ` Besides, and not counted: ${amountsInWords(besides)} by ${some(besides.programs)}, which ` +
      'is part of something suspicious.'
  return `${pattern}: ${seenInWords(seen)}${caution === '' ? '' : ` ${caution}`}${left}`
}

function expectedLines(expected: ExpectedStore): string[] {
  const { bytes_per_day: most, files, thin } = expected
  const said = [`bytes_per_day: ${unitsOf(most)}`, ...files === 0 ? [] : [`files: ${files}`]]
  return [
    ...comment(expectedInWords(expected), '    '),
    `    ${thin ? '# ' : ''}expected: { ${said.join(', ')} }`,
  ]
}

/** Where the bound comes from. */
export function expectedInWords(expected: ExpectedStore): string {
  const { bytes_per_day: bound, usual_bytes_per_day: usual, most_bytes_per_day: most } = expected
  const { days, reports, thin, files } = expected
  const name = expected.workload_class || 'one whose name is not known'
  const often = days === 1 ? 'on its only day'
    : `in nearly every one of ${count(days, 'day', 'days')}`
  return `Of all that read it, ${name} read most in a day: at most ${bytes(usual)} ${often} ` +
    `(${count(reports, 'report', 'reports')}); the bound is four times that.` +
    (most > bound ? ` On one day it read ${bytes(most)}: that is above the bound.` : '') +
    (files === 0 ? '' : ' Files: the most that one process read; write how many there are.') +
    (thin ? ' That is too little to go by (7 days and 100 reports): look at it, and take it over.'
      : '')
}

/** An amount that the policy reads back as it is. */
function unitsOf(amount: number): string {
  let [value, unit] = [amount, 0]
  while (unit < UNITS.length - 1 && value >= 1024 && value % 1024 === 0) {
    value /= 1024
    unit++
  }
  return `${value} ${UNITS[unit]}`
}
