// Reads one artifact after the other and says whether it is what its manifest says.

import { Content } from '../../../stores/manifest/content.ts'
import type { ContentVerdict } from '../../../stores/manifest/content.ts'
import type { Expected } from '../../../stores/manifest/statement.ts'
import { FileError, identify, readPart } from './file.ts'
import type { FileIdentity } from './file.ts'
import type {
  ArtifactAnswer, ArtifactJob, ArtifactReply, ArtifactVerdict,
} from './jobs.ts'
import { listed, Manifests } from './manifests.ts'
import type { ManifestState } from './manifests.ts'
import { Throttle } from './throttle.ts'
import type { ThrottleOptions } from './throttle.ts'

export interface HasherOptions extends ThrottleOptions {
  /** By which the paths of the policy are reached: where the agent is, and process 1. */
  nodeRoots: readonly string[]
  /** Called after every part, so that who waits sees that it goes on. */
  progress?(): void
}

/** Read in one go while the file is open: 4 ms of a fast disk. */
const partBytes = 4 * 1024 * 1024
const cacheMax = 16_384
const othersMax = 4096
/** Of so many manifests and roots it is known that their files were asked for. */
const listsMax = 256
const changesMax = 3

interface Found { root: string, at: string, identity: FileIdentity }
interface Outcome { verdict: ArtifactVerdict, reason: string, sha256: string }

/** Not at the same time: one job after the other. */
export class Hasher {
  readonly #options: HasherOptions
  readonly #throttle: Throttle
  readonly #manifests = new Manifests()
  readonly #buffer = Buffer.alloc(partBytes)
  /** By version of file and manifest, and name. */
  readonly #cache = new Map<string, Outcome>()
  readonly #lists = new Set<string>()

  constructor(options: HasherOptions) {
    this.#options = options
    this.#throttle = new Throttle(options)
  }

  /** Never throws for what is wrong with a file or a manifest. */
  async examine(job: ArtifactJob): Promise<ArtifactReply> {
    const nothing = { root: '', paths: [] }
    const found = findFile(job)
    if (typeof found === 'string') {
      const answer = found === '' ? null : answerOf(job, null, null, unknown(found))
      return { answer, others: nothing }
    }
    const { nodeRoots } = this.#options
    const manifest = job.manifest && this.#manifests.get(job.manifest, [...nodeRoots, found.root])
    if (manifest?.fileVersion === found.identity.version) return { answer: null, others: nothing }
    const outcome = await this.#outcomeOf(job, found, manifest)
    return {
      answer: answerOf(job, found.identity, manifest, outcome),
      others: manifest?.manifest ? this.#othersOf(job, found, manifest) : nothing,
    }
  }

