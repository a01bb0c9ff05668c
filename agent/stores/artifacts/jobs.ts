// What the agent asks of the thread that reads artifacts, and what that answers. Plain data.

/** One file. */
export interface ArtifactJob {
  store: string
  /** Roots of mount namespaces by which it may be reached, the likeliest first. */
  roots: string[]
  /** Path below those roots. */
  path: string
  /** Inode number that it must have; 0n when none is known. */
  inode: bigint
  /** Where it should be, kernel encoding. Overlays have another one than the file in them. */
  device: number
  /** It is worth telling that it is gone. */
  expected: boolean
  manifest: ManifestPlace | null
}

/** Where the manifest of a store is, and who may have signed it. */
export interface ManifestPlace {
  /** Path by the policy: below the root of the node. */
  path: string
  /** Public keys in PEM; empty: nobody has to have signed it. */
  keys: string[]
}

export type ArtifactVerdict = 'matches' | 'differs' | 'not_listed' | 'unknown'

/** What is in the file. */
export interface ArtifactAnswer {
  path: string
  verdict: ArtifactVerdict
  /** In plain words; '' for a file that matches. */
  reason: string
  bytes: number
  /** '' when it was not read. */
  sha256: string
  /** '' when none was asked. */
  manifestPath: string
  /** '' when it was not verified. */
  keyId: string
  inode: bigint
  /** Kernel encoding. */
  device: number
}

/** What the thread says. */
export interface ArtifactReply {
  /** Null: nothing to tell of it, such as a folder or a file that is gone by itself. */
  answer: ArtifactAnswer | null
  /** Other files that the manifest lists, as paths below `root`, when it is asked first. */
  others: { root: string, paths: string[] }
}

/** Bytes that may be read. */
export interface ArtifactBudget { bytesPerSecond: number, bytesPerDay: number }
