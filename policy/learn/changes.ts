/** What differs between two policies by their text alone. */
import type {
  DetectorSetting, Flow, Matcher, Pattern, Policy, StorePolicy, Zone,
} from '../policy.ts'
import { formatPorts } from './port-list.ts'
import { storeLists } from './store-lists.ts'

/** One difference; `what` says it in words. */
export interface PolicyChange {
  part: 'zone' | 'flow' | 'store' | 'detector' | 'resolvers'
  change: 'added' | 'removed' | 'changed'
  /** Of the zone, store or detector, or the two zones of a flow. */
  name: string
  what: string
}

/**
 * All differences: zones, stores and detectors by their names, flows by all that they say but their
 * reason. The order of zones and flows, comments and reasons decide nothing and are none.
 */
export function policyChanges(before: Policy, after: Policy): PolicyChange[] {
  const resolvers = listChange(textsOf(before.resolvers), textsOf(after.resolvers))
  return [
    ...byName('zone', before.zones, after.zones, ({ name }) => name, zoneText, zoneChange),
    ...flowChanges(before.flows, after.flows),
    ...byName('store', before.stores, after.stores, ({ name }) => name, storeText, storeChange),
    ...byName('detector', before.detectors, after.detectors, ({ id }) => id, settingText,
      (old, now) => `${settingText(old)} → ${settingText(now)}`),
    ...resolvers === '' ? []
      : [{ part: 'resolvers', change: 'changed', name: '', what: resolvers } as const],
  ]
}

function byName<T>(
  part: 'zone' | 'store' | 'detector', before: readonly T[], after: readonly T[],
  nameOf: (one: T) => string, tell: (one: T) => string, compare: (old: T, now: T) => string,
): PolicyChange[] {
  const old = new Map(before.map((one) => [nameOf(one), one]))
  const now = new Map(after.map((one) => [nameOf(one), one]))
  const names = [...new Set([...old.keys(), ...now.keys()])].sort()
  return names.flatMap((name): PolicyChange[] => {
    const [left, right] = [old.get(name), now.get(name)]
    if (left === undefined) return [{ part, change: 'added', name, what: tell(right!) }]
    if (right === undefined) return [{ part, change: 'removed', name, what: tell(left) }]
    if (tell(left) === tell(right)) return []
    return [{ part, change: 'changed', name, what: compare(left, right) }]
  })
}

function zoneText({ exposure, match }: Zone): string {
  const matchers = (Object.entries(match) as [Matcher, Pattern[]][])
    .filter(([, patterns]) => patterns.length > 0).sort(([a], [b]) => a < b ? -1 : 1)
    .map(([matcher, patterns]) => `${matcher} ${textsOf(patterns).join(', ')}`)
  return `${exposure}; ${matchers.join('; ')}`
}

function zoneChange(old: Zone, now: Zone): string {
  const matchers = Object.keys({ ...old.match, ...now.match }) as Matcher[]
  const changes = matchers.sort().flatMap((matcher) => {
    const change = listChange(textsOf(old.match[matcher]), textsOf(now.match[matcher]))
    return change === '' ? [] : [`${matcher} ${change}`]
  })
  if (old.exposure !== now.exposure) changes.unshift(`exposure ${old.exposure} → ${now.exposure}`)
  return changes.join('; ')
}

function storeText(store: StorePolicy): string {
  return [...storeLists(store)].map(([key, texts]) => `${key} ${texts.join(', ')}`).join('; ')
}

function storeChange(old: StorePolicy, now: StorePolicy): string {
  const [left, right] = [storeLists(old), storeLists(now)]
  return [...new Set([...left.keys(), ...right.keys()])].flatMap((key) => {
    const [before = [], after = []] = [left.get(key), right.get(key)]
    const change = listChange(before, after)
    if (change === '') return []
    return [before.length === 1 && after.length === 1 ? `${key} ${before[0]} → ${after[0]}`
      : `${key} ${change}`]
  }).join('; ')
}

/** Flows have no names: one that changed was removed, and another one added. */
function flowChanges(before: readonly Flow[], after: readonly Flow[]): PolicyChange[] {
  const texts = (flows: readonly Flow[]): Map<string, Flow> =>
    new Map(flows.map((flow) => [`${flow.from} > ${flow.to} ${flowText(flow)}`, flow]))
  const [old, now] = [texts(before), texts(after)]
  const missing = (from: Map<string, Flow>, to: Map<string, Flow>): Flow[] =>
    [...from].filter(([text]) => !to.has(text)).map(([, flow]) => flow)
  const told = (flow: Flow, change: 'added' | 'removed'): PolicyChange =>
    ({ part: 'flow', change, name: `${flow.from} > ${flow.to}`, what: flowText(flow) })
  return [
    ...missing(now, old).map((flow) => told(flow, 'added')),
    ...missing(old, now).map((flow) => told(flow, 'removed')),
  ].sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
}

function flowText({ ports, executables, serviceAccounts, fromCidrs, toDns }: Flow): string {
  const said = (word: string, patterns: readonly Pattern[]): string[] =>
    patterns.length === 0 ? [] : [`${word} ${textsOf(patterns).join(', ')}`]
  return [
    ports.length === 0 ? 'every port' : formatPorts(ports).join(', '),
    ...said('by', executables), ...said('as', serviceAccounts), ...said('from', fromCidrs),
    ...said('to', toDns),
  ].join(' ')
}

function settingText({ thresholds, mute }: DetectorSetting): string {
  const values = thresholds.map(({ name, value }) => `${name} ${String(value)}`).sort()
  return [...values, ...mute === null ? [] : [`muted until ${mute.until}`]].join(', ')
}

function textsOf(patterns: readonly Pattern[]): string[] {
  return patterns.map(({ text }) => text).sort()
}

/** Such as `+10.2.0.0/16 -10.1.0.0/16`; '' when the lists hold the same. */
function listChange(before: readonly string[], after: readonly string[]): string {
  return [
    ...after.filter((text) => !before.includes(text)).map((text) => `+${text}`),
    ...before.filter((text) => !after.includes(text)).map((text) => `-${text}`),
  ].join(' ')
}
