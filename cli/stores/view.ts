/** One store as `vedette stores` shows it. */
import type { UsualJson } from '../../detect/stores/usual-json.ts'
import type { StorePolicy } from '../../policy/policy.ts'
import type { Reader, StoreReadings, StoreSite } from '../read/store-readings.ts'
import type { Blindness, ContentFound } from '../read/store-sights.ts'
import { usualKey } from '../read/store-usual.ts'

export interface StoreView {
  name: string
  /** Null for one that the policy does not name any longer. */
  policy: StorePolicy | null
  sites: StoreSite[]
  users: StoreUser[]
  /** What its files hold, by their manifests; null when none was looked at. */
  content: ContentFound | null
  unseen: Blindness[]
}

/** What was read against what is usual; `none`: it read nothing. */
type Normal = 'above' | 'within' | 'thin' | 'new' | 'none'

/** A class of workloads that did something to the store. */
export type StoreUser = Reader & {
  normal: Normal
  /** The most of a day to what is usual in one; 0 when that is not known. */
  ratio: number
  usual: UsualJson | null
}

/** @param usual what is usual, by `usualKey` */
export function storeView(
  readings: StoreReadings, name: string, usual: ReadonlyMap<string, UsualJson>,
): StoreView {
  const policy = readings.stores.find((store) => store.name === name) ?? null
  const sites = readings.sitesOf(name)
  const watching = new Set(sites.filter(({ state }) => state === 'watched')
    .map(({ node_id }) => node_id))
  return {
    name, policy, sites, content: readings.content.of(name),
    users: readings.readersOf(name).map((reader) =>
      judged(reader, usual.get(usualKey(name, reader.workload_class)) ?? null)),
    unseen: readings.blindness.of(watching, (policy?.endpoints.length ?? 0) > 0),
  }
}

/** The policy let it do all that it did, or says nothing. */
export function isPermitted(user: Reader): boolean {
  return user.bytes_not_permitted === 0 && user.changes_not_permitted === 0
}

/** A line for the store, and one for each who did something to it. */
export function jsonLines({ name, policy, sites, users, content, unseen }: StoreView): string[] {
  return [
    JSON.stringify({
      about: 'store', store: name,
      ...policy !== null && {
        store_kind: policy.kind, sensitivity: policy.sensitivity, store_zone: policy.zone,
        expected_bytes_per_day: policy.expected.bytesPerDay, expected_files: policy.expected.files,
      },
      sites, content, not_seen: unseen,
    }),
    ...users.map(({ normal, ratio, usual, ...user }) => JSON.stringify({
      about: normal === 'none' && user.changes_total > 0 ? 'writer' : 'reader', ...user,
      permitted: isPermitted(user), against_normal: normal,
      ...ratio > 0 && { times_usual: Number(ratio.toPrecision(3)) }, usual,
    })),
  ]
}

function judged(reader: Reader, usual: UsualJson | null): StoreUser {
  const bound = usual?.usual_bytes_per_day ?? 0
  const ratio = bound === 0 ? 0 : reader.bytes_most_per_day / bound
  const normal = reader.bytes === 0 ? 'none' : usual === null || usual.days === 0 ? 'new'
    : usual.thin ? 'thin' : ratio > 1 ? 'above' : 'within'
  return { ...reader, normal, ratio, usual }
}
