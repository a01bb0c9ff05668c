/** Reads of stores, in words. */
import { amount, bytesInWords, printable } from '../../detect/words.ts'
import type { StoreVerdict } from '../../policy/match/store-rules.ts'
import type { StorePolicy } from '../../policy/policy.ts'
import { filesOfAll } from './amounts.ts'
import type { Amounts } from './amounts.ts'

/** What the verdict means, as a sentence. */
export function verdictInWords({ allowed, list, line }: StoreVerdict): string {
  if (allowed === null) return 'The policy names no readers of it.'
  return allowed ? `The policy lets it read the store (${list}, line ${line}).`
    : `The policy does not name it as a reader (line ${line}).`
}

/** A summary of which the amounts grow: who read first, and what is said after the amounts. */
export interface Sentence { who: string, rest: string }

/** For `amend`. The summary stays that of an earlier report where `told` is null. */
export function grownSummary(
  told: Sentence | null, amounts: Amounts, store: StorePolicy,
): { summary?: string } {
  return told === null ? {} : { summary: sentenceInWords(told, amounts, store) }
}

/** `/usr/bin/tar (pid 7) and 2 others read 12.0 GiB of 14 files of the weights llama. Why.` */
export function sentenceInWords(
  { who, rest }: Sentence, amounts: Amounts, store: StorePolicy,
): string {
  const others = amounts.processes - 1
  return `${who}${others > 0 ? ` and ${amount(others, 'other')}` : ''} read ` +
    `${readInWords(amounts.bytes, filesOfAll(amounts), store)}. ${rest}`
}

/** `12.0 GiB of 14 files of the weights llama`. */
export function readInWords(bytes: number, files: number, { name, kind }: StorePolicy): string {
  const what = { dataset: 'data set', weights: 'weights', checkpoints: 'checkpoints',
    registry: 'registry', database: 'database', objects: 'object store' }[kind]
  const many = files > 0 ? ` of ${amount(files, 'file')}` : ''
  return `${bytesInWords(bytes)}${many} of the ${what} ${printable(name)}`
}
