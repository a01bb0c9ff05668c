/** Policy files as commands take them. */
import { readFileSync } from 'node:fs'
import { readBaselines } from '../correlator/policy/baselines.ts'
import type { LoadedBaseline } from '../correlator/policy/baselines.ts'
import { detectorDefaults } from '../detectors/defaults.ts'
import { formatProblems } from '../policy/check.ts'
import { parsePolicy } from '../policy/parse.ts'
import type { Policy } from '../policy/policy.ts'
import { CliError } from './errors.ts'

/** The policy file that is used when there is one in the working folder and none is named. */
export const POLICY_FILE = 'vedette.yaml'

/** The text of a policy file. Throws CliError CLI_UNREADABLE. */
export function readPolicyText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new CliError('CLI_UNREADABLE', `the policy file ${file} cannot be read (${code})`, error)
  }
}

/** The policy of a file. Throws CliError CLI_UNREADABLE, or CLI_USAGE with all that is wrong. */
export function readPolicy(file: string): Policy {
  const text = readPolicyText(file)
  const result = parsePolicy(text, { nowMs: Date.now(), detectors: detectorDefaults })
  if (result.policy !== null) return result.policy
  throw new CliError('CLI_USAGE',
    `the policy cannot be used:\n${formatProblems(file, text, result).trimEnd()}\n`)
}

/** A policy, and the baselines that it names. */
export interface PolicyFiles { policy: Policy, baselines: LoadedBaseline[] }

/** As `readPolicy`, with the baselines: one that cannot be used is wrong usage, too. */
export function readPolicyFiles(file: string): PolicyFiles {
  const policy = readPolicy(file)
  const { baselines, problems } = readBaselines(policy, file)
  if (problems.length === 0) return { policy, baselines }
  const shown = formatProblems(file, policy.text, { policy, problems, unlisted: 0 })
  throw new CliError('CLI_USAGE', `the policy cannot be used:\n${shown.trimEnd()}\n`)
}
