import { parsePolicy } from './parse.ts'
import type { Policy } from './policy.ts'

/**
 * The policy in force when the site gave none. It has no zones, so both ends of every connection
 * are outside of the policy and nothing is a violation, while everything is recorded. It is a text
 * like any other: the event log holds it, and replay reads it, in the same way.
 */
const LEARNING_TEXT = `# No policy file was given: nothing is a violation, everything is recorded.
version: 1
`

/** The default policy. */
export function learningPolicy(): Policy {
  const { policy } = parsePolicy(LEARNING_TEXT)
  if (policy === null) throw new Error('policy: the built-in learning policy does not parse')
  return policy
}

/** True when a policy has no zones and can therefore only learn. */
export function isLearning(policy: Policy): boolean {
  return policy.zones.length === 0
}
