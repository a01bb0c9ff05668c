// A baseline made of what a good node is: what all nodes of its class have alike.
import { belongsInBaseline } from '../state/item-classes.ts'
import type { Baseline, ExpectedItem } from './baseline.ts'
import { subjectClass, type FoundItem } from './check.ts'

/** A baseline, and what is not in it since it could not be read. */
export interface Captured {
  baseline: Baseline
  /** Such as "gpu vbios_version: NVML does not answer". */
  unknown: string[]
}

/** More values than a node has GPUs are no expectation. */
const VALUES_MAX = 64
const ITEM_NAME = /^[A-Za-z0-9][A-Za-z0-9_./:@+-]{0,254}$/

/**
 * Captures what a node told. Of GPUs that differ any of the values is expected; what only some of
 * them have is left to them. An item that could not be read is left out: nobody knows what it is.
 */
export function captureBaseline(
  found: Iterable<FoundItem>, about: Pick<Baseline, 'node_class' | 'captured_at' | 'captured_on'>,
): Captured {
  const byName = new Map<string, FoundItem[]>()
  for (const one of found) {
    if (!belongsInBaseline(one.subject, one.item) || !ITEM_NAME.test(one.item)) continue
    const name = `${subjectClass(one.subject)} ${one.item}`
    byName.set(name, [...byName.get(name) ?? [], one])
  }
  const items: ExpectedItem[] = []
  const unknown: string[] = []
  for (const [name, readings] of [...byName].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const expected = expectedOf(readings)
    if (expected !== null) items.push(expected)
    const lost = readings.find(({ reading }) => reading === 'unknown')
    if (lost !== undefined) unknown.push(`${name}: ${lost.reason || 'it could not be read'}`)
  }
  return { baseline: { version: 1, ...about, items }, unknown }
}

function expectedOf(readings: readonly FoundItem[]): ExpectedItem | null {
  const [{ subject: whose, item }] = readings
  const subject = subjectClass(whose)
  const values = [...new Set(readings.filter((one) => one.reading === 'known' && one.value !== '')
    .map(({ value }) => value))].sort()
  const absent = readings.filter(({ reading }) => reading === 'not_supported').length
  if (values.length === 0) return absent === 0 ? null : { subject, item, reading: 'not_supported' }
  if (absent > 0 || values.length > VALUES_MAX) return null
  return values.length === 1 ? { subject, item, value: values[0] }
    : { subject, item, any_of: values }
}
