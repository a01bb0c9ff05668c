/** Explanations of reads and changes of stores for a person, and as JSON. */
import type { Explanation } from '../../policy/explain.ts'
import type { ReachedEndpoint, StoreExplanation } from '../../policy/explain-store.ts'
import { isOfFiles } from '../../policy/match/store-rules.ts'
import { tone } from '../output.ts'
import { printable } from '../text/printable.ts'
import { wrap } from '../text/table.ts'

/**
 * One explanation as lines.
 *
 * @param who the process in words
 * @param file name of the policy file, in front of line numbers
 */
export function accessLines(
  access: StoreExplanation, who: string, file: string, width: number,
): string[] {
  const { allowed, action, store, zone, exposure, zoneWhy, zoneLine, list, missing } = access
  const head = allowed === null ? 'not judged' : allowed ? 'allowed' : 'not allowed'
  const word = allowed === null ? 'warning' : allowed ? 'good' : 'bad'
  const what = [store.kind, store.sensitivity, ...store.zone === null ? [] : [`of ${store.zone}`]]
  const where = zoneLine === 0 ? '' : `${file}:${zoneLine}: `
  return [
    `${tone(word, head)}: ${zone} to ${action} ${store.name}`,
    `  by    ${printable(who)}`,
    `        is in ${zone} (${exposure}): ${where}${printable(zoneWhy)}`,
    `  store ${store.name}: ${what.join(', ')}`,
    ...wrap(reasonOf(access, file), width - 2).map((line) => `  ${line}`),
    ...(missing === '' ? [] : [`  To allow it, add to ${list} of ${store.name}:`,
      `    ${printable(missing)}`]),
  ]
}

function reasonOf({ allowed, action, store, list, matcher, text, line }: StoreExplanation,
  file: string): string {
  if (allowed === null) {
    const key = action === 'read' ? 'readers' : 'writers'
    return `The store has no ${key}: in the policy: who does it is compared with what is usual ` +
      `alone (${file}:${store.line}).`
  }
  if (!allowed) return `It is not among the ${list} at ${file}:${line}.`
  const also = list === 'writers' && action === 'read' ? ' (writers may read, too)' : ''
  return `By ${list} at ${file}:${line}: ${matcher} ${printable(text)}${also}`
}

/** How the store is reached over the network, and what nobody sees there. */
export function endpointLines(
  { action, store }: StoreExplanation, ways: readonly ReachedEndpoint[], file: string,
  width: number,
): string[] {
  if (store.endpoints.length === 0) return []
  const lines = ways.flatMap(({ endpoint, explanation }) => {
    const { allowed, because, flow, from, to, missing } = explanation
    const why = because === 'flow' ? `by the flow at ${file}:${flow!.line}`
      : because === 'no_flow' ? `no flow lets ${from.zone} connect to ${to.zone}`
        : because === 'same_zone' ? `within ${from.zone}` : 'neither end is in a zone'
    return [
      `  over  ${printable(endpoint)}: ${tone(allowed ? 'good' : 'bad',
        allowed ? 'the connection is allowed' : 'the connection is not allowed')}, ${why}`,
      ...missing === '' ? [] : ['        To allow it, add below flows:',
        ...missing.trimEnd().split('\n').map((line) => `        ${line}`)],
    ]
  })
  const blind = action === 'write'
    ? 'Over the network nobody sees what is changed: writers are not asked there.'
    : 'Over the network what comes from an endpoint counts as read; which part, nobody sees.'
  return [
    ...lines, ...ways.length > 0 ? [] : [`  over  ${printable(store.endpoints
      .map(({ text }) => text).join(', '))}: no flow is asked`],
    ...wrap(isOfFiles(store) ? blind.replace('Over', 'Besides, over') : blind, width - 2)
      .map((line) => `  ${line}`),
  ]
}

/** The same for JSON; nothing for a store without endpoints. */
export function endpointsJson(ways: readonly ReachedEndpoint[]): object {
  return ways.length === 0 ? {} : {
    endpoints: ways.map(({ endpoint, explanation }) => toJson(endpoint, explanation)),
  }
}

function toJson(
  endpoint: string, { allowed, because, flow, from, to, missing }: Explanation,
): object {
  return {
    endpoint, allowed, because, from_zone: from.zone, to_zone: to.zone,
    flow_line: flow?.line ?? null, missing_flow: missing,
  }
}

/** One explanation as a JSON object with flat keys. */
export function accessJson(access: StoreExplanation): object {
  const { allowed, action, store, zone, exposure, zoneWhy, zoneLine, list, matcher, text, line,
    missing } = access
  return {
    allowed, action, store: store.name, store_kind: store.kind, store_zone: store.zone,
    sensitivity: store.sensitivity, store_line: store.line,
    zone, exposure, zone_why: zoneWhy, zone_line: zoneLine === 0 ? null : zoneLine,
    list: list === '' ? null : list, matcher: matcher === '' ? null : matcher, pattern: text,
    line: line === 0 ? null : line, missing_rule: missing,
  }
}
