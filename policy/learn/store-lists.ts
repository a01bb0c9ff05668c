import { createHash } from 'node:crypto'
import type { Pattern, StoreActors, StorePolicy } from '../policy.ts'

/** All that a policy says of a store but its name, by key, each sorted; only what is said. */
export function storeLists(store: StorePolicy): Map<string, string[]> {
  const { expected: { bytesPerDay, files }, manifest } = store
  const lists: [string, string[]][] = [
    ['kind', [store.kind]], ['sensitivity', [store.sensitivity]],
    ['zone', store.zone === null ? [] : [store.zone]],
    ['paths', textsOf(store.paths)], ['mounts', textsOf(store.mounts)],
    ['file_systems', textsOf(store.fileSystems)], ['endpoints', textsOf(store.endpoints)],
    ...actorLists('readers', store.readers), ...actorLists('writers', store.writers),
    ['bytes_per_day', bytesPerDay === null ? [] : [String(bytesPerDay)]],
    ['files', files === null ? [] : [String(files)]],
    ['manifest', manifest === null ? [] : [manifest.text]],
    ['manifest_keys', store.manifestKeys.map(({ text }) => fingerprint(text)).sort()],
  ]
  return new Map(lists.filter(([, texts]) => texts.length > 0))
}

function actorLists(list: string, actors: StoreActors | null): [string, string[]][] {
  if (actors === null) return []
  return [[`${list} zones`, textsOf(actors.zones)],
    ...Object.entries(actors.match).map(([matcher, patterns]): [string, string[]] =>
      [`${list} ${matcher}`, textsOf(patterns)])]
}

function textsOf(patterns: readonly Pattern[]): string[] {
  return patterns.map(({ text }) => text).sort()
}

/** Enough to tell two keys apart; a PEM is too long for a line. */
function fingerprint(pem: string): string {
  return createHash('sha256').update(pem.replaceAll(/\s/g, '')).digest('hex').slice(0, 12)
}