  async #outcomeOf(
    job: ArtifactJob, found: Found, state: ManifestState | null,
  ): Promise<Outcome> {
    const home = this.#options.nodeRoots.includes(found.root)
    const { name, expected } = state?.manifest ? listed(state, job.path, home)
      : { name: '', expected: null }
    const key = [found.identity.version, state?.version, name].join(' ')
    const known = this.#cache.get(key)
    if (known) return known
    if (expected === 'ignored') return unknown('the manifest leaves it out on purpose')
    const content = await this.#read(found, expected)
    if (typeof content === 'string') return unknown(content)
    const outcome = judge(content, expected, state)
    this.#cache.set(key, outcome)
    if (this.#cache.size > cacheMax) this.#cache.delete(this.#cache.keys().next().value!)
    return outcome
  }

  /** What is in the file, or why that is not known. */
  async #read(found: Found, expected: Expected | null): Promise<ContentVerdict | string> {
    for (let changes = 0; changes < changesMax; changes++) {
      const { bytes } = found.identity
      if (!this.#throttle.begin(bytes)) {
        return 'the agent has read as much today as it may (artifact_bytes_per_day)'
      }
      const content = new Content(expected)
      try {
        await this.#readParts(found, content)
        return content.finish()
      } catch (error) {
        this.#throttle.giveBack(bytes - content.bytes)
        if (!(error instanceof FileError)) throw error
        if (error.code !== 'ECHANGED') return reasonOf(error.code)
        try {
          found.identity = identify(found.at)
        } catch {
          return 'it was removed while it was read'
        }
      }
    }
    return 'it is being changed'
  }

  async #readParts({ at, identity }: Found, content: Content): Promise<void> {
    const { bytes, version } = identity
    do {
      const part = this.#buffer.subarray(0, Math.min(partBytes, bytes - content.bytes))
      await this.#throttle.wait(part.length)
      const count = readPart(at, content.bytes, part, version)
      if (count < part.length) throw new FileError('ECHANGED')
      content.update(part)
      this.#options.progress?.()
    } while (content.bytes < bytes)
    // It may have been changed in place while the last part was read.
    if (identify(at).version !== version) throw new FileError('ECHANGED')
  }

  /** The other files of the model, once for every manifest and root. */
  #othersOf(
    { path, store }: ArtifactJob, { root }: Found, state: ManifestState,
  ): ArtifactReply['others'] {
    const { name, expected } = listed(state, path, this.#options.nodeRoots.includes(root))
    const folder = path.endsWith(`/${name}`) ? path.slice(0, -name.length) : ''
    const list = [store, root, folder, state.version].join(' ')
    if (expected === null || folder === '' || this.#lists.has(list)) return { root, paths: [] }
    this.#lists.add(list)
    if (this.#lists.size > listsMax) this.#lists.delete(this.#lists.values().next().value!)
    const names = [...state.manifest!.files.keys()].filter((one) => one !== name && one !== '.')
    return { root, paths: names.slice(0, othersMax).map((one) => folder + one) }
  }
}

function judge(
  { sha256, differs }: ContentVerdict, expected: Expected | null, state: ManifestState | null,
): Outcome {
  if (state === null) return { ...unknown('the policy names no manifest of its store'), sha256 }
  const { manifest, reason, digests } = state
  if (manifest === null) return { ...unknown(reason), sha256 }
  // What is listed under another name is what somebody signed: caches of models name by digest.
  const isListed = expected !== null || digests.has(sha256)
  const verdict = !isListed ? 'not_listed' : differs !== '' ? 'differs' : 'matches'
  if (verdict === 'matches' && manifest.keyId === '') {
    return { ...unknown('it is what the manifest says, but the policy has no manifest_keys that '
      + 'must have signed it'), sha256 }
  }
  return { verdict, reason: differs, sha256 }
}

/** By the first root where the file with that inode is; why not otherwise, '' if nobody minds. */
function findFile({ roots, path, inode, device, expected }: ArtifactJob): Found | string {
  const codes: string[] = []
  let likely: Found | undefined
  for (const root of roots) {
    const at = root === '/' ? path : root + path
    try {
      const identity = identify(at)
      const found = { root, at, identity }
      if (inode === 0n || (identity.inode === inode && identity.device === device)) return found
      if (identity.inode === inode) likely ??= found
      codes.push('ECHANGED')
    } catch (error) {
      if (!(error instanceof FileError)) throw error
      codes.push(error.code)
    }
  }
  if (likely) return likely
  const code = codes.find((one) => one !== 'ENOENT') ?? 'ENOENT'
  if (code === 'ENOTFILE' || code === 'ELOOP') return ''
  return !expected && (code === 'ENOENT' || code === 'ECHANGED') ? '' : reasonOf(code)
}

function reasonOf(code: string): string {
  if (code === 'ENOENT') return 'it is no longer where it was read'
  if (code === 'ECHANGED') return 'another file has its path now'
  if (code === 'EACCES' || code === 'EPERM') {
    return `the agent may not read it (${code}): give it CAP_DAC_READ_SEARCH`
  }
  return `it cannot be read (${code})`
}

function unknown(reason: string): Outcome {
  return { verdict: 'unknown', reason, sha256: '' }
}

function answerOf(
  job: ArtifactJob, identity: FileIdentity | null, state: ManifestState | null, outcome: Outcome,
): ArtifactAnswer {
  const { inode = job.inode, device = 0, bytes = 0 } = identity ?? {}
  return {
    ...outcome, path: job.path, inode, device, bytes,
    manifestPath: job.manifest?.path ?? '', keyId: state?.manifest?.keyId ?? '',
  }
}
