/** One store in full: where it is, who may use it, who did and how, and what was not seen. */
import type { StoreActors, StorePolicy } from '../../policy/policy.ts'
import { tone } from '../output.ts'
import type { StoreSite } from '../read/store-readings.ts'
import type { Blindness, ContentFound } from '../read/store-sights.ts'
import { printable } from '../text/printable.ts'
import { wrap } from '../text/table.ts'
import { formatBytes, formatCount } from '../text/time.ts'
import { normalCell } from './overview.ts'
import { isPermitted } from './view.ts'
import type { StoreUser, StoreView } from './view.ts'

const LABEL = 11
const NAMED = 4
const USES_TOLD = 4
const PROBLEMS_TOLD = 5
const DID: Record<string, string> = {
  create: 'created', modify: 'opened to write', truncate: 'cut short', rename: 'renamed',
  delete: 'deleted', link: 'linked', attributes: 'mode or owner changed',
  overwrite: 'overwritten in place',
}

/** @param since where the range begins, milliseconds since 1970 */
export function storeLines(view: StoreView, limit: number, since: number, width: number): string[] {
  const { name, policy, sites, users, content, unseen } = view
  const what = policy === null ? 'no longer in the policy'
    : `${policy.kind}, ${policy.sensitivity}${policy.zone === null ? '' : `, of ${policy.zone}`}`
  const from = since <= 0 ? 'ever' : `since ${minuteOf(new Date(since).toISOString())}`
  return [
    `${tone('strong', printable(name))}  ${what}`,
    ...siteLines(policy, sites, width), ...policyLines(policy, width),
    ...content === null ? [] : contentLines(content, policy, width),
    '',
    ...users.length === 0 ? [`Nobody read or changed it, ${from}.`] : [
      tone('strong', `Who read or changed it, ${from}`),
      ...users.slice(0, limit).flatMap((user, i) => [...i > 0 ? [''] : [],
        ...userLines(user, policy, width)]),
      ...users.length > limit ? ['', `${users.length - limit} more; --limit shows them`] : [],
    ],
    ...unseenLines(unseen, policy, width),
  ]
}

function siteLines(
  policy: StorePolicy | null, sites: readonly StoreSite[], width: number,
): string[] {
  const places = sites.map((site) => {
    const { node_id, state, path, fs_type: type, mount_source: of, reason, since } = site
    return `${state} on ${node_id}${path === '' ? '' : ` at ${path}`}` +
      `${type === '' ? '' : ` (${type}${of === '' ? '' : ` of ${of}`})`}` +
      `${reason === '' ? '' : `: ${reason}`}` +
      `${state === 'watched' ? `, since ${minuteOf(since)}` : ''}`
  })
  const ends = policy === null || policy.endpoints.length === 0 ? []
    : [`over the network at ${policy.endpoints.map(({ text }) => text).join(', ')}`]
  const all = [...places, ...ends]
  return labelled('where', all.length > 0 ? all : ['no node told of it'], width)
}

function policyLines(policy: StorePolicy | null, width: number): string[] {
  if (policy === null) return []
  const { readers, writers, expected } = policy
  const amounts = [
    ...expected.bytesPerDay === null ? []
      : [`${formatBytes(expected.bytesPerDay)} a day of one workload`],
    ...expected.files === null ? [] : [`${formatCount(expected.files)} files`],
  ]
  return [
    ...labelled('may read', [actorsInWords(readers)], width),
    ...labelled('may write', [actorsInWords(writers)], width),
    ...amounts.length === 0 ? [] : labelled('expected', [amounts.join(', ')], width),
  ]
}

function actorsInWords(actors: StoreActors | null): string {
  if (actors === null) return 'the policy does not say: it is compared with what is usual'
  const lists = [['zones', actors.zones] as const, ...Object.entries(actors.match)]
  return `${lists.filter(([, patterns]) => patterns.length > 0).map(([key, patterns]) =>
    `${key} ${patterns.map(({ text }) => text).join(', ')}`).join('; ')} (line ${actors.line})`
}

function contentLines(
  content: ContentFound, policy: StorePolicy | null, width: number,
): string[] {
  if (policy?.manifest === null) {
    return labelled('content', ['not compared: the policy names no manifest of it'], width)
  }
  const { matches, differs, not_listed: unlisted, unknown, problems } = content
  const counts = ([[matches, 'as signed'], [differs, 'not as signed'],
    [unlisted, 'not in the manifest'], [unknown, 'unknown']] as const)
    .filter(([count]) => count > 0).map(([count, what]) => `${many(count, 'file')} ${what}`)
  return labelled('content', [counts.join(', '), ...problems.slice(0, PROBLEMS_TOLD)
    .map(({ path, verdict, reason }) => `${path} ${verdict}${reason === '' ? '' : `: ${reason}`}`),
  ], width)
}

function userLines(user: StoreUser, policy: StorePolicy | null, width: number): string[] {
  const { workload_class: name, workloads, nodes, first_seen: first, last_seen: last } = user
  const { paint, text } = normalCell(user)
  const verdict = text === '-' ? '' : paint(text)
  const others = workloads.filter((one) => one !== name)
  return [
    `${tone('strong', printable(name) || 'a workload that is not known')}  ${verdict}`.trimEnd(),
    ...user.normal === 'none' ? [] : readLines(user, width),
    ...changeLines(user, width),
    ...user.directories_listed === 0 ? []
      : labelled('listed', [many(user.directories_listed, 'folder')], width),
    ...notAllowedLines(user, policy, width),
    ...labelled('on', [some(nodes) + (others.length === 0 ? '' : `, as ${some(others)}`)], width),
    ...labelled('seen', [spanOf(first, last)], width),
  ]
}

