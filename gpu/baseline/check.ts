// What the state of a node is against its baseline, item by item.
import type { Verdict } from '../attestation/verify.ts'
import type { Baseline, ExpectedItem } from './baseline.ts'

/** An item of the state, as gpu_state events tell it. */
export interface FoundItem {
  /** Such as "driver" or "gpu:GPU-…". */
  subject: string
  item: string
  value: string
  reading: 'known' | 'not_supported' | 'unknown' | 'unspecified'
  /** Why it is not known. */
  reason: string
}

/** An item and what came of comparing it. */
export interface CheckedItem {
  /** Of the state; of the baseline where the state has none. */
  subject: string
  item: string
  verdict: Verdict
  /** What the baseline wants, in words. */
  expected: string
  /** What was found, in words. */
  found: string
}

/** The baseline's name of a subject: one for all GPUs of a node. */
export function subjectClass(subject: string): string {
  const colon = subject.indexOf(':')
  return colon < 0 ? subject : subject.slice(0, colon)
}

/** Looks up what a baseline wants of an item. */
export class BaselineIndex {
  readonly baseline: Baseline
  readonly #items: ReadonlyMap<string, ExpectedItem>

  constructor(baseline: Baseline) {
    this.baseline = baseline
    this.#items = new Map(baseline.items.map((one) => [`${one.subject} ${one.item}`, one]))
  }

  /** Undefined when the baseline says nothing of it. */
  expected(subject: string, item: string): ExpectedItem | undefined {
    return this.#items.get(`${subjectClass(subject)} ${item}`)
  }
}

/** Compares one item. What could not be read is unknown: missing data never cries wolf. */
export function checkItem(found: FoundItem, wanted: ExpectedItem): CheckedItem {
  const { subject, item } = found
  return { subject, item, expected: expectedWords(wanted), found: foundWords(found),
    verdict: verdictOf(found, wanted) }
}

/**
 * Compares the state of one node with its baseline: every item of the baseline gives at least one
 * verdict, for every GPU where it is one of GPUs.
 */
export function checkBaseline(found: Iterable<FoundItem>, baseline: Baseline): CheckedItem[] {
  const index = new BaselineIndex(baseline)
  const checked: CheckedItem[] = []
  const told = new Set<ExpectedItem>()
  for (const one of found) {
    const wanted = index.expected(one.subject, one.item)
    if (!wanted) continue
    told.add(wanted)
    checked.push(checkItem(one, wanted))
  }
  for (const wanted of baseline.items) {
    if (told.has(wanted)) continue
    checked.push({ subject: wanted.subject, item: wanted.item, verdict: 'unknown',
      expected: expectedWords(wanted), found: 'the node did not tell it' })
  }
  return checked.sort((a, b) => compare(a.subject, b.subject) || compare(a.item, b.item))
}

/** Negative, 0 or positive as `a` is below, equal to or above `b`, number by number. */
export function compareVersions(a: string, b: string): number {
  const left = a.split(/[.+~-]/)
  const right = b.split(/[.+~-]/)
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = compare(left[i] ?? '0', right[i] ?? '0')
    if (difference !== 0) return difference
  }
  return 0
}

function compare(a: string, b: string): number {
  const isNumeric = /^\d{1,15}$/.test(a) && /^\d{1,15}$/.test(b)
  if (isNumeric) return Number(a) - Number(b)
  return a < b ? -1 : a > b ? 1 : 0
}

function verdictOf(found: FoundItem, wanted: ExpectedItem): Verdict {
  if (found.reading === 'unknown' || found.reading === 'unspecified') return 'unknown'
  const isAbsent = found.reading === 'not_supported'
  if (isAbsent || wanted.reading !== undefined) {
    return isAbsent === (wanted.reading !== undefined) ? 'matches' : 'differs'
  }
  const isRight = wanted.at_least !== undefined
    ? compareVersions(found.value, wanted.at_least) >= 0
    : (wanted.any_of ?? [wanted.value]).includes(found.value)
  return isRight ? 'matches' : 'differs'
}

function expectedWords(wanted: ExpectedItem): string {
  if (wanted.reading !== undefined) return 'not supported'
  if (wanted.at_least !== undefined) return `at least ${wanted.at_least}`
  return (wanted.any_of ?? [wanted.value ?? '']).join(' or ')
}

function foundWords(found: FoundItem): string {
  if (found.reading === 'known') return found.value
  const reading = found.reading === 'not_supported' ? 'not supported' : 'cannot be known'
  return found.reason === '' ? reading : `${reading}: ${found.reason}`
}
