import { readBaselines } from '../correlator/policy/baselines.ts'
import { detectorDefaults } from '../detectors/defaults.ts'
import { formatProblems } from '../policy/check.ts'
import { parsePolicy } from '../policy/parse.ts'
import type { ParseResult } from '../policy/parse.ts'
import type { CommandSpec } from './command.ts'
import { CliError } from './errors.ts'
import { printLines } from './output.ts'
import { POLICY_FILE, readPolicyText } from './policy-file.ts'
import { diff } from './policy-diff.ts'
import { explain } from './policy-explain.ts'
import { learn } from './policy-learn.ts'

export const spec: CommandSpec = {
  name: 'policy',
  summary: 'the policy: zones, the flows between them, and stores',
  examples: [
    'vedette policy check vedette.yaml', 'vedette policy learn --from 1d',
    'vedette policy explain --from 10.30.0.7 --to 10.20.0.9:22',
  ],
  settings: [],
  run() {
    throw new CliError('CLI_USAGE', 'policy needs to be told what to do: vedette policy check FILE')
  },
}

const check: CommandSpec = {
  name: 'check',
  argument: '[file]',
  argumentHelp: `policy file (default: --policy, or ${POLICY_FILE})`,
  summary: 'says what is wrong with a policy file, where, and what to write',
  examples: [
    'vedette policy check                         checks ./vedette.yaml',
    'vedette policy check site.yaml --output json  one JSON object per problem',
  ],
  settings: ['policy'],
  changes: { policy: { help: 'policy file', shown: POLICY_FILE } },
  async run({ policy, output }, argument) {
    const file = argument ?? policy ?? POLICY_FILE
    const text = readPolicyText(file)
    const result = withBaselines(file,
      parsePolicy(text, { nowMs: Date.now(), detectors: detectorDefaults }))
    await printLines(output === 'json' ? jsonLines(file, result) : textLines(file, text, result))
    return result.policy === null ? 1 : 0
  },
}

export const children = [check, learn, diff, explain]

/** A policy whose baselines cannot be used cannot be used either. */
function withBaselines(file: string, result: ParseResult): ParseResult {
  if (result.policy === null) return result
  const { problems } = readBaselines(result.policy, file)
  if (problems.length === 0) return result
  return { ...result, policy: null, problems: [...result.problems, ...problems] }
}

function jsonLines(file: string, { policy, problems, unlisted }: ParseResult): string[] {
  return [
    ...problems.map((problem) => JSON.stringify({ file, ...problem })),
    JSON.stringify({
      file, ok: policy !== null, sha256: policy?.sha256, zones: policy?.zones.length,
      flows: policy?.flows.length, stores: policy?.stores.length, unlisted,
    }),
  ]
}

function textLines(file: string, text: string, result: ParseResult): string[] {
  const lines = result.problems.length === 0 ? []
    : formatProblems(file, text, result).trimEnd().split('\n')
  const { policy } = result
  if (policy === null) return lines
  const { zones, flows, stores, sha256 } = policy
  const kept = stores.length === 0 ? '' : `${stores.length} stores, `
  return [...lines,
    `ok: ${zones.length} zones, ${flows.length} flows, ${kept}sha256 ${sha256.slice(0, 12)}…`]
}
