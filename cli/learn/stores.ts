/** Learns what a policy should say of its stores, from a range of the event log. */
import { compilePolicy } from '../../policy/compile.ts'
import type { EventName } from '../../policy/learn/stores/access.ts'
import { candidateLines, siteWords, storeCandidates } from '../../policy/learn/stores/candidates.ts'
import type { StoreCandidate } from '../../policy/learn/stores/candidates.ts'
import type { StoreCensus } from '../../policy/learn/stores/census.ts'
import { withStoreLines } from '../../policy/learn/stores/merge.ts'
import { proposeStores } from '../../policy/learn/stores/propose.ts'
import type { ProposedStore, StoreRefused } from '../../policy/learn/stores/propose.ts'
import { refusedStoreLines } from '../../policy/learn/stores/refused.ts'
import { addedLines, storeLines } from '../../policy/learn/stores/told.ts'
import { comment } from '../../policy/learn/yaml-lines.ts'
import type { Policy, StoreActors, StorePolicy } from '../../policy/policy.ts'
import { UNZONED_ZONE } from '../../policy/zone-names.ts'
import { judge } from './range.ts'
import type { Extent, Frames } from './range.ts'
import { StoreAccesses } from './store-accesses.ts'

export interface StoreLearnOptions {
  /** Fewer reports than that are rare. */
  reportsMin: number
  incidentOf?: (event: EventName) => string
  namesOf: (address: string) => readonly string[]
}

/** What was learned of stores. */
export interface LearnedStores {
  /** Those of which something is proposed, or whose places are taken over from the log. */
  stores: ProposedStore[]
  refused: StoreRefused[]
  candidates: StoreCandidate[]
  /** What did not fit into the bounds, in words. */
  lost: string[]
}

/**
 * Reads the range once more, if there are stores.
 *
 * @param draft with all zones that the result will have
 * @param base the policy to begin with; without one, the stores are those of the log
 */
export function learnStores(
  frames: Frames, extent: Extent, draft: Policy, base: Policy | undefined, census: StoreCensus,
  options: StoreLearnOptions,
): LearnedStores {
  const stores = base?.stores ?? census.stores.map((one) => inZones(one, draft))
  const policy: Policy = { ...draft, stores: [...stores] }
  const candidates = storeCandidates(census, compilePolicy(policy), options.namesOf)
  const lost = census.unlisted === 0 ? []
    : [`${census.unlisted} times a store, server or connection beyond the bounds was not kept`]
  if (stores.length === 0) return { stores: [], refused: [], candidates, lost }
  const { fromMs, toMs } = extent
  const accesses = new StoreAccesses({ fromMs, toMs, incidentOf: options.incidentOf })
  judge(frames, policy, accesses, extent)
  const proposed = proposeStores(accesses.accesses(), stores,
    { reportsMin: options.reportsMin, fromMs, toMs })
  if (accesses.unlisted > 0) {
    lost.push(`${accesses.unlisted} reports of stores by programs beyond the bound`)
  }
  const told = base === undefined ? proposed.stores
    : proposed.stores.filter((one) => addedLines(one).length > 0)
  return { stores: told, refused: proposed.refused, candidates, lost }
}

/** The store without the zones of another policy. */
function inZones(store: StorePolicy, { zones }: Policy): StorePolicy {
  const known = new Set([UNZONED_ZONE, ...zones.map(({ name }) => name)])
  const left = (actors: StoreActors | null): StoreActors | null => {
    if (actors === null) return null
    const kept = actors.zones.filter(({ text }) => known.has(text))
    const patterns = Object.values(actors.match).flat()
    return kept.length + patterns.length === 0 ? null : { ...actors, zones: kept }
  }
  return { ...store, readers: left(store.readers), writers: left(store.writers) }
}

/** The text of the policy, with what was learned in its stores. */
export function textWithStores(
  text: string, { stores }: Pick<LearnedStores, 'stores'>, census: StoreCensus,
  base: Policy | undefined, zones: readonly string[],
): string {
  if (stores.length === 0) return text
  if (base === undefined) {
    const known = new Set(zones)
    const entries = stores.flatMap((one, i) => {
      const where = siteWords(census, one.store.name)
      return [...i > 0 ? [''] : [],
        ...where === '' ? [] : comment(`Watched on ${where}.`, '  '), ...storeLines([one], known)]
    })
    return `${text}\nstores:\n${entries.join('\n')}\n`
  }
  return withStoreLines(text, new Map(stores.map((one) => [one.store.name, addedLines(one)])))
}

/** What follows the policy, as comments. */
export function storeRemarks({ refused, candidates }: LearnedStores): string[] {
  const [left, guesses] = [refusedStoreLines(refused), candidateLines(candidates)]
  return [...left, ...left.length > 0 && guesses.length > 0 ? [''] : [], ...guesses]
}

/**
 * What the range would raise about stores under a policy, as a sentence for its head; low findings
 * left out. '' when it has no stores.
 */
export function checkOfStores(frames: Frames, extent: Extent, policy: Policy): string {
  if (policy.stores.length === 0) return ''
  const { fromMs, toMs } = extent
  const accesses = new StoreAccesses({ fromMs, toMs })
  judge(frames, policy, accesses, extent)
  const told = [...accesses.findings].sort().map(([id, count]) => `${id} ${count}`)
  return told.length === 0
    ? 'Checked: nothing that was done to stores in this range is found by it.'
    : `Checked: of what was done to stores in this range it finds ${told.join(', ')}; who did it ` +
      'is among what is not proposed, at the end.'
}
