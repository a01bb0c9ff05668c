/** Who changes files of a store, and whether the policy says that they may. */
import type { Context } from '../../../detect/context.ts'
import type { LineageProcess } from '../../../detect/lineage.ts'
import { amount, printable } from '../../../detect/words.ts'
import type { StoreVerdict } from '../../../policy/match/store-rules.ts'
import type { StorePolicy } from '../../../policy/policy.ts'
import type { EventViews } from '../../../proto/gen/events.ts'
import { isOfKernel } from '../reading.ts'

export type WriteEvent = EventViews['store_write']

/** A process that is known changes a store that the policy has. */
export interface Change { process: LineageProcess, store: StorePolicy }

/** Null when it is of no interest. */
export function changeOf(event: WriteEvent, { process, policy }: Context): Change | null {
  if (process === null || isOfKernel(process)) return null
  const store = policy.stores.get(event.store)
  return store === null ? null : { process, store }
}

/** Whether the policy lets the process change the store, and where it says so. */
export function writeVerdict({ process, store }: Change, context: Context): StoreVerdict {
  const facts = context.zones.factsOfProcess(process)
  return context.policy.stores.mayWrite(store.name, facts, context.zoneOf(process))
}

/** What the verdict means, as a sentence. */
export function writeVerdictInWords({ allowed, line }: StoreVerdict): string {
  if (allowed === null) return 'The policy names no writers of it.'
  return allowed ? `The policy lets it change the store (line ${line}).`
    : `The policy does not name it as a writer (line ${line}).`
}

/** Weights, checkpoints and registries: programs run what is in them. */
export function isOfArtifacts({ kind }: StorePolicy): boolean {
  return kind === 'weights' || kind === 'checkpoints' || kind === 'registry'
}

const did: Record<string, string> = {
  create: 'created', modify: 'opened for writing', truncate: 'cut short', rename: 'renamed',
  overwrite: 'overwrote', delete: 'deleted', link: 'made a link at',
  attributes: 'changed the mode or owner of',
}

/** `created /models/a.safetensors (12 files)`. */
export function changeInWords({ operation, count, path, old_path: old }: WriteEvent): string {
  const many = count > 1 ? ` (${amount(count, 'file')})` : ''
  const to = operation === 'rename' && old !== ''
    ? `${printable(old)} to ${printable(path)}` : printable(path)
  return `${did[operation] ?? 'changed'} ${to}${many}`
}
