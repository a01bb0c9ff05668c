/**
 * What a store holds. Weights, checkpoints and registries are artifacts: who changes them, and what
 * they hold, is watched besides who reads them.
 */
export type StoreKind = 'dataset' | 'weights' | 'checkpoints' | 'registry' | 'database' | 'objects'

/** What an agent must know of a store to find it on its node. Of the policy; sent to agents. */
export type StoreRule = {
  /** Name in the policy: 1 to 63 characters. */
  name: string
  kind: StoreKind
  /** Absolute paths of folders and files; `*` stands for one level. */
  paths: string[]
  /** Globs on what is mounted, such as "filer:/export/*" or "/dev/nvme1n1p*". */
  mountSources: string[]
  /** Types of file systems of which every mount is part of the store, such as "wekafs". */
  fileSystems: string[]
  /** Path of the signed manifest of its files (OpenSSF model signing); '' when there is none. */
  manifest: string
  /** Public keys and certificates in PEM, one of which must have signed the manifest. */
  manifestKeys: string[]
}

/** Of these, changes and content are watched as well. */
export function isOfArtifacts(rule: Pick<StoreRule, 'kind'>): boolean {
  return rule.kind === 'weights' || rule.kind === 'checkpoints' || rule.kind === 'registry'
}
