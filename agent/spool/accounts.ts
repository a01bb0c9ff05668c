// The conservation account of every kind since the start of this run (invariant 1): produced = lost
// + malformed + dropped + stored + what is still in the ring. Exact whenever no batch is open.

import { kindInfos } from '../../proto/gen/events.ts'
import type { EventKind, Ledger } from '../../proto/gen/events.ts'

/** What the kernel counted of one kind; `over_quota` is the part of `lost` that a quota took. */
export interface KernelCount { kind: number, produced: number, lost: number, over_quota: number }

type Account = Omit<Ledger, 'first_seq'> & { event_kind: EventKind }

/** Accounts by kind. */
export class Accounts {
  readonly #accounts = new Map<EventKind, Account>()
  readonly #byNumber = new Map<number, Account>()
  readonly #told = new Map<EventKind, string>()
  readonly #overQuota = new Map<EventKind, number>()

  constructor() {
    for (const { kind, number } of kindInfos) {
      const account = {
        event_kind: kind, produced: 0, lost: 0, malformed: 0, dropped: 0, stored: 0,
      }
      this.#accounts.set(kind, account)
      this.#byNumber.set(number, account)
    }
  }

  /** The account of a kind, to be changed in place. */
  of(kind: EventKind): Account { return this.#accounts.get(kind)! }

  /** What the kernel counted since it was asked last, as (kind, newly lost in the ring). */
  setKernelCounts(counts: readonly KernelCount[]): { kind: EventKind, lost: number }[] {
    const losses: { kind: EventKind, lost: number }[] = []
    for (const { kind, produced, lost, over_quota: overQuota } of counts) {
      const account = this.#byNumber.get(kind)
      if (!account) continue
      const before = account.lost - (this.#overQuota.get(account.event_kind) ?? 0)
      const more = lost - overQuota - before
      if (more > 0) losses.push({ kind: account.event_kind, lost: more })
      this.#overQuota.set(account.event_kind, overQuota)
      account.produced = produced
      account.lost = lost
    }
    return losses
  }

  /** Events lost at any stage of these accounts. */
  get lost(): number {
    let lost = 0
    for (const account of this.#accounts.values()) {
      lost += account.lost + account.malformed + account.dropped
    }
    return lost
  }

  /** Every account in which anything happened. */
  all(): readonly Account[] {
    return [...this.#accounts.values()].filter((account) => account.produced > 0)
  }

  /**
   * The accounts that changed since they were told last. Kinds that the agent makes itself change
   * with every telling, so that only `everything` tells them.
   */
  changed(everything: boolean): Account[] {
    const list: Account[] = []
    for (const account of this.all()) {
      const key = Object.values(account).join(' ')
      if (this.#told.get(account.event_kind) === key) continue
      if (!everything && !isFromKernel.has(account.event_kind)) continue
      this.#told.set(account.event_kind, key)
      list.push({ ...account })
    }
    return list
  }
}

const isFromKernel = new Set(
  kindInfos.filter((info) => info.recordBytes > 0).map((info) => info.kind))
