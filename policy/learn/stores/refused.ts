/** Who was seen at stores and is not proposed, as comments of the policy. */
import { comment, count, printable, some, word } from '../yaml-lines.ts'
import type { Naming } from './naming.ts'
import type { StoreRefused } from './propose.ts'
import { seenInWords } from './seen-words.ts'

const REFUSED_TOLD = 100

/** What was seen and is not proposed, all as comments. */
export function refusedStoreLines(refused: readonly StoreRefused[]): string[] {
  if (refused.length === 0) return []
  const told = refused.slice(0, REFUSED_TOLD)
  const more = refused.length - told.length
  return [
    ...comment(`Seen at stores, not proposed: ${count(refused.length, 'entry', 'entries')}. To ` +
      'let one in, look at who did it, and add it to the list of the store.', ''),
    ...told.flatMap((one) => [
      '#', ...comment(refusedInWords(one), ''),
      ...one.naming === null ? [] : [`#   ${ruleOf(one, one.naming)}`],
    ]),
    ...more > 0 ? ['#', `# ${more} more are not listed; --output json lists all.`] : [],
  ]
}

/** Who, why not, and what was seen. */
export function refusedInWords(refused: StoreRefused): string {
  const { store, list: key, seen, refusal, suspected } = refused
  const also = refusal === 'suspected' || suspected.length === 0 ? ''
    : ` Also part of what ${some(suspected)} tells.`
  return `${store}, ${key === 'readers' ? 'read' : 'changed'} by ${some(seen.programs)}: ` +
    `${whyStoreRefused(refused)}${also} ${seenInWords(seen)}`
}

/** One sentence that says why it is left to a person. */
export function whyStoreRefused({ refusal, suspected, list: key }: StoreRefused): string {
  switch (refusal) {
    case 'suspected': return `Part of what ${some(suspected)} tells.`
    case 'unlisted': return `The ${key} of the policy do not name it.`
    case 'rare': return 'Rare: seen too seldom to be a habit.'
    case 'one_moment': return 'On one day only, for less than an hour: no habit.'
    case 'by_hand': return 'In a login session, or with a tool: done by hand, no habit.'
    case 'no_word': return 'Nothing is known of it that a policy could name.'
  }
}

function ruleOf({ store, list: key }: StoreRefused, { matcher, pattern }: Naming): string {
  return printable(`${store}: ${key}: { ${matcher}: [${word(pattern)}] }`)
}
