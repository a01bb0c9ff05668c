import { entryOf } from './read/cursor.ts'
import type { Cursor, Report } from './read/cursor.ts'
import { policyDigest } from './digest.ts'
import { Lines } from './read/lines.ts'
import type { Policy, Problem } from './policy.ts'
import { readDetectors } from './read/detectors.ts'
import { readCidrs, readFlows } from './read/flows.ts'
import { readGpus } from './read/gpus.ts'
import { readStores } from './read/stores.ts'
import { readZones } from './read/zones.ts'
import { schemaProblems } from './read/schema-problems.ts'
import { readTree } from './read/tree.ts'
import { checkThresholds } from './thresholds.ts'
import type { DetectorDefaults } from './thresholds.ts'

/** Problems that are listed; more than these say nothing new. */
export const PROBLEMS_MAX = 50

/** UTF-16 units. Ten thousand address ranges need half of it. */
export const TEXT_MAX = 512 * 1024

/**
 * `policy` is null when any problem is an error. `problems` holds the first `PROBLEMS_MAX` in the
 * order of the text, errors and warnings; `unlisted` counts the rest.
 */
export type ParseResult = { policy: Policy | null, problems: Problem[], unlisted: number }

/**
 * Reads a policy text and finds everything that is wrong with it at once. Pure, and never throws:
 * any text gives either a policy or at least one error with its line and column.
 *
 * @param options.nowMs milliseconds since 1970, to warn of mutes that have run out; leave it out
 *   where the answer must not depend on the time
 * @param options.detectors those whose settings can be named; leave it out where a text of another
 *   release must still be read
 */
export function parsePolicy(
  text: string, options: { nowMs?: number, detectors?: DetectorDefaults } = {},
): ParseResult {
  // A byte order mark is part of the bytes, and so of the digest, but editors do not count it.
  const shown = text.replace(/^\ufeff/, '')
  const lines = new Lines(shown)
  const unreadable = textProblem(shown, lines)
  if (unreadable !== null) return { policy: null, problems: [unreadable], unlisted: 0 }
  const tree = readTree(shown, lines)
  if (tree.problems.length > 0) return listed(null, tree.problems)

  const problems = schemaProblems(tree)
  const report: Report = (problem) => problems.push(problem)
  const root: Cursor = { value: tree.value, located: tree.root, path: '' }
  const zones = readZones(entryOf(root, 'zones'), report)
  const flows = readFlows(entryOf(root, 'flows'), zones, report)
  const detectors = readDetectors(entryOf(root, 'detectors'), options.nowMs ?? null, report)
  const resolvers = readCidrs(entryOf(root, 'resolvers'), report)
  const gpus = readGpus(entryOf(root, 'gpus'), report)
  const stores = readStores(entryOf(root, 'stores'), zones, report)
  const sha256 = policyDigest(text)
  const policy: Policy = { text, sha256, resolvers, zones, flows, gpus, stores, detectors }
  if (resolvers.length === 0) warnOfNames(policy, report)
  if (options.detectors) problems.push(...checkThresholds(policy, options.detectors))
  return listed(policy, problems)
}

/** A name server of the attacker's own can say of any address that it is a trusted one. */
function warnOfNames({ zones, flows }: Policy, report: Report): void {
  const first = [...zones.flatMap((zone) => zone.match.dns_names),
    ...flows.flatMap((flow) => flow.toDns)].sort((a, b) => a.line - b.line)[0]
  if (first === undefined) return
  const { line, column } = first
  report({
    severity: 'warning', line, column, path: '',
    message: 'the policy goes by DNS names, and believes every name server that is asked',
    fix: 'write resolvers: and the addresses of your own name servers, such as [10.96.0.10]',
  })
}

function listed(policy: Policy | null, problems: Problem[]): ParseResult {
  const failed = problems.some((problem) => problem.severity === 'error')
  const sorted = problems.toSorted((a, b) => a.line - b.line || a.column - b.column)
  // Never only warnings where an error made the policy unusable.
  const errorsFirst = sorted.length > PROBLEMS_MAX
    ? [...sorted.filter((one) => one.severity === 'error'),
      ...sorted.filter((one) => one.severity === 'warning')]
    : sorted
  return {
    policy: failed ? null : policy,
    problems: errorsFirst.slice(0, PROBLEMS_MAX),
    unlisted: Math.max(0, sorted.length - PROBLEMS_MAX),
  }
}

/** Things that no YAML parser should be asked about. */
function textProblem(text: string, lines: Lines): Problem | null {
  if (text.length > TEXT_MAX) {
    return {
      severity: 'error', ...lines.positionAt(TEXT_MAX), path: '',
      message: `the policy is longer than ${TEXT_MAX} characters`,
      fix: 'merge neighbouring address ranges, and drop what is not policy',
    }
  }
  const odd = text.search(/[\0-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd]/)
  if (odd < 0) return null
  return {
    severity: 'error', ...lines.positionAt(odd), path: '',
    message: 'this is not plain UTF-8 text',
    fix: 'save the file as UTF-8, without control characters',
  }
}
