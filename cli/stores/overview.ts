/** All stores as tables: where they are, who used them, and what their files hold. */
import type { StorePolicy } from '../../policy/policy.ts'
import { tone } from '../output.ts'
import type { Tone } from '../output.ts'
import type { StoreSite } from '../read/store-readings.ts'
import { fit, printable } from '../text/printable.ts'
import { alignRows } from '../text/table.ts'
import type { Cell } from '../text/table.ts'
import { formatBytes } from '../text/time.ts'
import { isPermitted } from './view.ts'
import type { StoreUser, StoreView } from './view.ts'

/** A line per store. */
export function placeTable(stores: readonly StoreView[], width: number): string[] {
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

const TONES: Record<StoreUser['normal'], Tone> = {
  above: 'warning', within: 'good', thin: 'faint', new: 'warning', none: 'faint',
}

/** A line per class of workloads that did something to a store. */
export function userTable(stores: readonly StoreView[], limit: number, width: number): string[] {
  const rows = stores.flatMap(({ users }) => users.slice(0, limit).map(userRow))
  if (rows.length === 0) {
    return stores.length === 0 ? [] : ['', 'Nobody read or changed any of them.']
  }
  const left = stores.filter(({ users }) => users.length > limit)
    .map(({ name, users }) => `${users.length - limit} more used ${printable(name)}`)
  return ['', ...alignRows([
    ['STORE', 'BY', 'READ', 'A DAY', 'FILES', 'CHANGED', 'LISTED', 'NORMAL'], ...rows,
  ], width), ...left]
}

function userRow(user: StoreUser): Cell[] {
  const read = user.normal !== 'none'
  return [
    fit(printable(user.store), 14), fit(printable(user.workload_class) || '-', 20),
    read ? formatBytes(user.bytes) : '-', read ? formatBytes(user.bytes_most_per_day) : '-',
    shortCount(user.files_distinct), shortCount(user.changes_total),
    shortCount(user.directories_listed), normalCell(user),
  ]
}

/** What of a class is normal, such as `3.1 × 20 GiB`, in its colour. */
export function normalCell(user: StoreUser): Exclude<Cell, string> {
  const { normal, ratio, usual } = user
  const bound = formatBytes(usual?.usual_bytes_per_day ?? 0)
  const text = !isPermitted(user) ? 'not allowed'
    : normal === 'above' ? `${Number(ratio.toPrecision(2))} × ${bound}`
      : normal === 'within' ? `within ${bound}` : normal === 'none' ? '-' : normal
  return { text, paint: (one) => tone(isPermitted(user) ? TONES[normal] : 'bad', one) }
}

/** Files of stores by what their manifests say; without those that have none. */
export function contentTable(stores: readonly StoreView[], width: number): string[] {
  const rows = stores.flatMap(({ name, policy, content }): Cell[][] => {
    if (content === null || policy?.manifest === null) return []
    const { matches, differs, not_listed: unlisted, unknown, problems } = content
    const [first] = problems
    return [[
      fit(printable(name), 14), shortCount(matches),
      { text: shortCount(differs), paint: (text) => differs > 0 ? tone('bad', text) : text },
      { text: shortCount(unlisted), paint: (text) => unlisted > 0 ? tone('bad', text) : text },
      shortCount(unknown),
      first === undefined ? '' : printable(`${first.path}: ${first.reason || first.verdict}`),
    ]]
  })
  if (rows.length === 0) return []
  return ['', ...alignRows([
    ['STORE', 'AS SIGNED', 'DIFFERS', 'NOT LISTED', 'UNKNOWN', 'SUCH AS'], ...rows], width)]
}

/** A count of at most five characters; '-' for none. */
function shortCount(count: number): string {
  if (count === 0) return '-'
  const units = ['', 'k', 'M', 'G', 'T']
  let [value, unit] = [count, 0]
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000
  return `${unit === 0 ? count : value.toPrecision(3)}${units[unit]}`
}
