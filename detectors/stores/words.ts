/** Reads of stores, in words. */
import { amount, bytesInWords, printable } from '../../detect/words.ts'
import type { StoreVerdict } from '../../policy/match/store-rules.ts'
import type { StorePolicy } from '../../policy/policy.ts'

/** What the verdict means, as a sentence. */
export function verdictInWords({ allowed, list, line }: StoreVerdict): string {
  if (allowed === null) return 'The policy names no readers of it.'
  return allowed ? `The policy lets it read the store (${list}, line ${line}).`
    : `The policy does not name it as a reader (line ${line}).`
}

/** `12.0 GiB of 14 files of the weights llama`. */
export function readInWords(bytes: number, files: number, { name, kind }: StorePolicy): string {
  const what = { dataset: 'data set', weights: 'weights', checkpoints: 'checkpoints',
    registry: 'registry', database: 'database', objects: 'object store' }[kind]
  const many = files > 0 ? ` of ${amount(files, 'file')}` : ''
  return `${bytesInWords(bytes)}${many} of the ${what} ${printable(name)}`
}
