/** The policy file: read at the start, again on change and on SIGHUP. */
import { readFileSync, watch } from 'node:fs'
import type { FSWatcher } from 'node:fs'
import { basename, dirname } from 'node:path'
import { detectorDefaults } from '../../detectors/defaults.ts'
import { formatProblems } from '../../policy/check.ts'
import { learningPolicy } from '../../policy/learning.ts'
import { parsePolicy } from '../../policy/parse.ts'
import type { Policy } from '../../policy/policy.ts'
import { CorrelatorError, messageOf } from '../errors.ts'

/** Editors and ConfigMaps change a file in several steps. */
const DEBOUNCE_MS = 100

/** Reads the file, or gives the learning default. Throws POLICY_UNREADABLE or POLICY_BROKEN. */
export function readPolicy(file: string | undefined): Policy {
  if (file === undefined) return learningPolicy()
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new CorrelatorError('POLICY_UNREADABLE', `policy ${file}: ${messageOf(error)}`, error)
  }
  const result = parsePolicy(text, { nowMs: Date.now(), detectors: detectorDefaults })
  if (result.policy !== null) return result.policy
  const problems = formatProblems(file, text, result).trimEnd()
  throw new CorrelatorError('POLICY_BROKEN', `policy ${file} cannot be used:\n${problems}\n`)
}

/** Watches the file and SIGHUP. */
export interface PolicyWatch {
  close(): void
}

/** Calls `changed` when the file may have changed; once for many changes at the same time. */
export function watchPolicy(file: string | undefined, changed: () => void): PolicyWatch {
  let timer: NodeJS.Timeout | undefined
  const soon = (): void => {
    clearTimeout(timer)
    timer = setTimeout(changed, DEBOUNCE_MS)
  }
  let watcher: FSWatcher | undefined
  if (file !== undefined) {
    const name = basename(file)
    // The folder, not the file: a file that is replaced is another file, and a ConfigMap changes
    // by a link beside it that is renamed.
    watcher = watch(dirname(file), { persistent: false }, (_, changedName) => {
      if (changedName === null || changedName === name || changedName.startsWith('..')) soon()
    })
    watcher.on('error', () => watcher?.close())
  }
  process.on('SIGHUP', soon)
  return {
    close: () => {
      clearTimeout(timer)
      watcher?.close()
      process.off('SIGHUP', soon)
    },
  }
}
