/** What was read of a store, by whom, and whether the policy says that it may. */
import type { Context } from '../../detect/context.ts'
import type { Severity } from '../../detect/finding.ts'
import type { LineageProcess } from '../../detect/lineage.ts'
import type { StoreReading } from '../../detect/stores/store-states.ts'
import type { StoreVerdict } from '../../policy/match/store-rules.ts'
import type { StorePolicy } from '../../policy/policy.ts'
import type { WarmUp } from '../../stores/usual-words.ts'
import { shifted } from '../gpu/standing.ts'

/** A process that is known has read a store that the policy has. */
export interface Read extends Reader { reading: StoreReading }

interface Reader { process: LineageProcess, store: StorePolicy }

/** Kinds of events that say how much was read: of files, and over connections. */
export const readKinds =
  ['store_read', 'connection_close', 'connection_repeat', 'connection_totals'] as const

/** What the event read; null when it is of no interest. */
export function readOf({ process, policy, stores: { current } }: Context): Read | null {
  if (current === null || process === null || isOfKernel(process)) return null
  const store = policy.stores.get(current.store)
  return store === null || current.bytes === 0 ? null : { process, store, reading: current }
}

/** A thread of the kernel, which reads for others: they are not known. */
export function isOfKernel({ ppid, exe, args }: LineageProcess): boolean {
  return ppid === 2 && exe === '' && args === ''
}

/** Whether the policy lets the process read the store, and where it says so. */
export function verdictOf({ process, store }: Reader, context: Context): StoreVerdict {
  const facts = context.zones.factsOfProcess(process)
  return context.policy.stores.mayRead(store.name, facts, context.zoneOf(process))
}

/** The policy names the program or its unit as a reader, not just where it runs. */
export function isNamedReader({ process, store }: Reader, context: Context): boolean {
  const facts = context.zones.programOfProcess(process)
  return context.policy.stores.mayRead(store.name, facts, -1).allowed === true
}

/** How severe it is by what the store holds: `severity` is that of what is confidential. */
export function weighed(severity: Severity, { sensitivity }: StorePolicy): Severity {
  const steps = { public: -2, internal: -1, confidential: 0, restricted: 0 } as const
  return shifted(severity, steps[sensitivity])
}

/** What must have been seen of a class and a store, by the settings of the detector. */
export function warmUpOf(context: Context): WarmUp {
  return { days: context.setting('learn_days'), reports: context.setting('learn_reports') }
}