function readLines(user: StoreUser, width: number): string[] {
  const { bytes, files_distinct: files, bytes_per_second: rate, workload_class: name } = user
  const uses = user.bytes_by_program.filter((use) => use.bytes > 0)
  const [first] = uses
  const alone = uses.length === 1 && first.program === name
  const told = alone ? [] : uses.slice(0, USES_TOLD).map((use) =>
    `${formatBytes(use.bytes)} by ${use.program}` +
    (use.mechanism === '' ? '' : ` (${use.mechanism})`))
  const more = uses.length > USES_TOLD ? [`and ${uses.length - USES_TOLD} more`] : []
  return [
    ...labelled('read', [`${formatBytes(bytes)}${alone ? ` (${first.mechanism})` : ''}` +
      `${files === 0 ? '' : `, up to ${many(files, 'file')} by one process`}, ` +
      `at most ${formatBytes(rate)}/s`, ...told, ...more], width),
    ...usualLines(user, width),
  ]
}

/** The last hour and day against what is usual, by the clock of the detectors (UTC). */
function usualLines({ usual, ratio }: StoreUser, width: number): string[] {
  if (usual === null) return labelled('usual', ['nothing is known of it'], width)
  const { bytes_this_hour: hour, bytes_today: day, days, last_read: last } = usual
  const against = (bound: number): string =>
    bound === 0 ? '' : `, usual up to ${formatBytes(bound)}`
  const times = ratio <= 1 ? ''
    : ` (the most of a day is ${Number(ratio.toPrecision(2))} times that)`
  return [
    ...labelled('last hour', [`${formatBytes(hour)}${against(usual.usual_bytes_per_hour)}, in ` +
      `the hour from ${last.slice(11, 13)}:00 UTC`], width),
    ...labelled('last day', [
      `${formatBytes(day)}${against(usual.usual_bytes_per_day)}${times}, on ${last.slice(0, 10)}`,
    ], width),
    ...labelled('usual', [days === 0 ? 'not known yet: it has read on no day before' : usual.seen],
      width),
  ]
}

function changeLines({ changes, bytes_lost: lost }: StoreUser, width: number): string[] {
  const did = Object.entries(changes).sort(([, a], [, b]) => b - a)
    .map(([operation, count]) => `${formatCount(count)} ${DID[operation] ?? operation}`)
  if (did.length === 0) return []
  return labelled('changed', [
    `${did.join(', ')}${lost === 0 ? '' : `; ${formatBytes(lost)} of files are gone`}`], width)
}

function notAllowedLines(user: StoreUser, policy: StorePolicy | null, width: number): string[] {
  if (isPermitted(user)) return []
  const { bytes_not_permitted: bytes, changes_not_permitted: changes } = user
  const parts = [
    ...bytes === 0 ? [] : [`${formatBytes(bytes)} by who is none of its readers` +
      (policy?.readers ? ` (line ${policy.readers.line})` : '')],
    ...changes === 0 ? [] : [`${many(changes, 'change')} by who is none of its writers` +
      (policy?.writers ? ` (line ${policy.writers.line})` : '')],
  ]
  return labelled('not allowed', parts, width)
    .map((line, i) => i === 0 ? tone('bad', line) : line)
}

function unseenLines(
  unseen: readonly Blindness[], policy: StorePolicy | null, width: number,
): string[] {
  const told = [
    ...[...Map.groupBy(unseen, ({ lost }) => lost)].flatMap(([lost, same]) =>
      bulleted(`on ${some(namesOf(same))}: ${lost}`, width)),
    ...(policy?.endpoints.length ?? 0) === 0 ? []
      : bulleted('over the network: which files are read, and what is changed', width),
  ]
  const reasons = [...new Set(unseen.map(({ reason }) => reason))].filter((one) => one !== '')
  return told.length === 0 ? [] : ['', tone('strong', 'Not seen'), ...told,
    ...reasons.flatMap((reason) => wrap(printable(`Because ${reason}.`), width - 2)
      .map((line) => tone('faint', `  ${line}`)))]
}

function namesOf(unseen: readonly Blindness[]): string[] {
  return [...new Set(unseen.map(({ node_id }) => node_id))].sort()
}

function bulleted(text: string, width: number): string[] {
  return wrap(printable(text), width - 4)
    .map((line, i) => `  ${i === 0 ? '-' : ' '} ${line}`)
}

function labelled(label: string, texts: readonly string[], width: number): string[] {
  return texts.flatMap((text) => wrap(printable(text), width - LABEL - 4))
    .map((line, i) =>
      `  ${i === 0 ? tone('faint', label.padEnd(LABEL)) : ' '.repeat(LABEL)}  ${line}`)
}

/** `1,500 files`. */
function many(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`
}

function some(names: readonly string[]): string {
  const more = names.length - NAMED
  return names.slice(0, NAMED).join(', ') + (more > 0 ? ` and ${more} more` : '')
}

/** `2030-01-01 12:00 to 13:30 UTC`. */
function spanOf(first: string, last: string): string {
  const [from, to] = [minuteOf(first), minuteOf(last)]
  const sameDay = from.slice(0, 10) === to.slice(0, 10)
  return from === to ? from : `${from.replace(' UTC', '')} to ${sameDay ? to.slice(11) : to}`
}

/** `2030-01-01 12:00 UTC`. */
function minuteOf(time: string): string {
  return `${time.slice(0, 16).replace('T', ' ')} UTC`
}
