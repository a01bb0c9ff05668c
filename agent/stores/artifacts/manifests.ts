// The manifests of stores, read again when they change.

import { basename, dirname } from 'node:path'
import { BUNDLE_BYTES_MAX } from '../../../stores/manifest/envelope.ts'
import { ManifestError } from '../../../stores/manifest/error.ts'
import { expectedOf, readManifest, readUnsigned } from '../../../stores/manifest/manifest.ts'
import type { Manifest } from '../../../stores/manifest/manifest.ts'
import type { Expected } from '../../../stores/manifest/statement.ts'
import { FileError, identify, readPart } from './file.ts'
import type { ManifestPlace } from './jobs.ts'

/** A manifest, or why there is none. */
export interface ManifestState {
  path: string
  manifest: Manifest | null
  /** '' when there is one. */
  reason: string
  /** The same while it says the same. */
  version: string
  /** Of the file, as FileIdentity has it; '' when there is none. */
  fileVersion: string
  /** Digests of the whole files that it lists, SHA-256. */
  digests: ReadonlySet<string>
}

/** A file of a manifest. */
export interface Listed {
  name: string
  expected: Expected | 'ignored' | null
}

const manifestsMax = 16

/** Keeps the last ones. */
export class Manifests {
  readonly #states = new Map<string, ManifestState>()

  /** The manifest, by the first root where it is. */
  get({ path, keys }: ManifestPlace, roots: readonly string[]): ManifestState {
    let failed = 'ENOENT'
    for (const root of roots) {
      const at = root === '/' ? path : root + path
      try {
        const { version, bytes } = identify(at)
        return this.#known(`${at} ${version} ${keys.join()}`,
          () => read(path, at, bytes, version, keys))
      } catch (error) {
        if (!(error instanceof FileError)) throw error
        if (error.code !== 'ENOENT') failed = error.code
      }
    }
    const reason = `manifest_missing: ${path} cannot be read (${failed})`
    return {
      path, manifest: null, reason, version: reason, fileVersion: '', digests: new Set(),
    }
  }

  #known(key: string, make: () => ManifestState): ManifestState {
    const state = this.#states.get(key) ?? make()
    this.#states.delete(key)
    this.#states.set(key, state)
    if (this.#states.size > manifestsMax) this.#states.delete(this.#states.keys().next().value!)
    return state
  }
}

function read(
  path: string, at: string, bytes: number, version: string, keys: string[],
): ManifestState {
  try {
    // One byte more than may be: what is too large is found to be so.
    const buffer = Buffer.alloc(Math.min(bytes, BUNDLE_BYTES_MAX + 1))
    const content = buffer.subarray(0, readPart(at, 0, buffer, version))
    const manifest = keys.length === 0 ? readUnsigned(content) : readManifest(content, keys)
    return {
      path, manifest, reason: '', version, fileVersion: version, digests: digestsOf(manifest),
    }
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error
    const reason = `${error.code}: ${error.message}`
    return {
      path, manifest: null, reason, version: `${version} ${reason}`, fileVersion: version,
      digests: new Set(),
    }
  }
}

function digestsOf({ files }: Manifest): Set<string> {
  return new Set([...files.values()].flatMap(({ algorithm, parts: [part, ...more] }) =>
    algorithm === 'sha256' && more.length === 0 && part.end === Infinity ? [part.digest] : []))
}

/**
 * The name that the manifest has for a file. In another mount namespace its folder may have another
 * path: then the longest end of the path that is listed is the name.
 *
 * @param home the path is one of the node, as that of the manifest is
 */
export function listed(state: ManifestState, path: string, home: boolean): Listed {
  const manifest = state.manifest!
  const folder = dirname(state.path)
  const ends: string[] = []
  if (home && path.startsWith(`${folder}/`)) ends.push(path.slice(folder.length + 1))
  else {
    const names = path.split('/').filter((name) => name !== '')
    ends.push(...names.map((_, i) => names.slice(i).join('/')))
  }
  for (const name of ends) {
    const expected = expectedOf(manifest, name)
    if (expected !== null) return { name, expected }
  }
  // A model that is one file is listed without a name.
  const isModel = basename(path) === manifest.model
  return { name: ends[0] ?? '', expected: (isModel && manifest.files.get('.')) || null }
}
