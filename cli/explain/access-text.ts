/** Explanations of reads and changes of stores for a person, and as JSON. */
import type { StoreExplanation } from '../../policy/explain-store.ts'
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
