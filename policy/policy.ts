/**
 * What a policy says once it has been read: zones, flows, stores and detector settings,
 * each with the place in the file where it stands, so that every decision can name its line.
 * Made by `parse.ts`; turned into look-ups by `compile.ts`.
 */
import type { StoreKind } from '../stores/rule.ts'
import type { PortRange } from './match/ports.ts'

/** A place in the policy text; both count from 1, columns in UTF-16 units as editors do. */
export type Position = { line: number, column: number }

/** A CIDR, glob or label selector as it was written. */
export type Pattern = Position & { text: string }

/**
 * What a zone matches by, as the keys of `match` in the file. `match/process-rules.ts` and
 * `match/address-rules.ts` say which of them wins.
 */
export type Matcher = 'workloads' | 'service_accounts' | 'labels' | 'namespaces' |
  'slurm_users' | 'slurm_partitions' | 'executables' | 'systemd_units' | 'cgroup_paths' |
  'node_labels' | 'node_groups' | 'cidrs' | 'dns_names'

/** A trust plane. A process or address belongs to it when any of its patterns matches. */
export type Zone = Position & {
  name: string
  exposure: 'public' | 'internal' | 'protected'
  match: Record<Matcher, Pattern[]>
}

/**
 * Traffic that may pass between two zones. An empty list of ports, executables and so on means: all
 * of them; where several lists are given, all of them must match.
 */
export type Flow = Position & {
  from: string
  to: string
  ports: PortRange[]
  /** Of the opening process. */
  executables: Pattern[]
  /** Of the opening pod, each `namespace/name`. */
  serviceAccounts: Pattern[]
  /** Address ranges of the opening end, such as that of a VPN. */
  fromCidrs: Pattern[]
  /** DNS names of the accepting end. */
  toDns: Pattern[]
  reason: string
}

/**
 * What the site changes about one detector. `untilMs` is milliseconds since 1970 (UTC), to be
 * compared with event time, never with a clock: a replay must mute what was muted live.
 */
export type DetectorSetting = Position & {
  id: string
  thresholds: (Position & { name: string, value: number | string | boolean })[]
  mute: (Position & { reason: string, until: string, untilMs: number }) | null
}

/** Who may do something to a GPU: a process that any of the patterns matches. */
export type Actors = Record<Matcher, Pattern[]>

/** What the site says of its GPUs. What is null or empty is not said, and judges nobody. */
export type GpuPolicy = {
  /** Baseline files, relative to the policy, and the groups of nodes that they are for: [] all. */
  baselines: (Position & { file: string, nodeGroups: Pattern[] })[]
  /** Public keys in PEM, one of which must have signed the baselines; empty: none is asked. */
  baselineKeys: Pattern[]
  /** Who may open GPUs, administrators beside. */
  users: Actors | null
  /** Who may change their state, load drivers and firmware, debug and profile. */
  administrators: Actors | null
  /** When administrators do so: outside of it, they should not. Milliseconds since 1970 (UTC). */
  maintenance: (Position & {
    fromMs: number, untilMs: number, reason: string, nodeGroups: Pattern[]
  })[]
  /** Every GPU must be in confidential computing mode. */
  confidentialComputing: boolean
}

/** How bad it is when a store is read by the wrong ones. */
export type Sensitivity = 'public' | 'internal' | 'confidential' | 'restricted'

/** Who may read or change a store: a process of one of the zones, or that any pattern matches. */
export type StoreActors = Position & { match: Actors, zones: Pattern[] }

/** A data set or registry, where it is, and what is usual. What is null is not said. */
export type StorePolicy = Position & {
  name: string
  kind: StoreKind
  /** The zone that it belongs to, one of the file. */
  zone: string | null
  sensitivity: Sensitivity
  /** Absolute paths of folders and files; `*` stands for one level. */
  paths: Pattern[]
  /** Globs on what is mounted, such as "filer:/export/*". */
  mounts: Pattern[]
  /** Types of file systems of which every mount is part of the store. */
  fileSystems: Pattern[]
  /** `match/endpoint.ts` says how they are written. */
  endpoints: Pattern[]
  readers: StoreActors | null
  writers: StoreActors | null
  /** Bytes that one workload may read in a day, and files that the store holds. */
  expected: { bytesPerDay: number | null, files: number | null }
  /** Path of the signed manifest of its files. */
  manifest: Pattern | null
  /** Public keys and certificates in PEM, one of which must have signed the manifest. */
  manifestKeys: Pattern[]
}

/** A policy that can be put in force. `sha256` is the hex digest of the UTF-8 bytes of `text`. */
export type Policy = {
  text: string
  sha256: string
  /** Name servers whose answers are believed; empty: all. */
  resolvers: Pattern[]
  zones: Zone[]
  flows: Flow[]
  gpus: GpuPolicy
  stores: StorePolicy[]
  detectors: DetectorSetting[]
}

/**
 * Something wrong in a policy text. An error keeps the policy from being used; a warning (a mute
 * that has run out, a flow that changes nothing) does not: time alone must not break a restart.
 */
export type Problem = Position & {
  severity: 'error' | 'warning'
  /** Where in the document, such as `zones[0].match.cidrs[2]`; empty for the document itself. */
  path: string
  /** What is wrong, in plain words. */
  message: string
  /** What to write instead. */
  fix: string
}
