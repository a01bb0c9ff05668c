/** What the log says that a policy should say of its stores. */
import { bucketOf, highBound } from '../../../stores/usual-sketch.ts'
import { isThin } from '../../../stores/usual-words.ts'
import type { StorePolicy } from '../../policy.ts'
import { summed } from './access.ts'
import type { Access, Sum } from './access.ts'
import { grouped, namingOf } from './naming.ts'
import type { Naming } from './naming.ts'

/** Why somebody who was seen at a store is left to a person. */
export type StoreRefusal =
  'suspected' | 'unlisted' | 'rare' | 'one_moment' | 'by_hand' | 'no_word'

/** A pattern of a list, and who was seen that it lets in. */
export interface Listed extends Naming {
  seen: Sum
  /** Amounts of the same that were part of something suspicious; null: none. */
  besides: Sum | null
}

/** Somebody who was seen and is not proposed. */
export interface StoreRefused {
  store: string
  list: 'readers' | 'writers'
  refusal: StoreRefusal
  /** The pattern that would let it in; null when nothing names it. */
  naming: Naming | null
  seen: Sum
  /** Ids of incidents or detectors. */
  suspected: string[]
}

/** What was read in a day by whom: the bound comes of it. */
export interface ExpectedStore {
  /** 0: nothing is proposed. */
  bytes_per_day: number
  files: number
  /** Too little was seen to say what is usual: it is proposed as a comment only. */
  thin: boolean
  /** The class that decided, its usual of a day, and how much of it was seen. */
  workload_class: string
  usual_bytes_per_day: number
  most_bytes_per_day: number
  days: number
  reports: number
}

export interface ProposedStore {
  /** As the policy has it. */
  store: StorePolicy
  /** Empty: none was seen, or the policy has a list of its own. */
  readers: Listed[]
  writers: Listed[]
  /** Null: nobody read it, or the policy says it. */
  expected: ExpectedStore | null
}

export interface StoreOptions {
  /** Fewer reports than that are rare. */
  reportsMin: number
  /** Of the range, milliseconds. */
  fromMs: number
  toMs: number
}

/** STO-002 compares with so many times what is usual: so does what is written down. */
const DAY_TIMES = 4
/** What happens on one day of so many is not usual, as in stores/usual.ts. */
const RARE_IN_DAYS = 15
/** A range so long has days without what is no habit. */
const LONG_MS = 3 * 86_400_000
const MOMENT_MS = 3_600_000
const FILES_MIN = 100
/** Over the network a greeting is no read. */
const NETWORK_BYTES_MIN = 65_536

/** In the order of the policy; of stores that are not in it nothing is said. */
export function proposeStores(
  accesses: readonly Access[], stores: readonly StorePolicy[], options: StoreOptions,
): { stores: ProposedStore[], refused: StoreRefused[] } {
  const refused: StoreRefused[] = []
  const proposed = stores.map((store): ProposedStore => {
    const own = accesses.filter((one) => one.store === store.name)
    const [reads, writes] = (['read', 'write'] as const)
      .map((does) => own.filter((one) => one.does === does))
    const readers = listOf(store, 'readers', reads, options)
    const writers = listOf(store, 'writers', writes, options)
    refused.push(...readers.refused, ...writers.refused)
    return {
      store, readers: readers.listed, writers: writers.listed,
      expected: expectedOf(store, reads.filter((one) => !readers.left.has(one))),
    }
  })
  return { stores: proposed, refused }
}

function listOf(
  store: StorePolicy, list: 'readers' | 'writers', accesses: readonly Access[],
  options: StoreOptions,
): { listed: Listed[], refused: StoreRefused[], left: Set<Access> } {
  const listed: Listed[] = []
  const refused: StoreRefused[] = []
  const left = new Set<Access>()
  const refuse = (
    refusal: StoreRefusal, all: readonly Access[], naming: Naming | null,
  ): void => {
    for (const one of all) left.add(one)
    refused.push({
      store: store.name, list, refusal, naming, seen: summed(all),
      suspected: [...new Set(all.flatMap(({ suspected }) => suspected))].sort(),
    })
  }
  const unnamed = Map.groupBy(accesses.filter((one) => one.allowed !== true), namingOf)
  for (const refusal of ['by_hand', 'no_word'] as const) {
    const all = unnamed.get(refusal)
    if (all !== undefined) refuse(refusal, all, null)
  }
  for (const [naming, all] of [...grouped(accesses).values()].sort(byNaming)) {
    const clean = all.filter(({ suspected }) => suspected.length === 0)
    const others = all.filter(({ suspected }) => suspected.length > 0)
    if (all.every(({ allowed }) => allowed === true)) {
      for (const one of others) left.add(one)
      continue
    }
    if (store[list] !== null) refuse('unlisted', all, naming)
    // Whoever tampered with it must not become a writer, whatever else it does.
    else if (clean.length === 0 || (list === 'writers' && others.length > 0)) {
      refuse('suspected', all, naming)
    } else {
      const refusal = isNoHabit(clean, options)
      if (refusal !== null) refuse(refusal, all, naming)
      else {
        for (const one of others) left.add(one)
        listed.push({ ...naming, seen: summed(clean),
          besides: others.length === 0 ? null : summed(others) })
      }
    }
  }
  return { listed, refused, left }
}

function byNaming([a]: [Naming, Access[]], [b]: [Naming, Access[]]): number {
  const [left, right] = [a, b].map(({ matcher, pattern }) => `${matcher} ${pattern}`)
  return left < right ? -1 : left > right ? 1 : 0
}

function isNoHabit(
  accesses: readonly Access[], { reportsMin, fromMs, toMs }: StoreOptions,
): StoreRefusal | null {
  const { reports, days, first_ms: first, last_ms: last } = summed(accesses)
  if (reports < reportsMin) return 'rare'
  if (toMs - fromMs < LONG_MS) return null
  return days === 1 && last - first < MOMENT_MS ? 'one_moment' : null
}

/** With as much head-room as what is usual is judged with. */
function expectedOf({ expected }: StorePolicy, reads: readonly Access[]): ExpectedStore | null {
  if (expected.bytesPerDay !== null || expected.files !== null) return null
  const all = reads.filter(({ bytes }) => bytes > 0)
  const classes = [...Map.groupBy(all, ({ workload_class: name }) => name)]
    .map(([name, some]) => usualOf(name, some))
  if (classes.length === 0) return null
  const most = classes.reduce((a, b) => b.usual_bytes_per_day > a.usual_bytes_per_day ? b : a)
  const files = Math.max(...all.map((one) => one.files))
  return {
    ...most, bytes_per_day: Math.max(NETWORK_BYTES_MIN, DAY_TIMES * most.usual_bytes_per_day),
    files: files < FILES_MIN ? 0 : rounded(files), thin: isThin(most),
  }
}

function usualOf(workload_class: string, reads: readonly Access[]) {
  const days = new Map<number, number>()
  for (const { days: some } of reads) {
    for (const [day, bytes] of some) days.set(day, (days.get(day) ?? 0) + bytes)
  }
  const counts = new Uint8Array(64)
  for (const bytes of days.values()) {
    const bucket = bucketOf(bytes)
    counts[bucket] = Math.min(255, counts[bucket] + 1)
  }
  return {
    workload_class, usual_bytes_per_day: highBound(counts, RARE_IN_DAYS),
    most_bytes_per_day: Math.max(...days.values()), days: days.size,
    reports: reads.reduce((sum, { reports }) => sum + reports, 0),
  }
}

/** Up to two digits. */
function rounded(count: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(count)) - 1)
  return Math.ceil(count / unit) * unit
}
