/** The policy and its baselines: read at the start, again on change and on SIGHUP. */
import { readFileSync, watch } from 'node:fs'
import type { FSWatcher } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { detectorDefaults } from '../../detectors/defaults.ts'
import { formatProblems } from '../../policy/check.ts'
import { learningPolicy } from '../../policy/learning.ts'
import { parsePolicy } from '../../policy/parse.ts'
import type { Policy } from '../../policy/policy.ts'
import { CorrelatorError, messageOf } from '../errors.ts'
import { readBaselines } from './baselines.ts'
import type { LoadedBaseline } from './baselines.ts'

/** Editors and ConfigMaps change a file in several steps. */
const DEBOUNCE_MS = 100

/** A policy, and what it names. */
export interface PolicyRead { policy: Policy, baselines: LoadedBaseline[] }

/**
 * Reads the file, or gives the learning default. Throws POLICY_UNREADABLE or POLICY_BROKEN.
 *
 * @param parsed told of a policy before its baselines are read
 */
export function readPolicy(
  file: string | undefined, parsed: (policy: Policy) => void = () => {},
): PolicyRead {
  if (file === undefined) return { policy: learningPolicy(), baselines: [] }
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new CorrelatorError('POLICY_UNREADABLE', `policy ${file}: ${messageOf(error)}`, error)
  }
  const result = parsePolicy(text, { nowMs: Date.now(), detectors: detectorDefaults })
  if (result.policy !== null) {
    parsed(result.policy)
    const { baselines, problems } = readBaselines(result.policy, file)
    if (problems.length === 0) return { policy: result.policy, baselines }
    result.problems.push(...problems)
  }
  const problems = formatProblems(file, text, result).trimEnd()
  throw new CorrelatorError('POLICY_BROKEN', `policy ${file} cannot be used:\n${problems}\n`)
}

/** Watches the file and SIGHUP. */
export interface PolicyWatch {
  close(): void
}

/**
 * Calls `changed` when a file may have changed; once for many changes at the same time.
 *
 * @param others the files that the policy names; asked again after each change
 */
export function watchPolicy(
  file: string | undefined, others: () => readonly string[], changed: () => void,
): PolicyWatch {
  let timer: NodeJS.Timeout | undefined
  const watchers = new Map<string, FSWatcher>()
  const soon = (): void => {
    clearTimeout(timer)
    timer = setTimeout(() => {
      changed()
      follow()
    }, DEBOUNCE_MS)
  }
  const watched = (): string[] => file === undefined ? [] : [file, ...others()]
  const follow = (): void => {
    const folders = new Set(watched().map((one) => dirname(resolve(one))))
    for (const [folder, watcher] of watchers) {
      if (folders.has(folder)) continue
      watcher.close()
      watchers.delete(folder)
    }
    for (const folder of folders) {
      if (watchers.has(folder)) continue
      const names = (): string[] => watched().filter((one) => dirname(resolve(one)) === folder)
        .map((one) => basename(one))
      const watcher = watchFolder(folder, names, soon, () => watchers.delete(folder))
      if (watcher !== null) watchers.set(folder, watcher)
    }
  }
  follow()
  process.on('SIGHUP', soon)
  return {
    close: () => {
      clearTimeout(timer)
      for (const watcher of watchers.values()) watcher.close()
      process.off('SIGHUP', soon)
    },
  }
}

/**
 * The folder, not the file: a file that is replaced is another file, and a ConfigMap changes by a
 * link beside it that is renamed. Null where there is none: a baseline may be missing yet.
 */
function watchFolder(
  folder: string, names: () => readonly string[], changed: () => void, ended: () => void,
): FSWatcher | null {
  try {
    const watcher = watch(folder, { persistent: false }, (_, name) => {
      if (name === null || name.startsWith('..') || names().includes(name)) changed()
    })
    watcher.on('error', () => {
      watcher.close()
      ended()
    })
    return watcher
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    return null
  }
}
