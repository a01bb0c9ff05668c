/** Policy files as commands take them. */
import { readFileSync } from 'node:fs'
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
