/**
 * The stores of drills. Every policy that has a store of files has these two as well, under names
 * that it cannot give to one of its own: so a drill raises its incident whatever the policy says.
 */
import type { Actors, Matcher, Pattern, StorePolicy } from './policy.ts'

export const DRILL_DATASET = 'drill-dataset'
export const DRILL_WEIGHTS = 'drill-weights'

/** Names that a policy cannot give to a store of its own. */
export const RESERVED_STORE_NAMES: readonly string[] = [DRILL_DATASET, DRILL_WEIGHTS]

const AT = { line: 0, column: 0 }
const DATASET_BYTES_PER_DAY = 1_048_576
const MATCHERS: readonly Matcher[] = ['workloads', 'service_accounts', 'labels', 'namespaces',
  'slurm_users', 'slurm_partitions', 'executables', 'systemd_units', 'cgroup_paths', 'node_labels',
  'node_groups', 'cidrs', 'dns_names']
const NOBODY = Object.fromEntries(MATCHERS.map((one) => [one, [] as Pattern[]])) as Actors

/** Folder of a store of drills, on every node. It is there only while a drill is made. */
export function drillFolder(store: string): string {
  return `/var/lib/vedette-drill/${store}`
}

const common = {
  ...AT, zone: null, mounts: [], fileSystems: [], endpoints: [], readers: null, manifest: null,
  manifestKeys: [],
}

/** Much is read of the first one as soon as anything is; nobody may change the second one. */
export const DRILL_STORES: readonly StorePolicy[] = [
  {
    ...common, name: DRILL_DATASET, kind: 'dataset', sensitivity: 'internal', writers: null,
    paths: [{ ...AT, text: drillFolder(DRILL_DATASET) }],
    expected: { bytesPerDay: DATASET_BYTES_PER_DAY, files: null },
  },
  {
    ...common, name: DRILL_WEIGHTS, kind: 'weights', sensitivity: 'internal',
    writers: { ...AT, match: NOBODY, zones: [] },
    paths: [{ ...AT, text: drillFolder(DRILL_WEIGHTS) }],
    expected: { bytesPerDay: null, files: null },
  },
]
